// SPDX-License-Identifier: MIT

package autoconf

import (
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"shim6/cgad/ra"
)

var comparers = cmp.Options{
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
}

func (h *host) wantRoutes(want ...Route) {
	h.t.Helper()
	slices.SortFunc(want, compareRoutes)
	if d := cmp.Diff(want, slices.SortedFunc(maps.Keys(h.routes), compareRoutes), comparers); d != "" {
		h.t.Fatalf("routes (-want +got):\n%s", d)
	}
}

func (h *host) wantRules(want ...Rule) {
	h.t.Helper()
	slices.SortFunc(want, compareRules)
	if d := cmp.Diff(want, slices.SortedFunc(maps.Keys(h.rules), compareRules), comparers); d != "" {
		h.t.Fatalf("rules (-want +got):\n%s", d)
	}
}

func route(table uint32, to, via string, link int, metric uint32) Route {
	return Route{table, netip.MustParsePrefix(to), netip.MustParseAddr(via), link, metric}
}

func rule(prefix string, table uint32, p ra.Preference) Rule {
	return Rule{netip.MustParsePrefix(prefix), table, p}
}

// RFC 8028 section 3.1: a packet goes to a router that advertised the prefix of its source.
func TestEachPrefixLeavesThroughItsRouters(t *testing.T) {
	h := twoLinks(t, testConfig(t))
	h.advertise(eth0, "fe80::1", pio(prefixA, day, day))
	h.wantRoutes(route(1000, "::/0", "fe80::1", eth0, 512))
	h.wantRules(Rule{}, rule(prefixA, 1000, ra.Medium))
	h.advertise(eth0, "fe80::2", pio(prefixB, day, day))
	h.advertise(eth0, "fe80::3", pio(prefixA, day, day))
	h.wantRoutes(route(1000, "::/0", "fe80::1", eth0, 512), route(1000, "::/0", "fe80::3", eth0, 512), route(1001, "::/0", "fe80::2", eth0, 512))
	h.wantRules(Rule{}, rule(prefixA, 1000, ra.Medium), rule(prefixB, 1001, ra.Medium))
	// RFC 4861 section 6.3.4: a router lifetime of 0 removes the router at once.
	h.handle(Advertised{eth0, netip.MustParseAddr("fe80::1"), &ra.Advertisement{}})
	h.handle(Advertised{eth0, netip.MustParseAddr("fe80::2"), &ra.Advertisement{}})
	h.wantRoutes(route(1000, "::/0", "fe80::3", eth0, 512))
	h.wantRules(Rule{}, rule(prefixA, 1000, ra.Medium))
	// The lifetime of the last one ends without a word.
	h.advance(31 * time.Minute)
	h.wantRoutes()
	h.wantRules()
	if a := h.status(eth0, prefixA); a.State != Ready {
		t.Errorf("the address went with its router: %+v", a)
	}
}

// A prefix without an address of ours is routed too: an address may come from DHCPv6 or by hand.
func TestPrefixWithoutAutonomousFlag(t *testing.T) {
	h := twoLinks(t, testConfig(t))
	p := pio(prefixA, day, day)
	p.Autonomous = false
	h.advertise(eth0, "fe80::1", p)
	h.wantAddrs()
	h.wantRules(Rule{}, rule(prefixA, 1000, ra.Medium))
}

// RFC 4191 section 3.1: preferences and more specific routes.
func TestPreferencesAndMoreSpecificRoutes(t *testing.T) {
	h := twoLinks(t, testConfig(t))
	adv := &ra.Advertisement{
		RouterLifetime: time.Hour, Preference: ra.High, Prefixes: []ra.Prefix{pio(prefixA, day, day)},
		Routes: []ra.Route{
			{Prefix: netip.MustParsePrefix("2001:db8:f000::/36"), Preference: ra.Low, Lifetime: 10 * time.Minute},
			{Prefix: netip.MustParsePrefix("ff00::/8"), Lifetime: time.Hour},
			{Prefix: netip.MustParsePrefix("fe80::/10"), Lifetime: time.Hour},
		},
	}
	h.handle(Advertised{eth0, netip.MustParseAddr("fe80::1"), adv})
	specific := route(1000, "2001:db8:f000::/36", "fe80::1", eth0, 1024)
	h.wantRoutes(route(1000, "::/0", "fe80::1", eth0, 256), specific)
	h.wantRules(Rule{}, rule(prefixA, 1000, ra.High))
	h.advance(11 * time.Minute)
	h.wantRoutes(route(1000, "::/0", "fe80::1", eth0, 256))

	// Preference and lifetime in a Route Information option for ::/0 override those of the header.
	h.handle(Advertised{eth0, netip.MustParseAddr("fe80::1"), &ra.Advertisement{
		RouterLifetime: time.Hour, Preference: ra.High,
		Routes: []ra.Route{{Prefix: netip.MustParsePrefix("::/0"), Preference: ra.Low, Lifetime: time.Hour}},
	}})
	h.wantRoutes(route(1000, "::/0", "fe80::1", eth0, 1024))
	h.wantRules(Rule{}, rule(prefixA, 1000, ra.Low))
	// A router may offer nothing but more specific routes.
	adv.RouterLifetime = 0
	h.handle(Advertised{eth0, netip.MustParseAddr("fe80::1"), adv})
	h.wantRoutes(specific)
	h.wantRules(Rule{}, rule(prefixA, 1000, ra.Low))
	adv.Routes[0].Lifetime = 0
	h.handle(Advertised{eth0, netip.MustParseAddr("fe80::1"), adv})
	h.wantRoutes()
	h.wantRules()
}

// The rule for everything but default routes comes first and goes last, and a route is there before a rule leads to it.
func TestOrderOfActions(t *testing.T) {
	h := twoLinks(t, testConfig(t))
	h.log = nil
	h.advertise(eth0, "fe80::1", pio(prefixA, day, day))
	r, u := route(1000, "::/0", "fe80::1", eth0, 512), rule(prefixA, 1000, ra.Medium)
	if d := cmp.Diff([]Action{AddRoute{r}, AddRule{}, AddRule{u}}, h.log[1:], comparers); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	h.log = nil
	h.handle(Advertised{eth0, netip.MustParseAddr("fe80::1"), &ra.Advertisement{}})
	if d := cmp.Diff([]Action{DeleteRule{u}, DeleteRule{}, DeleteRoute{r}}, h.log, comparers); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// A provider renumbers: the old prefix is deprecated, and its packets still leave through its router while it is valid.
func TestRenumbering(t *testing.T) {
	h := twoLinks(t, testConfig(t))
	h.advertise(eth0, "fe80::1", pio(prefixA, day, day))
	h.advance(time.Hour)
	h.advertise(eth0, "fe80::1", pio(prefixA, 0, 0), pio(prefixB, day, day))
	h.advance(time.Second)
	if s := h.status(eth0, prefixA); s.PreferredSeconds != 0 || s.State != Ready {
		t.Errorf("the old prefix is %+v", s)
	}
	h.wantRules(Rule{}, rule(prefixA, 1000, ra.Medium), rule(prefixB, 1001, ra.Medium))
	for range 8 {
		h.advance(15 * time.Minute)
		h.advertise(eth0, "fe80::1", pio(prefixB, day, day))
	}
	h.wantRules(Rule{}, rule(prefixB, 1001, ra.Medium))
	h.wantAddrs("2 " + withCount(t, params(t, cgaHex), prefixB, 0))
	// The number of the table is free again.
	h.advertise(eth0, "fe80::1", pio("2001:db8:c:1::/64", day, day))
	h.wantRules(Rule{}, rule(prefixB, 1001, ra.Medium), rule("2001:db8:c:1::/64", 1000, ra.Medium))
}

func TestRoutesFollowTheLink(t *testing.T) {
	h := twoLinks(t, testConfig(t))
	h.advertise(eth0, "fe80::1", pio(prefixA, day, day))
	h.link(eth0, "eth0", false)
	h.wantRoutes()
	h.wantRules()
	h.link(eth0, "eth0", true)
	h.wantRoutes(route(1000, "::/0", "fe80::1", eth0, 512))
	h.wantRules(Rule{}, rule(prefixA, 1000, ra.Medium))
	// Row 44: an interface that is gone took its routes along.
	h.handle(LinkGone{eth0})
	h.wantRules()
	if len(h.a.routes) != 0 {
		t.Errorf("still wants %v", h.a.routes)
	}
}

// What somebody else removes comes back.
func TestRouteAndRuleGone(t *testing.T) {
	h := twoLinks(t, testConfig(t))
	h.advertise(eth0, "fe80::1", pio(prefixA, day, day))
	r, u := route(1000, "::/0", "fe80::1", eth0, 512), rule(prefixA, 1000, ra.Medium)
	delete(h.routes, r)
	h.handle(RouteGone{r})
	h.wantRoutes(r)
	delete(h.rules, u)
	h.handle(RuleGone{u})
	h.wantRules(Rule{}, u)
	h.log = nil
	h.handle(RouteGone{route(7, "::/0", "fe80::1", eth0, 512)})
	h.handle(RuleGone{rule(prefixB, 7, ra.Low)})
	if len(h.log) != 0 {
		t.Errorf("acted on what was not ours: %+v", h.log)
	}
}

func TestRoutingOff(t *testing.T) {
	c := testConfig(t)
	h := twoLinks(t, c)
	h.advertise(eth0, "fe80::1", pio(prefixA, day, day))
	c.Routing = false
	h.handle(Reconfigured{c})
	h.wantRoutes()
	h.wantRules()
	h.wantAddrs("2 " + addrA)
}

func TestStopped(t *testing.T) {
	for _, addresses := range []bool{false, true} {
		h := twoLinks(t, testConfig(t))
		h.advertise(eth0, "fe80::1", pio(prefixA, day, day))
		h.advance(2 * time.Second)
		h.handle(Stopped{Addresses: addresses})
		h.wantRoutes()
		h.wantRules()
		if (len(h.addrs) == 0) != addresses || len(h.managed) != 0 {
			t.Errorf("addresses %v, managed %v are left", h.addrs, h.managed)
		}
		h.log = nil
		h.advertise(eth0, "fe80::1", pio(prefixA, day, day))
		if len(h.log) != 0 || !h.a.Deadline().IsZero() {
			t.Errorf("goes on after the end: %+v", h.log)
		}
	}
}

// SPDX-License-Identifier: MIT

package autoconf

import (
	"net/netip"
	"testing"
	"time"

	"shim6/cgad/ra"
)

// RFC 7559 section 2: a host retransmits with IRT 4 seconds, MRT 3600 seconds and without end, where RFC 4861 section 6.3.7
// ended after three. As there, the first comes after a random delay of at most MAX_RTR_SOLICITATION_DELAY, and they are
// at least RTR_SOLICITATION_INTERVAL apart. Row 41.
func TestSolicitations(t *testing.T) {
	h := newHost(t, testConfig(t))
	h.link(eth0, "eth0", true)
	start := h.now
	h.advance(24 * time.Hour)
	if h.solicit[0].Sub(start) > time.Second {
		t.Errorf("the first comes after %v", h.solicit[0].Sub(start))
	}
	last := 2 * time.Second
	for i := 1; i < len(h.solicit); i++ {
		d := h.solicit[i].Sub(h.solicit[i-1])
		low, high := max(min(last*19/10, time.Hour*9/10), 4*time.Second), min(last*22/10, time.Hour*11/10)
		if d < low || d > high {
			t.Errorf("solicitation %d comes %v after the last, not %v to %v", i, d, low, high)
		}
		last = d
	}
	if n := len(h.solicit); n < 30 || n > 40 {
		t.Errorf("%d solicitations in a day", n)
	}
	n := len(h.solicit)
	h.link(eth0, "eth0", true)
	h.advance(10 * time.Second)
	if len(h.solicit) > n+1 {
		t.Error("begins again though nothing happened")
	}
	n = len(h.solicit)
	h.link(eth0, "eth0", false)
	h.advance(3 * time.Hour)
	if len(h.solicit) != n {
		t.Error("solicited while the link was down")
	}
	h.link(eth0, "eth0", true)
	h.advance(2 * time.Second)
	if len(h.solicit) != n+1 {
		t.Fatalf("%d solicitations after the link came up again", len(h.solicit)-n)
	}
	// RFC 4861 section 6.3.7: "Once the host sends a Router Solicitation, and receives a valid Router Advertisement with a
	// non-zero Router Lifetime, the host MUST desist from sending additional solicitations".
	h.handle(Advertised{eth0, netip.MustParseAddr("fe80::9"), &ra.Advertisement{Prefixes: []ra.Prefix{pio(prefixB, day, day)}}})
	h.advance(5 * time.Second)
	if len(h.solicit) != n+2 {
		t.Errorf("%d solicitations: one who is no default router ended them", len(h.solicit)-n)
	}
	h.advertise(eth0, "fe80::1", pio(prefixA, day, day))
	h.advance(3 * time.Hour)
	if len(h.solicit) != n+2 {
		t.Error("solicited after the answer")
	}
}

// RFC 4861 section 6.3.7: at least one solicitation SHOULD be sent even if an advertisement has come before it.
func TestOneSolicitationInAnyCase(t *testing.T) {
	h := newHost(t, testConfig(t))
	h.link(eth0, "eth0", true)
	for range 3 {
		h.advertise(eth0, "fe80::1", pio(prefixA, day, day))
	}
	h.advance(time.Minute)
	if len(h.solicit) != 1 {
		t.Errorf("%d solicitations, want 1", len(h.solicit))
	}
}

// Row 45: while the link-local address is tentative nothing can be sent.
func TestSolicitationWaitsForTheLinkLocalAddress(t *testing.T) {
	h := newHost(t, testConfig(t))
	h.handle(LinkChanged{Index: eth0, Name: "eth0", Up: true})
	own := netip.MustParsePrefix("fe80::2:ff:fe00:1/64")
	h.handle(AddressChanged{Link: eth0, Addr: own, Tentative: true})
	h.advance(time.Minute)
	if len(h.solicit) != 0 {
		t.Fatal("solicited from a tentative address")
	}
	h.handle(AddressChanged{Link: eth0, Addr: own})
	if len(h.solicit) != 1 || !h.solicit[0].Equal(h.now) {
		t.Errorf("solicited at %v, now is %v", h.solicit, h.now)
	}
}

// Row 39: the kernel's own configuration is turned off on managed interfaces, and on no other.
func TestWhichLinksAreManaged(t *testing.T) {
	for _, tt := range []struct {
		name     string
		patterns []string
		link     LinkChanged
		want     bool
	}{
		{"any", nil, LinkChanged{Name: "eth0"}, true},
		{"loopback", nil, LinkChanged{Name: "lo", Loopback: true}, false},
		{"loopback by name", []string{"*"}, LinkChanged{Name: "lo", Loopback: true}, false},
		// RFC 4861 section 6.2.1: a router does not take advertisements.
		{"router", nil, LinkChanged{Name: "eth0", Router: true}, false},
		{"router by name", []string{"eth0"}, LinkChanged{Name: "eth0", Router: true}, true},
		{"pattern", []string{"wlan*", "eth?"}, LinkChanged{Name: "eth7"}, true},
		{"other name", []string{"wlan*", "eth?"}, LinkChanged{Name: "eth10"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := testConfig(t)
			c.Interfaces = tt.patterns
			h := newHost(t, c)
			tt.link.Index, tt.link.Up = eth0, true
			h.handle(tt.link)
			h.advertise(eth0, "fe80::1", pio(prefixA, day, day))
			if h.managed[eth0] != tt.want || (len(h.addrs) == 1) != tt.want || (len(h.routes) == 1) != tt.want {
				t.Errorf("managed %v, addresses %v, routes %v", h.managed, h.addrs, h.routes)
			}
		})
	}
}

// A host that begins to forward, for its containers perhaps, keeps its addresses.
func TestForwardingTurnedOnLater(t *testing.T) {
	h := twoLinks(t, testConfig(t))
	h.advertise(eth0, "fe80::1", pio(prefixA, day, day))
	h.advance(2 * time.Second)
	h.handle(LinkChanged{Index: eth0, Name: "eth0", Up: true, Router: true})
	h.handle(Reconfigured{testConfig(t)})
	h.wantState(eth0, prefixA, Ready)
	if !h.managed[eth0] {
		t.Error("not managed any more")
	}
}

// Row 44: an interface that is renamed keeps its state, unless its new name says otherwise.
func TestRename(t *testing.T) {
	c := testConfig(t)
	c.Interfaces = []string{"eth*", "lan"}
	second := c.Identities[1]
	second.Name, second.Params = "second", params(t, "ff"+cgaHex[2:])
	second.Sec = 0
	c.Identities = append(c.Identities, second)
	c.Links = map[string]string{"lan": "second"}
	h := twoLinks(t, c)
	h.advertise(eth0, "fe80::1", pio(prefixA, day, day))
	h.advance(2 * time.Second)
	h.link(eth0, "eth7", true)
	h.advance(2 * time.Second)
	h.wantAddrs("2 " + addrA)
	h.link(eth0, "lan", true)
	h.advance(2 * time.Second)
	if s := h.status(eth0, prefixA); s.Identity != "second" || s.State != Ready || len(h.addrs) != 1 {
		t.Errorf("status is %+v, addresses %v", s, h.addrs)
	}
	h.link(eth0, "other", true)
	h.wantAddrs()
	h.wantRoutes()
	if h.managed[eth0] {
		t.Error("still managed")
	}
	h.link(eth0, "eth0", true)
	h.advertise(eth0, "fe80::1", pio(prefixA, day, day))
	h.wantAddrs("2 " + addrA)
}

// The key of a prefix comes before that of its interface, and a reload that changes it replaces that one address.
func TestKeyOfAPrefix(t *testing.T) {
	c := testConfig(t)
	second, third := c.Identities[1], c.Identities[1]
	second.Name, second.Params = "second", params(t, "ff"+cgaHex[2:])
	third.Name, third.Params = "third", params(t, "fe"+cgaHex[2:])
	second.Sec, third.Sec = 0, 0
	c.Identities = append(c.Identities, second, third)
	c.Links = map[string]string{"eth0": "second"}
	c.Prefixes = map[netip.Prefix]string{netip.MustParsePrefix(prefixB): "third"}
	h := twoLinks(t, c)
	h.advertise(eth0, "fe80::1", pio(prefixA, day, day), pio(prefixB, day, day))
	h.advertise(eth1, "fe80::2", pio("2001:db8:c:1::/64", day, day))
	h.advance(2 * time.Second)
	for _, want := range []struct {
		link             int
		prefix, identity string
	}{{eth0, prefixA, "second"}, {eth0, prefixB, "third"}, {eth1, "2001:db8:c:1::/64", "default"}} {
		if s := h.status(want.link, want.prefix); s.Identity != want.identity || s.State != Ready {
			t.Errorf("%s: %+v, want the key %s", want.prefix, s, want.identity)
		}
	}
	a, b := h.status(eth0, prefixA).Addr, h.status(eth0, prefixB).Addr
	next := c
	next.Prefixes = nil
	h.handle(Reconfigured{next})
	h.advance(2 * time.Second)
	if s := h.status(eth0, prefixB); s.Identity != "second" || s.State != Ready || s.Addr == b || h.status(eth0, prefixA).Addr != a {
		t.Errorf("without it: %+v, and the other %v, before %v", s, h.status(eth0, prefixA).Addr, a)
	}
}

// A reload applies what differs and leaves the rest alone.
func TestReconfigured(t *testing.T) {
	c := testConfig(t)
	h := twoLinks(t, c)
	h.advertise(eth0, "fe80::1", pio(prefixA, day, day), pio(hbaA, day, day))
	h.advertise(eth1, "fe80::2", pio(prefixB, day, day))
	h.advance(2 * time.Second)
	addrB := withCount(t, params(t, cgaHex), prefixB, 0)
	h.log = nil
	h.handle(Reconfigured{testConfig(t)})
	if len(h.log) != 0 {
		t.Errorf("the same configuration did %+v", h.log)
	}
	c = testConfig(t)
	c.Interfaces = []string{"eth0"}
	h.handle(Reconfigured{c})
	h.wantAddrs("2 "+addrA, "2 "+hbaAddrA)
	c.Identities = c.Identities[1:]
	h.handle(Reconfigured{c})
	h.wantAddrs("2 "+addrA, "2 "+withCount(t, params(t, cgaHex), hbaA, 0))
	c.Routers = []netip.Addr{netip.MustParseAddr("fe80::9")}
	h.handle(Reconfigured{c})
	h.wantAddrs()
	h.wantRules()
	h.handle(Reconfigured{testConfig(t)})
	h.advertise(eth1, "fe80::2", pio(prefixB, day, day))
	h.wantAddrs("3 " + addrB)
}

func TestLinkGone(t *testing.T) {
	h := twoLinks(t, testConfig(t))
	h.advertise(eth0, "fe80::1", pio(prefixA, day, day))
	h.handle(LinkGone{eth0})
	h.handle(LinkGone{eth0})
	h.advertise(eth0, "fe80::1", pio(prefixA, day, day))
	for _, l := range h.a.Snapshot(h.now).Links {
		if l.Index == eth0 {
			t.Errorf("still there: %+v", l)
		}
	}
}

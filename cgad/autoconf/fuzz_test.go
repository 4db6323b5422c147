// SPDX-License-Identifier: MIT

package autoconf

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"shim6/cgad/ra"
)

// A script turns octets into events.
type script struct {
	octets []byte
}

func (s *script) next(n int) int {
	if len(s.octets) == 0 {
		return 0
	}
	v := int(s.octets[0]) % n
	s.octets = s.octets[1:]
	return v
}

var fuzzPrefixes = []string{prefixA, prefixB, hbaA, hbaB, "fe80::/64", "ff02::/64", "::/0", "2001:db8::/48"}

func (s *script) lifetime() time.Duration {
	return []time.Duration{0, time.Second, time.Minute, time.Hour, 2 * time.Hour, 3 * time.Hour, day, ra.Infinite}[s.next(8)]
}

func (s *script) advertisement() *ra.Advertisement {
	a := &ra.Advertisement{RouterLifetime: time.Duration(s.next(3)) * 30 * time.Minute, Preference: ra.Preference(s.next(3) - 1)}
	for range s.next(4) {
		a.Prefixes = append(a.Prefixes, ra.Prefix{
			Prefix: netip.MustParsePrefix(fuzzPrefixes[s.next(len(fuzzPrefixes))]), Autonomous: s.next(4) > 0,
			Valid: s.lifetime(), Preferred: s.lifetime(),
		})
	}
	for range s.next(3) {
		a.Routes = append(a.Routes, ra.Route{
			Prefix:     netip.MustParsePrefix([]string{"::/0", "2001:db8:f000::/36", "ff00::/8"}[s.next(3)]),
			Preference: ra.Preference(s.next(3) - 1), Lifetime: s.lifetime(),
		})
	}
	return a
}

func (h *host) step(s *script, configs []Config) {
	link := []int{eth0, eth1, 4}[s.next(3)]
	addrs := slices.Sorted(maps.Keys(h.addrs))
	switch s.next(12) {
	case 0, 1, 2, 3:
		router := fmt.Sprintf("fe80::%x", 1+s.next(12))
		h.handle(Advertised{link, netip.MustParseAddr(router), s.advertisement()})
	case 4:
		h.link(link, []string{"eth0", "eth1", "lan"}[s.next(3)], s.next(2) == 1)
	case 5:
		h.advance([]time.Duration{time.Millisecond, time.Second, time.Minute, 3 * time.Hour}[s.next(4)])
	case 6:
		h.handle(LinkGone{link})
		delete(h.up, link)
		delete(h.managed, link)
		maps.DeleteFunc(h.addrs, func(_ string, e *entry) bool { return e.link == link })
		maps.DeleteFunc(h.routes, func(r Route, _ bool) bool { return r.Link == link })
	case 7:
		if len(addrs) > 0 { // somebody removes an address, or takes it
			k := addrs[s.next(len(addrs))]
			addr := netip.MustParseAddr(k[2:])
			e := h.addrs[k]
			delete(h.addrs, k)
			h.handle(AddressGone{Link: e.link, Addr: addr, Duplicate: s.next(2) == 1})
		}
	case 8:
		if len(addrs) > 0 {
			h.taken[addrs[s.next(len(addrs))][2:]] = s.next(2) == 1
		}
	case 9:
		h.handle(Reconfigured{configs[s.next(len(configs))]})
	case 10:
		g := Generated{Name: "default", Params: configs[0].Identities[1].Params}
		if s.next(2) == 1 {
			g = Generated{Name: "default", Err: errors.New("no")}
		}
		h.handle(g)
	case 11:
		for _, r := range slices.SortedFunc(maps.Keys(h.routes), compareRoutes) {
			if s.next(2) == 1 {
				delete(h.routes, r)
				h.handle(RouteGone{r})
			}
		}
	}
}

// check holds at all times: what the host has is what the status says, within the limits.
func (h *host) check() {
	h.t.Helper()
	owned := 0
	for _, l := range h.a.Snapshot(h.now).Links {
		if len(l.Routers) > DefaultLimits().Routers {
			h.t.Fatalf("%d routers on %s", len(l.Routers), l.Name)
		}
		for _, a := range l.Addresses {
			if a.State != Tentative && a.State != Ready {
				continue
			}
			owned++
			if h.addrs[key(l.Index, a.Addr)] == nil {
				h.t.Fatalf("%v on %s is %s, and not there", a.Addr, l.Name, a.State)
			}
			if !l.Up && a.State == Tentative {
				h.t.Fatalf("%v is tentative on %s, which is down", a.Addr, l.Name)
			}
		}
	}
	if owned != len(h.addrs) {
		h.t.Fatalf("%d addresses are there, the status has %d", len(h.addrs), owned)
	}
	for r := range h.routes {
		if !h.up[r.Link] || !h.managed[r.Link] {
			h.t.Fatalf("route %+v over a link that is down or not managed", r)
		}
		if !slices.ContainsFunc(slices.Collect(maps.Keys(h.rules)), func(u Rule) bool { return u.Table == r.Table }) {
			h.t.Fatalf("no rule leads to %+v", r)
		}
	}
	if len(h.rules) == 1 {
		h.t.Fatal("the rule for the main table is alone")
	}
	if n := h.size(); n > 2000 {
		h.t.Fatalf("%d things are held", n)
	}
}

// Whatever happens in whatever order: no panic, no lost address or route, nothing left at the end, and the same again for
// the same events.
func FuzzAutoconf(f *testing.F) {
	f.Add([]byte("\x00\x00\x01\x01\x01\x02\x00\x01\x06\x06\x03\x01\x06\x06\x00\x00\x05\x01\x01\x05\x03"))
	f.Add([]byte("\x01\x04\x00\x01\x01\x00\x02\x01\x01\x03\x02\x01\x07\x07\x00\x01\x05\x01\x02\x06\x00\x07\x00\x01\x00\x09\x02\x00\x09\x01"))
	configs := func(t testing.TB) []Config {
		one, two, three, four := testConfig(t), testConfig(t), testConfig(t), testConfig(t)
		two.Interfaces, two.Routing = []string{"eth0"}, false
		three.Identities = three.Identities[1:]
		three.Identities[0].Sec = 0
		three.Identities[0].Params = nil
		four.Routers = []netip.Addr{netip.MustParseAddr("fe80::1"), netip.MustParseAddr("fe80::2")}
		four.Existing = RemoveExisting
		return []Config{one, two, three, four}
	}
	f.Fuzz(func(t *testing.T, octets []byte) {
		var logs [2][]Action
		for i := range logs {
			list := configs(t)
			h := twoLinks(t, list[0])
			for s := (&script{octets[:min(len(octets), 600)]}); len(s.octets) > 0; {
				h.step(s, list)
				h.check()
			}
			h.handle(Stopped{Addresses: true})
			if len(h.routes)+len(h.rules)+len(h.managed) != 0 {
				t.Fatalf("left behind: routes %v, rules %v, managed %v", h.routes, h.rules, h.managed)
			}
			logs[i] = h.log
		}
		if !slices.EqualFunc(logs[0], logs[1], func(x, y Action) bool { return x == y }) {
			t.Fatal("the same events gave other actions")
		}
	})
}

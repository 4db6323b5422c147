// SPDX-License-Identifier: MIT

package autoconf

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"shim6/cgad/ra"
)

// size is how many things that advertisements brought are held.
func (h *host) size() int {
	n := len(h.a.routes) + len(h.a.rules) + len(h.a.tables) + len(h.a.counters)
	for _, l := range h.a.links {
		n += len(l.routers) + len(l.prefixes) + len(l.present) + len(l.reported)
		for _, r := range l.routers {
			n += len(r.prefixes) + len(r.routes)
		}
	}
	return n
}

// Row 43: 10^5 prefixes of one router are bounded, and the real providers, before and after, are served.
func TestPrefixFlood(t *testing.T) {
	h := twoLinks(t, testConfig(t))
	h.advertise(eth0, "fe80::1", pio(prefixA, day, day))
	h.advance(2 * time.Second)
	for i := range 1000 {
		adv := &ra.Advertisement{RouterLifetime: time.Hour}
		for j := range 100 {
			adv.Prefixes = append(adv.Prefixes, pio(fmt.Sprintf("2001:db8:%x:%x::/64", 0x1000+i, j), day, day))
			adv.Routes = append(adv.Routes, ra.Route{Prefix: netip.MustParsePrefix(fmt.Sprintf("2001:db8:%x:%x::/64", 0x1000+i, j)), Lifetime: time.Hour})
		}
		h.handle(Advertised{eth0, netip.MustParseAddr("fe80::bad"), adv})
		h.advance(10 * time.Millisecond)
	}
	if limit := DefaultLimits().Prefixes + 1; len(h.addrs) != limit {
		t.Errorf("%d addresses, want %d", len(h.addrs), limit)
	}
	if n := h.size(); n > 300 {
		t.Errorf("%d things are held", n)
	}
	h.advertise(eth0, "fe80::2", pio(prefixB, day, day))
	h.advance(2 * time.Second)
	h.wantState(eth0, prefixA, Ready)
	h.wantState(eth0, prefixB, Ready)
	if len(h.reports) > 40 {
		t.Errorf("%d reports", len(h.reports))
	}
}

// 10^4 routers are bounded. The real ones that were there stay, and one that comes later finds its place when the flood is
// over, because the others do not answer.
func TestRouterFlood(t *testing.T) {
	h := twoLinks(t, testConfig(t))
	real := func() {
		h.advertise(eth0, "fe80::1", pio(prefixA, day, day))
		h.advertise(eth0, "fe80::2", pio(prefixB, day, day))
	}
	real()
	h.advance(2 * time.Second)
	answered := len(h.solicit)
	for i := range 10000 {
		h.advertise(eth0, fmt.Sprintf("fe80::bad:%x", i), pio(fmt.Sprintf("2001:db8:%x:1::/64", 0x1000+i), day, day))
		h.advance(20 * time.Millisecond)
		if len(h.solicit) > answered {
			answered = len(h.solicit)
			real()
		}
		if n := h.size(); n > 300 {
			t.Fatalf("%d things are held", n)
		}
		if h.status(eth0, prefixA).State != Ready || h.status(eth0, prefixB).State != Ready {
			t.Fatalf("after %d routers a real provider is out", i)
		}
	}
	if len(h.solicit) > 12 {
		t.Errorf("%d solicitations in %v", len(h.solicit), 200*time.Second)
	}
	late := func() { h.advertise(eth0, "fe80::3", pio("2001:db8:c:1::/64", day, day)) }
	for range 30 {
		h.advance(11 * time.Second)
		real()
		late()
	}
	h.advance(2 * time.Second)
	h.wantState(eth0, "2001:db8:c:1::/64", Ready)
	h.wantState(eth0, prefixA, Ready)
	h.wantState(eth0, prefixB, Ready)
}

// A burst costs little work: what is too much is counted and forgotten.
func TestAdvertisementRate(t *testing.T) {
	h := twoLinks(t, testConfig(t))
	for range 1000 {
		h.advertise(eth0, "fe80::1", pio(prefixA, day, day))
	}
	if n := h.a.Snapshot(h.now).Counters[refusedRate]; n != 1000-routerBurst-1 {
		t.Errorf("%d were refused", n)
	}
	h.advance(time.Second)
	h.advertise(eth0, "fe80::1", pio(prefixA, 3*day, day))
	if s := h.status(eth0, prefixA); s.ValidSeconds != 3*86400 {
		t.Errorf("not looked at a second later: %+v", s)
	}
}

// Row 10 of the validity checks, and the list of routers in the configuration.
func TestWhoIsNotBelieved(t *testing.T) {
	c := testConfig(t)
	c.Routers = []netip.Addr{netip.MustParseAddr("fe80::1"), netip.MustParseAddr("fe80::2:ff:fe00:1")}
	h := twoLinks(t, c)
	h.advertise(eth0, "fe80::2", pio(prefixA, day, day))
	h.advertise(eth0, "fe80::2:ff:fe00:1", pio(prefixA, day, day))
	h.advertise(7, "fe80::1", pio(prefixA, day, day))
	h.wantAddrs()
	counters := h.a.Snapshot(h.now).Counters
	if counters[refusedRouter] != 1 || counters[refusedSelf] != 1 || counters[refusedUnmanaged] != 1 {
		t.Errorf("counters are %v", counters)
	}
	h.advertise(eth0, "fe80::1%eth0", pio(prefixA, day, day))
	h.wantAddrs("2 " + addrA)
}

// A router that says nothing useful takes no room.
func TestIdleRouters(t *testing.T) {
	h := twoLinks(t, testConfig(t))
	for i := range 20 {
		h.handle(Advertised{eth0, netip.MustParseAddr(fmt.Sprintf("fe80::%x", i+1)), &ra.Advertisement{Prefixes: []ra.Prefix{pio("2001:db8::/48", day, day)}}})
	}
	if n := len(h.a.links[eth0].routers); n != 0 {
		t.Errorf("%d routers are held", n)
	}
}

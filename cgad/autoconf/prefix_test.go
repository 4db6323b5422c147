// SPDX-License-Identifier: MIT

package autoconf

import (
	"net/netip"
	"testing"
	"time"

	"shim6/cgad/ra"
)

func TestAddressFromPrefix(t *testing.T) {
	h := twoLinks(t, testConfig(t))
	h.advertise(eth0, "fe80::1", pio(prefixA, day, time.Hour))
	h.wantAddrs("2 " + addrA)
	// Row 30: an address counts when it is no longer tentative.
	h.wantState(eth0, prefixA, Tentative)
	if h.reported(AddressReady) != 0 {
		t.Error("reported ready before duplicate address detection ended")
	}
	h.advance(2 * time.Second)
	h.wantState(eth0, prefixA, Ready)
	if h.reported(AddressReady) != 1 {
		t.Error("not reported ready")
	}
	s := h.status(eth0, prefixA)
	if s.Method != "CGA" || s.CollisionCount != 0 || s.ValidSeconds != 86398 || s.PreferredSeconds != 3598 {
		t.Errorf("status is %+v", s)
	}
}

// RFC 4862 section 5.5.3, steps a to d, and rows 9 to 16 and 18 of the checklist.
func TestWhichPrefixesGetAddresses(t *testing.T) {
	with := func(p ra.Prefix, change func(*ra.Prefix)) ra.Prefix { change(&p); return p }
	good := pio(prefixA, day, time.Hour)
	for _, tt := range []struct {
		name   string
		prefix ra.Prefix
		want   bool
		refuse int
	}{
		{"usual", good, true, 0},
		{"not autonomous", with(good, func(p *ra.Prefix) { p.Autonomous = false }), false, 0},
		{"not on-link", with(good, func(p *ra.Prefix) { p.OnLink = false }), true, 0},
		{"link-local", pio("fe80::/64", day, time.Hour), false, 0},
		{"link-local of another subnet", pio("febf:0:0:1::/64", day, time.Hour), false, 0},
		{"multicast", pio("ff0e::/64", day, time.Hour), false, 1},
		{"unspecified", pio("::/64", day, time.Hour), false, 1},
		{"preferred above valid", pio(prefixA, time.Hour, day), false, 1},
		{"preferred infinite above valid", pio(prefixA, time.Hour, ra.Infinite), false, 1},
		{"63 bits", pio("2001:db8:1:2::/63", day, time.Hour), false, 1},
		{"65 bits", pio("2001:db8:1:2::/65", day, time.Hour), false, 1},
		{"0 bits", pio("::/0", day, time.Hour), false, 1},
		{"valid lifetime 0", pio(prefixA, 0, 0), false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := twoLinks(t, testConfig(t))
			for range 3 {
				h.advertise(eth0, "fe80::1", tt.prefix)
			}
			if tt.want {
				h.wantAddrs("2 " + addrA)
			} else {
				h.wantAddrs()
			}
			// Row 14: logged once.
			if got := h.reported(PrefixRefused); got != tt.refuse {
				t.Errorf("refused %d times, want %d: %+v", got, tt.refuse, h.reports)
			}
		})
	}
}

// RFC 4861 section 6.3.4: a Router Lifetime of 0 says nothing about the options. Row 17.
func TestRouterLifetimeZero(t *testing.T) {
	h := twoLinks(t, testConfig(t))
	h.handle(Advertised{eth0, netip.MustParseAddr("fe80::1"), &ra.Advertisement{Prefixes: []ra.Prefix{pio(prefixA, day, day)}}})
	h.wantAddrs("2 " + addrA)
	if len(h.routes)+len(h.rules) != 0 {
		t.Errorf("routes %v and rules %v through a router that is no default router", h.routes, h.rules)
	}
}

// Rows 18 to 20.
func TestSeveralPrefixesAndRouters(t *testing.T) {
	h := twoLinks(t, testConfig(t))
	h.advertise(eth0, "fe80::1", pio(prefixA, day, day), pio(hbaA, day, day))
	h.wantAddrs("2 "+addrA, "2 "+hbaAddrA)
	h.advertise(eth0, "fe80::2", pio(prefixA, day, day))
	h.wantAddrs("2 "+addrA, "2 "+hbaAddrA)
	h.advance(time.Hour)
	before := h.status(eth0, hbaA)
	h.advertise(eth0, "fe80::1", pio(prefixA, day, day))
	if after := h.status(eth0, hbaA); after != before {
		t.Errorf("an advertisement without the prefix changed it from %+v to %+v", before, after)
	}
}

// RFC 4862 section 5.5.3 e and rows 21 to 26: remaining and received valid lifetime, and what it becomes.
func TestTwoHourRule(t *testing.T) {
	for _, tt := range []struct{ remaining, received, want time.Duration }{
		{ra.Infinite, 0, 2 * time.Hour},
		{day, 0, 2 * time.Hour},
		{90 * time.Minute, 0, 90 * time.Minute},
		{90 * time.Minute, 100 * time.Minute, 100 * time.Minute},
		{day, 3 * time.Hour, 3 * time.Hour},
		{30 * time.Minute, ra.Infinite, ra.Infinite},
		{30 * time.Minute, 10 * time.Minute, 30 * time.Minute},
		{30 * time.Minute, 40 * time.Minute, 40 * time.Minute},
		{day, 2 * time.Hour, 2 * time.Hour},
		{2 * time.Hour, time.Hour, 2 * time.Hour},
		{ra.Infinite, ra.Infinite, ra.Infinite},
	} {
		h := twoLinks(t, testConfig(t))
		h.advertise(eth0, "fe80::1", pio(prefixA, tt.remaining, tt.remaining))
		h.advertise(eth0, "fe80::1", pio(prefixA, tt.received, 0))
		h.advance(0)
		s := h.status(eth0, prefixA)
		if want := seconds(tt.want); s.ValidSeconds != want || s.PreferredSeconds != 0 {
			t.Errorf("remaining %v, received %v: valid %d s, preferred %d s; want %d and 0", tt.remaining, tt.received, s.ValidSeconds, s.PreferredSeconds, want)
		}
		// The kernel is told too, at once or after the pause.
		h.advance(time.Second)
		e := h.addrs["2 "+addrA]
		if d := tt.want - e.valid; e.preferred != 0 || d < 0 || d > time.Second {
			t.Errorf("remaining %v, received %v: the kernel has %v and %v", tt.remaining, tt.received, e.valid, e.preferred)
		}
	}
}

// Rows 27 to 29.
func TestLifetimesEnd(t *testing.T) {
	h := twoLinks(t, testConfig(t))
	h.advertise(eth0, "fe80::1", pio(prefixA, time.Hour, 10*time.Minute), pio(hbaA, ra.Infinite, ra.Infinite))
	if e := h.addrs["2 "+hbaAddrA]; e.valid != ra.Infinite || e.preferred != ra.Infinite {
		t.Errorf("infinite lifetimes were told as %v and %v", e.valid, e.preferred)
	}
	h.advance(11 * time.Minute)
	if s := h.status(eth0, prefixA); s.PreferredSeconds != 0 || s.State != Ready {
		t.Errorf("after the preferred lifetime: %+v", s)
	}
	h.advance(50 * time.Minute)
	h.wantAddrs("2 " + hbaAddrA)
	if h.reported(AddressExpired) != 1 {
		t.Error("the end of the valid lifetime was not reported")
	}
	h.advance(1000 * day)
	h.wantAddrs("2 " + hbaAddrA)
}

// A prefix that turns up on another link leaves the one that is down, and not one that is up.
func TestPrefixMovesToAnotherLink(t *testing.T) {
	h := twoLinks(t, testConfig(t))
	h.advertise(eth0, "fe80::1", pio(prefixA, day, day))
	h.advance(2 * time.Second)
	h.advertise(eth1, "fe80::1", pio(prefixA, day, day))
	h.advance(2 * time.Second)
	h.wantAddrs("2 "+addrA, "3 "+addrA)
	h.handle(LinkGone{eth1})
	delete(h.addrs, "3 "+addrA)
	for r := range h.routes {
		if r.Link == eth1 {
			delete(h.routes, r)
		}
	}

	h.link(eth0, "eth0", false)
	h.link(4, "eth2", true)
	h.advertise(4, "fe80::1", pio(prefixA, day, day))
	h.advance(2 * time.Second)
	h.wantAddrs("4 " + addrA)
	for r := range h.routes {
		if r.Link != 4 {
			t.Errorf("route %+v", r)
		}
	}
}

// Lifetimes that change with every advertisement reach the kernel twice a second at most.
func TestLifetimeFlood(t *testing.T) {
	h := twoLinks(t, testConfig(t))
	h.advertise(eth0, "fe80::1", pio(prefixA, day, day))
	h.advance(2 * time.Second)
	h.changed = 0
	for i := range 10000 {
		h.advertise(eth0, "fe80::1", pio(prefixA, day+time.Duration(i%2)*time.Hour, day))
		h.advance(time.Millisecond)
	}
	if h.changed > 21 {
		t.Errorf("%d changes in 10 s", h.changed)
	}
	h.advance(time.Second)
	if e := h.addrs["2 "+addrA]; e.valid < day-time.Minute {
		t.Errorf("the kernel has %v", e.valid)
	}
}

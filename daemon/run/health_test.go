// SPDX-License-Identifier: MIT

package run

import (
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"shim6/daemon/config"
	"shim6/daemon/ctl"
	"shim6/daemon/engine"
	"shim6/internal/rtnl"
)

// RFC 5533 section 5.15.3: "BROKEN" is said of a locator that is "known not to work", and only while it is.
func TestLostCarrierIsToldToPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := establishedPair(t)
		broken := func() bool {
			ls := p.b.contexts(t)[0].LocatorsPeer
			return ls[slices.IndexFunc(ls, func(l ctl.ContextLocator) bool { return l.Addr == p.a1 })].Broken
		}
		list := slices.Clone(p.a.addrs)
		list[0].Carrier = false
		p.a.setAddresses(slices.Clone(list)...)
		time.Sleep(time.Second)
		if !broken() {
			t.Error("the peer was not told of the loss")
		}
		if got := p.a.module.only(t).Paths[0]; got.Local != p.a2 {
			t.Errorf("the path is %v", got)
		}
		list[0].Carrier = true
		p.a.setAddresses(list...)
		time.Sleep(time.Second)
		if broken() {
			t.Error("the peer was not told of the return")
		}
	})
}

// RFC 5534 section 3.2: what is locally known not to work is not used.
func TestLostRouteStartsAnExploration(t *testing.T) {
	for name, all := range map[string]bool{"of the locator": true, "to one peer": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t)
				p.run(t)
				defer p.stop()
				p.establish(t)
				p.wires.setCut(p.a1, p.b1, true)
				p.wires.setCut(p.a1, p.b2, true)
				if !all {
					// Another peer that a1 can reach: only the hint about the pair remains.
					other := netip.MustParseAddr("2001:db8:c1::1")
					p.a.loop.call(t.Context(), func() {
						reaches := p.a.loop.ports.Reaches
						p.a.loop.ports.Reaches = func(src, dst netip.Addr) (bool, error) {
							if dst == other {
								return true, nil
							}
							return reaches(src, dst)
						}
						p.a.loop.handle(engine.Trigger{ULIDs: engine.ULIDPair{Local: p.a1, Peer: other}})
						for _, s := range p.a.loop.engine.Contexts() {
							p.a.loop.held[s.TagLocal] = &held{ulids: s.ULIDs} // as if the kernel had it
						}
					})
				}
				p.a.setRoutes(p.a1)
				time.Sleep(2 * time.Second)
				var current netip.Addr
				for _, c := range p.a.contexts(t) {
					if c.ULIDPeer == p.b1 {
						current = c.Current.Local
					}
				}
				if current != p.a2 {
					t.Errorf("payload leaves from %v", current)
				}
			})
		})
	}
}

// A locator that comes and goes is told to be well only when it stays; but the only one that is well is used at once.
func TestFlappingLocatorSettles(t *testing.T) {
	h := &health{well: true}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i, want := range []time.Duration{0, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second} {
		if h.observe(now, false) {
			t.Errorf("loss %d: trusted", i)
		}
		now = now.Add(time.Second)
		for _, d := range []time.Duration{0, want - 1, want} {
			if d >= 0 && h.observe(now.Add(d), true) != (d >= want) {
				t.Errorf("loss %d: %v after the return it is not as it should be", i, d)
			}
		}
		now = now.Add(want)
	}
	for range 100 {
		h.observe(now, false)
		h.observe(now, true)
	}
	if wait := h.settled.Sub(now); wait != time.Minute {
		t.Errorf("it settles for %v at most", wait)
	}
	now = now.Add(6 * time.Minute)
	h.observe(now, false)
	if !h.observe(now, true) {
		t.Error("failures of long ago count")
	}
}

// Where no locator works each is used: what the kernel tells of carriers can be late, as when a host has just moved. Among
// others that work, one without a carrier is no source, and one that failed often has to settle.
func TestLastLocatorsAreTrusted(t *testing.T) {
	h, l := still(t)
	broken := func() [2]bool { return [2]bool{l.told[0].Broken, l.told[1].Broken} }
	look := func(first, second bool) [2]bool {
		h.addrs[0].Carrier, h.addrs[1].Carrier = first, second
		l.refresh()
		return broken()
	}
	for _, tt := range []struct {
		first, second bool
		want          [2]bool
	}{
		{false, false, [2]bool{}}, {false, true, [2]bool{true, false}}, {true, true, [2]bool{}}, {false, true, [2]bool{true, false}},
		{true, true, [2]bool{}}, {false, true, [2]bool{true, false}}, {true, true, [2]bool{true, false}}, {true, false, [2]bool{}},
	} {
		if got := look(tt.first, tt.second); got != tt.want {
			t.Errorf("carriers %v and %v: broken %v, want %v", tt.first, tt.second, got, tt.want)
		}
	}
}

// RFC 5533 section 5.15.3: what the operator prefers is told to peers, and says where payload returns to.
func TestPreferencesAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		prefix, _ := p.a1.Prefix(64)
		p.a.cfg.Preferences = []config.Preference{{Prefix: prefix, Priority: 9, Weight: 3}}
		p.run(t)
		defer p.stop()
		p.establish(t)
		for _, l := range p.b.contexts(t)[0].LocatorsPeer {
			if want := l.Addr == p.a1; (l.Priority == 9 && l.Weight == 3) != want {
				t.Errorf("%+v", l)
			}
		}
		time.Sleep(5 * time.Minute)
		if got := p.a.module.only(t).Paths[0]; got.Local != p.a2 {
			t.Errorf("payload did not move to the preferred address: %v", got)
		}
	})
}

// Hints that are not wanted do nothing.
func TestHintsCanBeSwitchedOff(t *testing.T) {
	h, l := still(t)
	h.cfg.Hints.Link, h.cfg.Hints.Route = false, false
	h.addrs[0].Carrier = false
	l.refresh()
	if l.told[0].Broken {
		t.Error("a lost carrier counts")
	}
}

// Routes can change by the thousand; the addresses are looked at ten times a second, and after the last change.
func TestChangesAreTakenTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		p.a.run(t, p.wires)
		defer p.a.stop()
		var looks atomic.Int32
		list := p.a.loop.ports.Addresses
		p.a.loop.call(t.Context(), func() {
			p.a.loop.ports.Addresses = func() (a []rtnl.Address, err error) { looks.Add(1); return list() }
		})
		time.Sleep(time.Second)
		for range 1000 {
			p.a.changes <- struct{}{}
		}
		time.Sleep(time.Second)
		if n := looks.Load(); n != 2 {
			t.Errorf("%d looks, want 2", n)
		}
	})
}

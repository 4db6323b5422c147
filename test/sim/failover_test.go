// SPDX-License-Identifier: MIT

package sim_test

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"shim6/daemon/engine"
	"shim6/daemon/reap"
	"shim6/daemon/shim6"
	"shim6/test/sim"
)

const delay = 25 * time.Millisecond

// two makes two hosts with a context and payload both ways.
func two(t *testing.T, seed byte, sendTimeout time.Duration, aLocators, bLocators []string) (w *sim.World, a, b *sim.Host, flows [2]*sim.Flow) {
	t.Helper()
	w = sim.NewWorld(uint64(seed))
	w.Links.Delay = delay
	add := func(name string, locators []string) *sim.Host {
		h, err := w.AddHost(name, sim.CGA, engine.Config{Seed: [32]byte{seed, name[0]}, SendTimeout: sendTimeout}, locators...)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	a, b = add("a", aLocators), add("b", bLocators)
	w.Run(10 * time.Millisecond)
	a.Handle(engine.Trigger{ULIDs: engine.ULIDPair{Local: a.ULID(), Peer: b.ULID()}})
	w.Run(time.Second)
	flows = [2]*sim.Flow{a.Flow(b, 20*time.Millisecond), b.Flow(a, 20*time.Millisecond)}
	w.Run(2*time.Second + time.Duration(seed)*7*time.Millisecond)
	for _, h := range []*sim.Host{a, b} {
		if s := context(t, h); s.State != shim6.StateEstablished || s.Reap != reap.Operational {
			t.Fatalf("%s: %v, %v", h.Name, s.State, s.Reap)
		}
	}
	return w, a, b, flows
}

func context(t *testing.T, h *sim.Host) engine.Snapshot {
	t.Helper()
	cs := h.Engine.Contexts()
	if len(cs) != 1 {
		t.Fatalf("%s has %d contexts", h.Name, len(cs))
	}
	return cs[0]
}

func cutBoth(w *sim.World, x, y netip.Addr) {
	w.Links.Cut(x, y)
	w.Links.Cut(y, x)
}

// The path in use dies without a word. The Send Timer of the first packet without answer finds it, and the first probe goes on
// another pair: so payload is back after Send Timeout, the packet interval before it started, and four ways through the net.
func TestFailoverTime(t *testing.T) {
	for seed := range byte(20) {
		w, a, b, flows := two(t, seed, 3*time.Second, []string{"a1", "a2"}, []string{"b1"})
		cutBoth(w, a.Addr("a1"), b.Addr("b1"))
		w.Run(3*time.Second + 4*delay + 40*time.Millisecond)
		for _, h := range []*sim.Host{a, b} {
			s := context(t, h)
			if s.Reap != reap.Operational || s.Current.Local == a.Addr("a1") || s.Current.Peer == a.Addr("a1") {
				t.Errorf("seed %d: %s: %v on %v", seed, h.Name, s.Reap, s.Current)
			}
		}
		w.Run(time.Second)
		for i, f := range flows {
			if most := 3*time.Second + 4*delay + 60*time.Millisecond; f.LongestGap > most {
				t.Errorf("seed %d: flow %d was interrupted for %v, at most %v", seed, i, f.LongestGap, most)
			}
			if f.LastArrival.Before(w.Now.Add(-100 * time.Millisecond)) {
				t.Errorf("seed %d: flow %d is still interrupted", seed, i)
			}
		}
	}
}

// The same over links that lose one packet in seven: each lost probe or answer costs a probe gap.
func TestFailoverTimeWithLoss(t *testing.T) {
	var sum time.Duration
	for seed := range byte(30) {
		w, a, b, flows := two(t, seed, 3*time.Second, []string{"a1", "a2"}, []string{"b1", "b2"})
		w.Links.Loss = 0.15
		w.Run(time.Second)
		cutBoth(w, a.Addr("a1"), b.Addr("b1"))
		w.Run(12 * time.Second)
		for i, f := range flows {
			sum += f.LongestGap
			if f.LongestGap > 9*time.Second || f.LastArrival.Before(w.Now.Add(-time.Second)) {
				t.Errorf("seed %d: flow %d was interrupted for %v, last packet %v ago", seed, i, f.LongestGap, w.Now.Sub(f.LastArrival))
			}
		}
	}
	if mean := sum / 60; mean > 4500*time.Millisecond {
		t.Errorf("interrupted for %v on average", mean)
	}
}

// Only one direction of the path dies. The other side notices, and one working pair for each direction is found.
func TestFailoverOfOneDirection(t *testing.T) {
	for seed := range byte(20) {
		w, a, b, flows := two(t, seed, 3*time.Second, []string{"a1", "a2"}, []string{"b1", "b2"})
		w.Links.Cut(a.Addr("a1"), b.Addr("b1"))
		w.Run(3*time.Second + 6*delay + 40*time.Millisecond)
		s := context(t, a)
		if s.Current == (engine.LocatorPair{Local: a.Addr("a1"), Peer: b.Addr("b1")}) {
			t.Errorf("seed %d: still on the dead path", seed)
		}
		w.Run(time.Second)
		if flows[1].LongestGap > 100*time.Millisecond {
			t.Errorf("seed %d: the good direction was interrupted for %v", seed, flows[1].LongestGap)
		}
		if most := 3*time.Second + 6*delay + 60*time.Millisecond; flows[0].LongestGap > most {
			t.Errorf("seed %d: interrupted for %v", seed, flows[0].LongestGap)
		}
	}
}

// RFC 5534 section 4.2: REAP works "even in the case of having only unidirectionally operational address pairs".
func TestOnlyUnlikePairsWork(t *testing.T) {
	for seed := range byte(20) {
		w, a, b, _ := two(t, seed, 3*time.Second, []string{"a1", "a2"}, []string{"b1", "b2"})
		for _, x := range []string{"a1", "a2"} {
			for _, y := range []string{"b1", "b2"} {
				if x+y != "a2b1" {
					w.Links.Cut(a.Addr(x), b.Addr(y))
				}
				if x+y != "a1b2" {
					w.Links.Cut(b.Addr(y), a.Addr(x))
				}
			}
		}
		w.Run(12 * time.Second)
		x, y := context(t, a), context(t, b)
		if x.Current != (engine.LocatorPair{Local: a.Addr("a2"), Peer: b.Addr("b1")}) ||
			y.Current != (engine.LocatorPair{Local: b.Addr("b2"), Peer: a.Addr("a1")}) ||
			x.Reap != reap.Operational || y.Reap != reap.Operational {
			t.Errorf("seed %d: %v on %v, %v on %v", seed, x.Reap, x.Current, y.Reap, y.Current)
		}
	}
}

// Whatever happened to the links and the hosts: once all is well again, both sides are Operational within a bound, on the same
// context, and payload flows.
func TestEverythingHeals(t *testing.T) {
	for seed := range byte(40) {
		rng := rand.New(rand.NewChaCha8([32]byte{seed, 1}))
		w, a, b, flows := two(t, seed, time.Second, []string{"a1", "a2", "a3"}, []string{"b1", "b2"})
		as, bs := []string{"a1", "a2", "a3"}, []string{"b1", "b2"}
		pick := func(names []string) string { return names[rng.IntN(len(names))] }
		for range 60 {
			x, y := a.Addr(pick(as)), b.Addr(pick(bs))
			switch rng.IntN(9) {
			case 0, 1:
				w.Links.Cut(x, y)
			case 2, 3:
				w.Links.Cut(y, x)
			case 4:
				cutBoth(w, x, y)
			case 5:
				w.Links.Heal(x, y)
				w.Links.Heal(y, x)
			case 6:
				a.SetUp(x, rng.IntN(2) == 0)
			case 7:
				w.Links.Loss = rng.Float64() / 2
			case 8:
				if h := []*sim.Host{a, b}[rng.IntN(2)]; len(h.Engine.Contexts()) > 0 && rng.IntN(3) == 0 {
					h.Handle(engine.DeleteContext{Tag: context(t, h).TagLocal})
				}
			}
			w.Run(time.Duration(rng.IntN(3000)) * time.Millisecond)
		}
		w.Links.Loss = 0
		for _, x := range as {
			a.SetUp(a.Addr(x), true)
			for _, y := range bs {
				w.Links.Heal(a.Addr(x), b.Addr(y))
				w.Links.Heal(b.Addr(y), a.Addr(x))
			}
		}
		// A host that forgot and was forgotten needs to be asked again, as a heuristic would.
		w.Run(5 * time.Minute)
		a.Handle(engine.Trigger{ULIDs: engine.ULIDPair{Local: a.ULID(), Peer: b.ULID()}})
		w.Run(time.Minute)
		x, y := context(t, a), context(t, b)
		if x.State != shim6.StateEstablished || y.State != shim6.StateEstablished || x.TagLocal != y.TagPeer || x.TagPeer != y.TagLocal {
			t.Errorf("seed %d: %v with %v %v, %v with %v %v", seed, x.State, x.TagLocal, x.TagPeer, y.State, y.TagPeer, y.TagLocal)
		}
		if x.Reap != reap.Operational || y.Reap != reap.Operational {
			t.Errorf("seed %d: %v and %v", seed, x.Reap, y.Reap)
		}
		for i, f := range flows {
			if f.LastArrival.Before(w.Now.Add(-time.Second)) {
				t.Errorf("seed %d: flow %d: last packet %v ago", seed, i, w.Now.Sub(f.LastArrival))
			}
		}
	}
}

// RFC 5534 section 4.3: "exponential back-off": a peer that is gone costs ever less. Ten minutes cost 4 probes of the burst, 7
// while the gap doubles, and one a minute.
func TestExplorationOfNothingIsCheap(t *testing.T) {
	w, a, b, _ := two(t, 1, 3*time.Second, []string{"a1", "a2"}, []string{"b1"})
	cutBoth(w, a.Addr("a1"), b.Addr("b1"))
	cutBoth(w, a.Addr("a2"), b.Addr("b1"))
	before := context(t, a).ProbesSent
	w.Run(10 * time.Minute)
	if n := context(t, a).ProbesSent - before; n < 15 || n > 24 {
		t.Errorf("%d probes in ten minutes", n)
	}
}

// SPDX-License-Identifier: MIT

package engine_test

import (
	"net/netip"
	"testing"
	"time"

	"shim6/daemon/engine"
	"shim6/daemon/reap"
	"shim6/daemon/shim6"
)

func toward(prefix string, p engine.Policy) engine.Config {
	p.Prefix = netip.MustParsePrefix(prefix)
	return engine.Config{Policies: []engine.Policy{p}}
}

// A policy that refuses contexts does so for both sides, and only towards its prefix.
func TestPolicyRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		policy         engine.Policy
		ours, theirs   bool // whether a context comes of our trigger, and of the peer's
		prefix, reason string
	}{
		"refuse":             {engine.Policy{Refuse: true}, false, false, "2001:db8:b1::/48", "policy"},
		"no trigger":         {engine.Policy{NoTrigger: true}, false, true, "2001:db8:b1::/48", "policy"},
		"of somebody else":   {engine.Policy{Refuse: true}, true, true, "2001:db8:ff::/48", ""},
		"of the whole world": {engine.Policy{Refuse: true}, false, false, "::/0", "policy"},
	} {
		for _, ours := range []bool{true, false} {
			w := newWorld(t)
			a := w.add("a", toward(tc.prefix, tc.policy), locators(t, "a", "2001:db8:a1::/64", "2001:db8:a2::/64"))
			b := w.add("b", engine.Config{}, locators(t, "b", "2001:db8:b1::/64", "2001:db8:b2::/64"))
			want := tc.theirs
			if ours {
				want = tc.ours
				if acts := a.trigger(b); !want && reasons(acts) != tc.reason {
					t.Errorf("%s: refused for %q", name, reasons(acts))
				}
			} else {
				b.trigger(a)
			}
			w.settle()
			got := len(a.e.Contexts()) == 1 && a.e.Contexts()[0].State == shim6.StateEstablished
			if got != want {
				t.Errorf("%s, asked for by us %v: a context is there %v, want %v", name, ours, got, want)
			}
		}
	}
}

func TestLongestPolicyCounts(t *testing.T) {
	cfg := toward("2001:db8::/32", engine.Policy{Refuse: true})
	cfg.Policies = append(cfg.Policies, engine.Policy{Prefix: netip.MustParsePrefix("2001:db8:b1::/48"), SendTimeout: 3 * time.Second, Teardown: time.Hour})
	w := newWorld(t)
	a := w.add("a", cfg, locators(t, "a", "2001:db8:a1::/64", "2001:db8:a2::/64"))
	b := w.add("b", engine.Config{}, locators(t, "b", "2001:db8:b1::/64"))
	a.trigger(b)
	w.settle()
	if s := a.only(); s.SendTimeout != 3*time.Second || s.Teardown != time.Hour {
		t.Errorf("timeouts %v and %v", s.SendTimeout, s.Teardown)
	}
	if s := b.only(); s.KeepaliveTimeout != 3*time.Second {
		t.Errorf("the peer keeps alive for %v", s.KeepaliveTimeout)
	}
}

// Another configuration is for contexts to come; those that are there keep their timeouts, which peers go by, and their paths.
func TestConfigureLeavesContextsAlone(t *testing.T) {
	w, a, b := established(t, engine.Config{})
	before := a.only()
	cfg := toward("2001:db8:b1::/48", engine.Policy{Refuse: true})
	cfg.SendTimeout, cfg.Teardown, cfg.FailBack = 2*time.Second, time.Minute, time.Second
	acts := a.handle(engine.Configure{Config: cfg})
	for _, kind := range []int{len(pick[engine.RemoveContext](acts)), len(pick[engine.SendPacket](acts)), len(pick[engine.SetReap](acts))} {
		if kind != 0 {
			t.Errorf("%s", kinds(acts))
		}
	}
	if s := a.only(); s.SendTimeout != before.SendTimeout || s.Teardown != before.Teardown || s.Current != before.Current || s.TagPeer != before.TagPeer {
		t.Errorf("%+v, before %+v", s, before)
	}
	a.handle(engine.DeleteContext{Tag: before.TagLocal})
	if acts := a.trigger(b); reasons(acts) != "policy" {
		t.Errorf("a new context is refused for %q", reasons(acts))
	}
	w.settle()
}

func TestConfigureRefusesNonsense(t *testing.T) {
	_, a, _ := established(t, engine.Config{})
	for name, cfg := range map[string]engine.Config{
		"send timeout": {SendTimeout: time.Millisecond},
		"policy":       toward("::/0", engine.Policy{Teardown: time.Second}),
		"no prefix":    {Policies: []engine.Policy{{}}},
	} {
		if acts := a.handle(engine.Configure{Config: cfg}); reasons(acts) != "bad-config" {
			t.Errorf("%s: %q", name, reasons(acts))
		}
	}
}

// Among local locators of the same priority the cheaper one is probed first, and a policy for a peer goes before what is said
// of all.
func TestCostsDecide(t *testing.T) {
	for name, tc := range map[string]struct {
		costs    [3]uint8
		policies []engine.LocalPolicy
		want     int
	}{
		"second is cheap": {[3]uint8{5, 1, 9}, nil, 1},
		"third is cheap":  {[3]uint8{5, 9, 1}, nil, 2},
		"policy":          {[3]uint8{5, 1, 9}, []engine.LocalPolicy{{Prefix: netip.MustParsePrefix("2001:db8:a3::/64"), Cost: 0}, {Prefix: netip.MustParsePrefix("2001:db8::/32"), Cost: 7}}, 2},
	} {
		w := newWorld(t)
		cfg := toward("::/0", engine.Policy{Locators: tc.policies})
		locs := locators(t, "a", "2001:db8:a1::/64", "2001:db8:a2::/64", "2001:db8:a3::/64")
		for i := range locs {
			locs[i].Cost = tc.costs[i]
		}
		a := w.add("a", cfg, locs)
		b := w.add("b", engine.Config{}, locators(t, "b", "2001:db8:b1::/64"))
		a.trigger(b)
		w.settle()
		w.lost = func(p engine.SendPacket) bool { return p.Src == a.addr(0) || p.Dst == a.addr(0) }
		a.timeout()
		w.advance(10 * time.Second)
		if s := a.only(); s.Current.Local != a.addr(tc.want) {
			t.Errorf("%s: on %v", name, s.Current.Local)
		}
	}
}

// A switch waits for the new pair to prove itself, and is not undone by fail-back.
func TestSwitchPath(t *testing.T) {
	w, a, b := established(t, engine.Config{FailBack: time.Second})
	to := engine.LocatorPair{Local: a.addr(1), Peer: b.addr(1)}
	acts := a.handle(engine.SwitchPath{Tag: a.only().TagLocal, Pair: to})
	if n := len(pick[engine.PathChanged](acts)); n != 0 || len(pick[engine.ProbeSent](acts)) != 1 {
		t.Fatalf("at once: %s", kinds(acts))
	}
	w.settle()
	if s := a.only(); s.Current != to || s.Reap != reap.Operational || len(s.Ranking) != 1 {
		t.Fatalf("%v on %v, ranking %v", s.Reap, s.Current, s.Ranking)
	}
	if p := lastProgram(t, a.acts); p.Paths[0] != to {
		t.Errorf("the kernel sends on %v", p.Paths[0])
	}
	if s := b.only(); s.Current.Local != b.addr(0) || s.Reap != reap.Operational {
		t.Errorf("the peer is %v on %v", s.Reap, s.Current)
	}
	w.advance(time.Hour)
	if s := a.only(); s.Current != to {
		t.Errorf("an hour later on %v", s.Current)
	}
	a.handle(engine.PreferPairs{Tag: a.only().TagLocal})
	w.settle()
	if s := a.only(); s.Current != engine.LocatorPair(s.ULIDs) || len(s.Ranking) != 0 {
		t.Errorf("without a ranking on %v", s.Current)
	}
}

// RFC 5534 section 4.1: a locator pair is used when it is known to work. One that does not answer is not switched to.
func TestSwitchToADeadPathFails(t *testing.T) {
	w, a, b := established(t, engine.Config{})
	to := engine.LocatorPair{Local: a.addr(1), Peer: b.addr(0)}
	w.lost = func(p engine.SendPacket) bool { return p.Src == to.Local }
	before := a.only().Current
	a.take()
	a.handle(engine.SwitchPath{Tag: a.only().TagLocal, Pair: to})
	w.advance(10 * time.Second)
	acts := a.take()
	if f := pick[engine.SwitchFailed](acts); len(f) != 1 || f[0].To != to || f[0].Why != "no answer" || len(pick[engine.ProbeSent](acts)) != 4 {
		t.Errorf("%+v, %s", f, kinds(acts))
	}
	if s := a.only(); s.Current != before || s.Reap != reap.Operational || len(s.Ranking) != 0 {
		t.Errorf("%v on %v", s.Reap, s.Current)
	}
	nowhere := engine.LocatorPair{Local: a.addr(1), Peer: netip.MustParseAddr("2001:db8:ff::1")}
	if f := pick[engine.SwitchFailed](a.handle(engine.SwitchPath{Tag: a.only().TagLocal, Pair: nowhere})); len(f) != 1 {
		t.Errorf("to an address of nobody: %+v", f)
	}
}

// A ranking says where payload goes now, and where it goes after a failure.
func TestPreferPairs(t *testing.T) {
	w, a, b := established(t, engine.Config{})
	at := func(i, j int) engine.LocatorPair { return engine.LocatorPair{Local: a.addr(i), Peer: b.addr(j)} }
	a.handle(engine.PreferPairs{Tag: a.only().TagLocal, Pairs: []engine.LocatorPair{at(1, 0), at(1, 1), at(0, 0)}})
	w.settle()
	if s := a.only(); s.Current != at(1, 0) {
		t.Fatalf("on %v", s.Current)
	}
	w.lost = func(p engine.SendPacket) bool { return p.Src == a.addr(1) && p.Dst == b.addr(0) }
	a.timeout()
	w.advance(5 * time.Second)
	if s := a.only(); s.Current != at(1, 1) {
		t.Errorf("after a failure on %v", s.Current)
	}
	// A snapshot carries it over a restart.
	s := a.only()
	again := w.add("c", engine.Config{}, a.locs)
	again.handle(engine.AdoptContext{Snapshot: s})
	if got := again.only().Ranking; len(got) != 3 || got[0] != at(1, 0) {
		t.Errorf("adopted with %v", got)
	}
}

// What Probes tell of a pair: how many, how many of them were answered, and how long that took.
func TestMeasures(t *testing.T) {
	w, a, b := established(t, engine.Config{})
	to := engine.LocatorPair{Local: a.addr(1), Peer: b.addr(1)}
	a.handle(engine.SwitchPath{Tag: a.only().TagLocal, Pair: to})
	w.settle()
	w.lost = func(p engine.SendPacket) bool { return p.Src == a.addr(0) }
	a.handle(engine.SwitchPath{Tag: a.only().TagLocal, Pair: engine.LocatorPair{Local: a.addr(0), Peer: b.addr(0)}})
	w.advance(20 * time.Second)
	ms := a.only().Measures
	if len(ms) != 2 || ms[0].Pair != reap.Pair(to) || ms[0].Sent != 1 || ms[0].Answered != 1 || ms[0].Last.IsZero() {
		t.Fatalf("%+v", ms)
	}
	if m := ms[1]; m.Sent != 4 || m.Answered != 0 || !m.Last.IsZero() {
		t.Errorf("%+v", m)
	}
}

// The messages of the exchanges are told with their context.
func TestMessagesAreTold(t *testing.T) {
	w, a, b := pair(t, engine.Config{})
	a.take()
	a.trigger(b)
	w.settle()
	var got []string
	for _, act := range a.acts {
		switch m := act.(type) {
		case engine.MessageSent:
			got = append(got, "> "+m.Type.String())
		case engine.MessageReceived:
			got = append(got, "< "+m.Type.String())
		}
	}
	if want := []string{"> I1", "< R1", "> I2", "< R2"}; len(got) != 4 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] || got[3] != want[3] {
		t.Errorf("%q", got)
	}
}

// SPDX-License-Identifier: MIT

package reap_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"shim6/daemon/reap"
)

// RFC 5534 section 4.3: "The value Initial Probe Timeout (0.5 seconds) specifies the interval between initial attempts to
// send probes; the Number of Initial Probes (4) specifies how many initial probes can be sent before the exponential
// back-off procedure needs to be employed." "Finally, Max Probe Timeout (60 seconds) specifies a limit beyond which the
// probe interval may not grow. If the exploration process reaches this interval, it will continue sending at this rate".
func TestProbeSchedule(t *testing.T) {
	nominal := []float64{.5, .5, .5, .5, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60}
	for seed := range byte(20) {
		b := newBench(seed)
		b.took(b.SendTimeoutExpired(b.now, b.epoch))
		for i, want := range nominal {
			last := b.now
			if got := b.expire(); len(got) != 1 || len(b.probes) != i+2 {
				t.Fatalf("deadline %d: %q", i, got)
			}
			if gap := b.now.Sub(last).Seconds(); gap < .8*want || gap > 1.2*want {
				t.Errorf("seed %d, gap %d: %.3f s, want %v s or 20 %% more or less", seed, i, gap, want)
			}
		}
	}
}

// RFC 5534 section 7 and the timers of RFC 5533: hosts that lose a path together must not stay in step.
func TestProbesAreJittered(t *testing.T) {
	seen := map[time.Time]bool{}
	for seed := range byte(20) {
		b := newBench(seed)
		b.took(b.SendTimeoutExpired(b.now, b.epoch))
		seen[b.Deadline()] = true
	}
	if len(seen) != 20 {
		t.Errorf("20 machines, %d deadlines", len(seen))
	}
}

// A reply does not touch the schedule: a flood of probes neither delays nor hurries the exploration.
func TestRepliesLeaveTheScheduleAlone(t *testing.T) {
	b := in(reap.InboundOk)
	want := b.Deadline()
	for range 5 {
		b.probe(first, reap.Exploring)
	}
	if b.Deadline() != want {
		t.Errorf("deadline moved by %v", b.Deadline().Sub(want))
	}
	if got := b.took(b.Expire(want.Add(-1))); got != nil {
		t.Errorf("before the deadline: %q", got)
	}
}

// RFC 5534 section 6.4: the state falls back to Exploring when the peer goes silent again; the burst begins anew.
func TestBurstRestartsWithExploring(t *testing.T) {
	b := in(reap.InboundOk)
	for range 9 {
		b.expire()
	}
	b.took(b.SendTimeoutExpired(b.now, b.epoch))
	if gap := b.Deadline().Sub(b.now); gap > 600*time.Millisecond {
		t.Errorf("gap %v", gap)
	}
}

// RFC 5534 section 4.3: "nodes SHOULD attempt to test through all of them until an operational pair is found, and retry
// the process as necessary. However, all nodes MUST perform this process sequentially and with exponential back-off."
// Pairs that share nothing with the dead one come first, the dead one comes last.
func TestExplorationOrder(t *testing.T) {
	heads := map[reap.Pair]int{}
	for seed := range byte(30) {
		b := newBench(seed)
		b.took(b.SetCandidates(b.now, addrs(a1, a2), addrs(b1, b2, b3)))
		b.took(b.SendTimeoutExpired(b.now, b.epoch))
		for len(b.pairs) < 12 {
			b.expire()
		}
		for _, round := range [][]reap.Pair{b.pairs[:6], b.pairs[6:12]} {
			for i, p := range round {
				same := 0
				if p.Local == a1 {
					same++
				}
				if p.Peer == b1 {
					same++
				}
				if want := []int{0, 0, 1, 1, 1, 2}[i]; same != want {
					t.Errorf("seed %d: probe %d on %s shares %d addresses, want %d", seed, i, pairName(p), same, want)
				}
				if slices.Contains(round[:i], p) {
					t.Errorf("seed %d: %s again before all were tried", seed, pairName(p))
				}
			}
		}
		heads[b.pairs[0]]++
	}
	if len(heads) != 2 {
		t.Errorf("first probes %v, want both pairs of the first class", heads)
	}
}

// RFC 5533 section 5.15.3: a peer may say of a locator that it is "known not to work"; it is tried when all others were.
func TestBrokenLocatorsComeLast(t *testing.T) {
	b := newBench(1)
	b.took(b.SetCandidates(b.now, addrs(a1, a2), append(addrs(b1, b3), reap.Candidate{Addr: b2, Avoid: true})))
	b.took(b.SendTimeoutExpired(b.now, b.epoch))
	for len(b.pairs) < 6 {
		b.expire()
	}
	for i, p := range b.pairs {
		if (p.Peer == b2) != (i >= 4) {
			t.Errorf("probe %d on %s", i, pairName(p))
		}
	}
}

// An operator's question is about the path in use, so that one is probed first.
func TestExploreCurrentFirst(t *testing.T) {
	b := newBench(1)
	b.took(b.Explore(b.now, "asked for", true))
	if b.lastPair() != first {
		t.Errorf("first probe on %s", pairName(b.lastPair()))
	}
	b.probe(first, reap.InboundOk, b.lastReport())
	if b.State() != reap.Operational || b.Current() != first {
		t.Errorf("%v on %s", b.State(), pairName(b.Current()))
	}
}

// RFC 5534 appendix A example 4: the way back of the probe that arrived is the best guess.
func TestReplyGoesBackWhereTheProbeCameFrom(t *testing.T) {
	for _, s := range []reap.State{reap.Operational, reap.Exploring, reap.InboundOk} {
		for _, p := range []reap.Pair{first, other, {Local: a1, Peer: b2}, {Local: a2, Peer: b1}} {
			b := in(s)
			b.probe(p, reap.Exploring)
			if b.lastPair() != p {
				t.Errorf("in %v: reply on %s to a probe on %s", s, pairName(b.lastPair()), pairName(p))
			}
		}
	}
	// Not to an address that is no candidate, though: it may not be verified.
	b := in(reap.Operational)
	b.probe(reap.Pair{Local: a1, Peer: b3}, reap.Exploring)
	if b.lastPair().Peer == b3 {
		t.Error("an address that is no candidate was probed")
	}
}

// RFC 5534 section 3.1: an address that went is no candidate any more, one that came is tried at once.
func TestCandidatesChange(t *testing.T) {
	b := in(reap.Exploring)
	for range 6 {
		b.expire()
	}
	b.took(b.SetCandidates(b.now, addrs(a2), addrs(b1, b2)))
	n := len(b.pairs)
	for range 8 {
		b.expire()
	}
	for _, p := range b.pairs[n:] {
		if p.Local == a1 {
			t.Errorf("probe from an address that is gone: %s", pairName(p))
		}
	}
	n = len(b.pairs)
	b.took(b.SetCandidates(b.now, addrs(a2), addrs(b1, b2, b3)))
	if len(b.pairs) != n+1 || b.lastPair() != (reap.Pair{Local: a2, Peer: b3}) {
		t.Errorf("last probe on %s, want the new pair", pairName(b.lastPair()))
	}
	if gap := b.Deadline().Sub(b.now); gap > 600*time.Millisecond {
		t.Errorf("next probe in %v, want a new burst", gap)
	}
}

func TestNoCandidates(t *testing.T) {
	b := newBench(1)
	b.took(b.SetCandidates(b.now, nil, addrs(b1)))
	b.took(b.SendTimeoutExpired(b.now, b.epoch))
	for range 5 {
		if b.Deadline().IsZero() {
			t.Fatal("gave up")
		}
		b.expire()
	}
	if len(b.probes) != 0 {
		t.Fatalf("probe on %v", b.lastPair())
	}
	b.took(b.SetCandidates(b.now, addrs(a2), addrs(b1)))
	if len(b.probes) != 1 {
		t.Error("the first candidate was not probed at once")
	}
}

// RFC 5533 section 5.15.3: Priority and Weight are those of DNS SRV records: the lowest priority is tried first (RFC 2782),
// ours before the peer's (RFC 5534 section 4.3), and within one a locator of three times the weight comes first three times
// as often.
func TestPriorityAndWeight(t *testing.T) {
	heads := map[reap.Pair]int{}
	for seed := range byte(200) {
		b := newBench(seed)
		b.took(b.SetCandidates(b.now, addrs(a1, a2), []reap.Candidate{
			{Addr: b1, Priority: 9}, {Addr: b2, Priority: 2, Weight: 30}, {Addr: b3, Priority: 2, Weight: 10},
		}))
		b.took(b.SendTimeoutExpired(b.now, b.epoch))
		for len(b.pairs) < 6 {
			b.expire()
		}
		heads[b.pairs[0]]++
		for i, p := range b.pairs {
			if (p.Peer == b1) != (i >= 4) {
				t.Fatalf("probe %d on %s", i, pairName(p))
			}
		}
	}
	if n := heads[reap.Pair{Local: a2, Peer: b2}]; n < 130 || n > 170 || len(heads) != 2 {
		t.Errorf("first probes %v", heads)
	}
	b := newBench(1)
	b.took(b.SetCandidates(b.now, []reap.Candidate{{Addr: a1, Priority: 1}, {Addr: a2, Priority: 2}}, []reap.Candidate{
		{Addr: b1, Priority: 5}, {Addr: b2, Priority: 0},
	}))
	b.took(b.SendTimeoutExpired(b.now, b.epoch))
	for len(b.pairs) < 4 {
		b.expire()
	}
	for i, p := range []reap.Pair{{Local: a1, Peer: b2}, {Local: a2, Peer: b2}, {Local: a2, Peer: b1}, {Local: a1, Peer: b1}} {
		if b.pairs[i] != p {
			t.Errorf("probe %d on %s, want %s", i, pairName(b.pairs[i]), pairName(p))
		}
	}
}

// RFC 5534 section 4.3 asks for the order of address selection: pairs of one label come first (RFC 6724 section 6 rule 5), so a
// unique local address is not tried with a global one, nor 6to4 and Teredo ones with others, while there is something better.
func TestPairsOfOneLabelComeFirst(t *testing.T) {
	local, peer := netip.MustParseAddr("fd00:a::1"), netip.MustParseAddr("fd00:b::1")
	sixToFour, teredo := netip.MustParseAddr("2002:a::1"), netip.MustParseAddr("2001::1")
	for seed := range byte(20) {
		b := newBench(seed)
		b.took(b.SetCandidates(b.now, addrs(a1, a2, local), addrs(b1, peer, sixToFour, teredo)))
		b.took(b.SendTimeoutExpired(b.now, b.epoch))
		for len(b.pairs) < 12 {
			b.expire()
		}
		if head := b.pairs[:2]; !slices.Contains(head, reap.Pair{Local: a2, Peer: b1}) || !slices.Contains(head, reap.Pair{Local: local, Peer: peer}) {
			t.Errorf("seed %d: first %v", seed, head)
		}
		if last := b.pairs[11]; last != first {
			t.Errorf("seed %d: last %s", seed, pairName(last))
		}
	}
}

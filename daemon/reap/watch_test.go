// SPDX-License-Identifier: MIT

package reap_test

import (
	"slices"
	"testing"
	"time"

	"shim6/daemon/reap"
	"shim6/daemon/wire"
)

const (
	stable  = time.Minute
	timeout = 10 * time.Second
)

func (b *bench) plan(failBack, timeout time.Duration) {
	b.took(b.SetWatch(b.now, reap.WatchPlan{Home: &first, FailBack: failBack, Timeout: timeout}))
}

// round moves the clock to the next probes, past the time for answers to the last ones.
func (b *bench) round() []string {
	for {
		if got := b.expire(); got != nil || b.Deadline().IsZero() {
			return got
		}
	}
}

// away gives a bench whose payload had to leave the first pair.
func away(t *testing.T) *bench {
	t.Helper()
	b := newBench(1)
	b.plan(stable, timeout)
	b.took(b.SendTimeoutExpired(b.now, b.epoch))
	for b.lastPair() != other {
		b.expire()
	}
	b.probe(other, reap.InboundOk, b.lastReport())
	if b.State() != reap.Operational || b.Current() != other {
		t.Fatalf("%v on %s", b.State(), pairName(b.Current()))
	}
	return b
}

// answer lets the peer, which is in Operational, answer the last probe on the pair that it uses.
func (b *bench) answer() []string { return b.probe(other, reap.Operational, b.lastReport()) }

// RFC 5534 section 6.8: a peer in Operational answers a Probe that says InboundOk with one Probe and does not move. So the
// first pair is watched while payload goes elsewhere, and payload returns when all probes of a minute were answered. The
// probes are further apart than a Send Timeout, which each of them starts anew.
func TestFailBack(t *testing.T) {
	b := away(t)
	var answered []time.Time
	for b.Current() == other {
		last := b.now
		got := b.round()
		if !slices.Equal(got, []string{"probe InboundOk sent 1 received 0"}) || b.lastPair() != first || b.State() != reap.Operational {
			t.Fatalf("%q on %s in %v", got, pairName(b.lastPair()), b.State())
		}
		if gap := b.now.Sub(last); gap <= timeout {
			t.Errorf("a probe after %v", gap)
		}
		answered = append(answered, b.now)
		b.answer()
	}
	if held := answered[len(answered)-1].Sub(answered[0]); b.Current() != first || held < stable || len(answered) < 4 {
		t.Errorf("back on %s after %v and %d probes", pairName(b.Current()), held, len(answered))
	}
	if !b.Deadline().IsZero() {
		t.Error("the watch goes on")
	}
}

// One probe without an answer, and the time begins anew; a pair that does not answer is probed ever more rarely.
func TestFailBackNeedsEveryAnswer(t *testing.T) {
	b := away(t)
	for range 3 {
		b.round()
		b.answer()
	}
	b.round() // lost
	var gap time.Duration
	for range 6 {
		last := b.now
		b.round()
		gap = b.now.Sub(last)
	}
	if gap < 40*time.Second || gap > 80*time.Second {
		t.Errorf("a gap of %v after six losses", gap)
	}
	b.answer()
	again := b.now
	for b.Current() == other {
		b.round()
		b.answer()
	}
	if b.now.Sub(again) < stable {
		t.Errorf("back after %v", b.now.Sub(again))
	}
}

// A path that is lost after each return is returned to more and more rarely.
func TestFailBackIsDamped(t *testing.T) {
	b := away(t)
	b.plan(time.Second, 500*time.Millisecond)
	var stays []time.Duration
	for range 8 {
		last := b.now
		for b.Current() == other {
			b.round()
			b.answer()
		}
		stays = append(stays, b.now.Sub(last))
		b.took(b.SendTimeoutExpired(b.now, b.epoch))
		for b.lastPair() != other {
			b.expire()
		}
		b.probe(other, reap.InboundOk, b.lastReport())
	}
	if stays[7] < 2*time.Minute || stays[7] > 6*time.Minute || stays[0] > 10*time.Second {
		t.Errorf("away for %v", stays)
	}
}

// Preferences decide where payload returns to; without the time there is no return, and none while nothing is sent.
func TestFailBackPolicy(t *testing.T) {
	low := func(a reap.Candidate) reap.Candidate { a.Priority = 9; return a }
	a, p := addrs(a1, a2), addrs(b1, b2)
	for name, tt := range map[string]struct {
		local []reap.Candidate
		do    func(b *bench)
		want  reap.Pair
	}{
		"the first pair":                      {a, func(*bench) {}, first},
		"the first pair is not preferred":     {[]reap.Candidate{low(a[0]), a[1]}, func(*bench) {}, reap.Pair{}},
		"another one is":                      {[]reap.Candidate{low(a[0]), low(a[1]), {Addr: b3}}, func(*bench) {}, reap.Pair{Local: b3, Peer: b1}},
		"the first pair cannot be used":       {a[1:], func(*bench) {}, reap.Pair{}},
		"never":                               {a, func(b *bench) { b.plan(0, timeout) }, reap.Pair{}},
		"at rest":                             {a, func(b *bench) { b.Rest(b.now, true) }, reap.Pair{}},
		"no more at rest":                     {a, func(b *bench) { b.Rest(b.now, true); b.Rest(b.now, false) }, first},
		"asked anew while something explores": {a, func(b *bench) { b.took(b.Explore(b.now, "asked for", true)); b.Rest(b.now, false) }, other},
	} {
		t.Run(name, func(t *testing.T) {
			b := away(t)
			b.took(b.SetCandidates(b.now, tt.local, p))
			tt.do(b)
			if tt.want == (reap.Pair{}) {
				if !b.Deadline().IsZero() {
					t.Errorf("a deadline in %v", b.Deadline().Sub(b.now))
				}
				return
			}
			if b.State() == reap.Operational {
				b.round()
			}
			if b.lastPair() != tt.want {
				t.Errorf("a probe on %s, want %s", pairName(b.lastPair()), pairName(tt.want))
			}
		})
	}
}

// A report that was not asked for does not count, and neither does an old one.
func TestFailBackForgedAnswer(t *testing.T) {
	b := away(t)
	for range 20 {
		b.round()
		r := b.lastReport()
		r.Nonce++
		b.probe(other, reap.Operational, r)
		r.Nonce--
		r.Src = a2
		b.probe(other, reap.Operational, r)
	}
	if b.Current() != other {
		t.Error("forged answers moved the path")
	}
	b.answer()
	b.answer()
	if b.now = b.now.Add(2 * stable); b.Current() != other {
		t.Error("one answer, twice")
	}
}

// With multipath every pair is probed, those that answer are paths beside the current one, and one that does not answer any more
// is none two seconds later. A new exploration changes nothing about them until it is known better.
func TestMultipath(t *testing.T) {
	b := newBench(1)
	b.took(b.SetCandidates(b.now, addrs(a1, a2), addrs(b1, b2)))
	b.took(b.SetWatch(b.now, reap.WatchPlan{Home: &first, Timeout: timeout, Multipath: true}))
	paths := func(want ...string) {
		t.Helper()
		var got []string
		for _, p := range b.Paths() {
			got = append(got, pairName(p))
		}
		if !slices.Equal(got, want) {
			t.Errorf("paths %q, want %q", got, want)
		}
	}
	changed := func(acts []reap.Action) bool {
		return slices.ContainsFunc(acts, func(a reap.Action) bool { _, ok := a.(reap.PathsChanged); return ok })
	}
	paths("a1>b1")
	b.round()
	if n := len(b.pairs); n != 3 {
		t.Fatalf("%d probes", n)
	}
	var reports []wire.ProbeReport
	for _, p := range b.probes {
		reports = append(reports, p.Sent[0])
	}
	answer := func(reports ...wire.ProbeReport) []reap.Action {
		b.nonce++
		acts := b.Probe(b.now, first, &wire.Probe{Sent: []wire.ProbeReport{{Src: b1, Dst: a1, Nonce: b.nonce}}, Received: reports})
		b.took(acts)
		return acts
	}
	if !changed(answer(reports[0], reports[2])) {
		t.Error("nobody was told of new paths")
	}
	paths("a1>b1", pairName(b.pairs[0]), pairName(b.pairs[2]))
	if changed(b.Expire(b.Deadline())) {
		t.Error("told of a path that has not changed")
	}
	b.round()
	reports = nil
	for _, p := range b.probes[3:] {
		reports = append(reports, p.Sent[0])
	}
	answer(reports[:2]...)
	b.now = b.Deadline()
	if b.now.Sub(start) > time.Minute || !changed(b.Expire(b.now)) {
		t.Error("nobody was told of a lost path")
	}
	paths("a1>b1", "a1>b2", "a2>b1")
	b.took(b.Suspect(b.now, "carrier lost", true))
	paths("a1>b1", "a1>b2", "a2>b1")
	b.expire()
	acts := b.SetCandidates(b.now, addrs(a1), addrs(b1, b2))
	if b.took(acts); !changed(acts) {
		t.Error("nobody was told that paths are gone with a locator")
	}
	paths("a1>b1", "a1>b2")
	b.probe(first, reap.InboundOk, b.probes[6].Sent[0])
	paths("a1>b1", "a1>b2")
}

// The pair that payload goes back from worked until then, and goes on being used.
func TestMultipathFailBack(t *testing.T) {
	b := away(t)
	b.took(b.SetWatch(b.now, reap.WatchPlan{Home: &first, FailBack: stable, Timeout: timeout, Multipath: true}))
	for b.Current() == other {
		n := len(b.probes)
		b.round()
		for _, p := range b.probes[n:] {
			b.probe(other, reap.Operational, p.Sent[0])
		}
	}
	if got := b.Paths(); b.Current() != first || len(got) != 4 || !slices.Contains(got, other) {
		t.Errorf("paths %v", got)
	}
}

// SPDX-License-Identifier: MIT

package reap_test

import (
	"slices"
	"testing"
	"time"

	"shim6/daemon/reap"
)

const (
	stable  = time.Minute
	timeout = 10 * time.Second
)

// away gives a bench whose payload had to leave the first pair.
func away(t *testing.T) *bench {
	t.Helper()
	b := newBench(1)
	b.SetFailBack(b.now, first, stable, timeout)
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
		got := b.expire()
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
		b.expire()
		b.answer()
	}
	b.expire() // lost
	var gap time.Duration
	for range 6 {
		last := b.now
		b.expire()
		gap = b.now.Sub(last)
	}
	if gap < 40*time.Second || gap > 80*time.Second {
		t.Errorf("a gap of %v after six losses", gap)
	}
	b.answer()
	again := b.now
	for b.Current() == other {
		b.expire()
		b.answer()
	}
	if b.now.Sub(again) < stable {
		t.Errorf("back after %v", b.now.Sub(again))
	}
}

// A path that is lost after each return is returned to more and more rarely.
func TestFailBackIsDamped(t *testing.T) {
	b := away(t)
	b.SetFailBack(b.now, first, time.Second, 500*time.Millisecond)
	var stays []time.Duration
	for range 8 {
		last := b.now
		for b.Current() == other {
			b.expire()
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
		"never":                               {a, func(b *bench) { b.SetFailBack(b.now, first, 0, timeout) }, reap.Pair{}},
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
				b.expire()
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
		b.expire()
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

// SPDX-License-Identifier: MIT

package reap

import (
	"time"

	"shim6/daemon/wire"
)

// A failBack watches a pair that is preferred to the current one, and goes back to it when each Probe on it was answered
// for long enough. A Probe that says InboundOk does for that: a peer in Operational answers it with one Probe, and stays
// where it is (RFC 5534 section 6.8). As it starts the peer's Send Timer anew, such Probes are further apart than that is
// long: they cannot hide a failure of the current pair.
type failBack struct {
	home  Pair
	after time.Duration // zero for never
	every time.Duration
	rests bool

	target Pair      // watched, zero for none
	due    time.Time // of the next probe
	nonce  uint32    // of the last probe
	waits  bool      // it is unanswered
	misses int
	good   time.Time // since when each probe was answered, zero while the last was not
}

// forget ends the watch.
func (f *failBack) forget() {
	*f = failBack{home: f.home, after: f.after, every: f.every, rests: f.rests}
}

// SetFailBack makes payload return to a preferred pair that was good for this long, or with zero never. Among pairs of equal
// preference home, the pair of the ULIDs, is preferred: its packets need no Payload Extension Header. Timeout is the longer of
// the two hosts' Send Timeouts.
func (m *Machine) SetFailBack(now time.Time, home Pair, after, timeout time.Duration) {
	every := max(after/watchesPerStable, timeout+timeout/2)
	if f := &m.failBack; f.home != home || f.after != after || f.every != every {
		f.home, f.after, f.every = home, after, every
		f.forget()
	}
	m.review(now)
}

// Rest tells whether the context carries no payload: nothing is watched then.
func (m *Machine) Rest(now time.Time, rests bool) {
	m.failBack.rests = rests
	m.review(now)
}

// preferred gives the pair to go back to, the zero Pair where none is better than the current one.
func (m *Machine) preferred() Pair {
	var best Pair
	var bestRank, currentRank rank
	for _, l := range m.local {
		for _, p := range m.peer {
			pair, r := Pair{l.Addr, p.Addr}, policy(l, p)
			if pair == m.current {
				currentRank = r
			}
			c := r.compare(bestRank)
			if best == (Pair{}) || c < 0 || c == 0 && (pair == m.failBack.home || pair == m.current && best != m.failBack.home) {
				best, bestRank = pair, r
			}
		}
	}
	if best == m.current || !m.candidate(m.current) || best != m.failBack.home && bestRank.compare(currentRank) == 0 {
		return Pair{}
	}
	return best
}

// review looks whether what is watched is still what should be.
func (m *Machine) review(now time.Time) {
	f := &m.failBack
	var want Pair
	if f.after > 0 && !f.rests && m.state == Operational {
		want = m.preferred()
	}
	if want == f.target {
		return
	}
	f.forget()
	if f.target = want; want != (Pair{}) {
		f.due = now.Add(m.jittered(f.every))
	}
}

// expireWatch probes the watched pair. While there is no answer that becomes rarer.
func (m *Machine) expireWatch(now time.Time) {
	f := &m.failBack
	if f.due.IsZero() || now.Before(f.due) {
		return
	}
	gap := f.every
	if f.waits {
		f.misses, f.good = f.misses+1, time.Time{}
	}
	for range f.misses {
		gap = min(2*gap, max(f.every, MaxProbeTimeout))
	}
	f.due = now.Add(m.jittered(gap))
	f.nonce, f.waits = m.history.nonce(m.rng), true
	m.do(SendProbe{f.target, &wire.Probe{
		State: uint8(InboundOk),
		Sent:  []wire.ProbeReport{{Src: f.target.Local, Dst: f.target.Peer, Nonce: f.nonce}},
	}})
}

// watched takes the answer to a probe of the watched pair.
func (m *Machine) watched(now time.Time, reports []wire.ProbeReport) {
	f := &m.failBack
	for _, r := range reports {
		if !f.waits || r.Nonce != f.nonce || r.Src != f.target.Local || r.Dst != f.target.Peer {
			continue
		}
		m.do(Answered{f.target})
		f.waits, f.misses = false, 0
		if f.good.IsZero() {
			f.good = now
			f.due = now.Add(m.jittered(f.every))
		}
		if now.Sub(f.good) >= f.after && !now.Before(m.damping.until()) {
			m.damping.count(now)
			m.setCurrent(f.target)
		}
	}
}

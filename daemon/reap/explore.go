// SPDX-License-Identifier: MIT

package reap

import (
	"slices"
	"time"

	"shim6/daemon/wire"
)

// An exploration is what is kept while pairs are probed.
type exploration struct {
	queue      []Pair    // not yet probed in this round, in order
	probes     int       // timer-driven probes since the burst began
	retransmit time.Time // when the next probe is due
	hinted     bool      // nothing but a hint began it
	doubt      time.Time // until when payload that arrives may have been sent before it began
	early      bool      // the state is InboundOk because of such payload alone
}

func (e *exploration) blank() bool {
	return len(e.queue) == 0 && e.probes == 0 && e.retransmit.IsZero() && !e.hinted && e.doubt.IsZero() && !e.early
}

// explore enters Exploring (RFC 5534 section 6.4). What was sent before stays known when the exploration goes on.
func (m *Machine) explore(why string) {
	if m.state == Operational {
		m.begin()
		m.history = history{}
	}
	m.setState(Exploring, why)
	m.history.forgetReceived()
	m.probes, m.early = 0, false
}

// begin makes ready for a new exploration.
func (m *Machine) begin() {
	m.exploration = exploration{queue: m.order()}
	m.suspicion = suspicion{}
	m.endMove("the current path failed")
	m.watches.doubt()
}

// Expire sends the probe that is due (RFC 5534 section 6.5).
func (m *Machine) Expire(now time.Time) []Action {
	m.wake()
	if !m.retransmit.IsZero() && !now.Before(m.retransmit) {
		m.repeat(now)
	}
	m.expireSuspicion(now)
	m.expireWatch(now)
	m.expireMove(now)
	return m.take()
}

// repeat goes on exploring. What was received early is no proof that the peer can be heard still, and a Probe that says InboundOk
// for it would leave the peer in Operational, on a pair that failed, until somebody's Send Timer expires.
func (m *Machine) repeat(now time.Time) {
	switch {
	case m.early:
		m.early = false
		m.setState(Exploring, "what was received may be old")
		m.setTimers(TimerStop, TimerStop)
	case m.state == InboundOk:
		m.setTimers(TimerStart, TimerKeep)
	}
	m.retransmitProbe(now)
}

// retransmitProbe sends a probe on the next pair and sets the timer for the one after.
func (m *Machine) retransmitProbe(now time.Time) {
	m.arm(now)
	if p, ok := m.next(); ok {
		m.probe(now, p)
	}
}

// arm sets the probe timer: a few gaps of the initial length, then doubled ones up to the longest (RFC 5534 section 4.3).
func (m *Machine) arm(now time.Time) {
	gap := InitialProbeTimeout
	for i := InitialProbes; i <= m.probes && gap < MaxProbeTimeout; i++ {
		gap *= 2
	}
	gap = min(gap, MaxProbeTimeout)
	m.probes++
	m.retransmit = now.Add(m.jittered(gap))
}

func (m *Machine) jittered(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (1 + jitter*(2*m.rng.Float64()-1)))
}

// next takes the next pair of the round; a new round begins when all have been probed.
func (m *Machine) next() (Pair, bool) {
	if len(m.queue) == 0 {
		m.queue = m.order()
	}
	if len(m.queue) == 0 {
		return Pair{}, false
	}
	p := m.queue[0]
	m.queue = m.queue[1:]
	return p, true
}

// pick takes prefer when it is still to be probed in this round, otherwise the next pair. It gives the zero Pair when
// there is none.
func (m *Machine) pick(prefer Pair) Pair {
	if i := slices.Index(m.queue, prefer); i >= 0 {
		m.queue = slices.Delete(m.queue, i, i+1)
		return prefer
	}
	p, _ := m.next()
	return p
}

// reply takes the pair that a probe came in on: the peer is known to be there, and no better guess exists for the way
// back (RFC 5534 appendix A example 4).
func (m *Machine) reply(pair Pair) Pair {
	if !m.candidate(pair) {
		return m.pick(pair)
	}
	if i := slices.Index(m.queue, pair); i >= 0 {
		m.queue = slices.Delete(m.queue, i, i+1)
	}
	return pair
}

// hurry moves a pair to the front of the round.
func (m *Machine) hurry(p Pair) {
	if i := slices.Index(m.queue, p); i >= 0 {
		m.queue = slices.Insert(slices.Delete(m.queue, i, i+1), 0, p)
	}
}

// recount puts pairs that were not candidates before in front of the round, drops those that are none any more, and tells
// whether there are new ones.
func (m *Machine) recount(before map[Pair]bool) bool {
	var fresh []Pair
	for _, p := range m.order() {
		if !before[p] {
			fresh = append(fresh, p)
		}
	}
	m.queue = append(fresh, slices.DeleteFunc(m.queue, func(p Pair) bool { return !m.candidate(p) })...)
	return len(fresh) > 0
}

// probe sends one Probe that says the state, on a pair; on the zero Pair none.
func (m *Machine) probe(now time.Time, pair Pair) {
	if pair == (Pair{}) {
		return
	}
	r := wire.ProbeReport{Src: pair.Local, Dst: pair.Peer, Nonce: m.history.nonce(m.rng)}
	m.history.sent(r)
	m.measures.sent(now, pair, r.Nonce)
	m.do(SendProbe{pair, &wire.Probe{
		State:    uint8(m.state),
		Sent:     m.history.sentReports(),
		Received: m.history.receivedReports(),
	}})
}

// SPDX-License-Identifier: MIT

package reap

import (
	"slices"
	"time"

	"shim6/daemon/wire"
)

// A move is a change of the current pair that somebody asked for. The new pair must answer a Probe first, like any other that
// payload goes to.
type move struct {
	to     Pair // the zero Pair for none
	pin    bool // it is to be preferred afterwards
	tries  int
	due    time.Time // of the next Probe, or of giving up
	nonces []uint32
}

// Prefer says in which order pairs are to be used, before all locator preferences and the best first; those that are not named
// come after them. Payload goes to the best one that is not to be avoided as soon as that answers a Probe.
func (m *Machine) Prefer(now time.Time, pairs []Pair) []Action {
	m.wake()
	m.rank(pairs)
	m.move = move{}
	if to := m.preferred(); m.state == Operational && to != (Pair{}) {
		m.move = move{to: to}
		m.tryMove(now)
	}
	m.review(now)
	return m.take()
}

// Switch has payload go to a pair as soon as that answers a Probe, and prefers it from now on. Nothing else changes where it does
// not answer.
func (m *Machine) Switch(now time.Time, to Pair) []Action {
	m.wake()
	switch {
	case !m.candidate(to):
		m.do(MoveFailed{to, "it is no pair of usable locators"})
	case m.state != Operational:
		m.do(MoveFailed{to, "an exploration is under way"})
	default:
		m.move = move{}
		if to == m.current {
			m.rank([]Pair{to})
			break
		}
		m.move = move{to: to, pin: true}
		m.tryMove(now)
	}
	m.review(now)
	return m.take()
}

// Ranking gives what Prefer and Switch said last.
func (m *Machine) Ranking() []Pair {
	if m.episode == nil {
		return nil
	}
	return slices.Clone(m.ranking)
}

func (m *Machine) rank(pairs []Pair) {
	m.ranking = slices.Clone(pairs[:min(len(pairs), maxMeasures)])
	for _, p := range slices.Backward(m.ranking) {
		m.hurry(p)
	}
}

// place tells where a pair is in the ranking.
func (m *Machine) place(p Pair) int {
	if m.episode == nil {
		return 0
	}
	if i := slices.Index(m.ranking, p); i >= 0 {
		return i
	}
	return len(m.ranking)
}

// tryMove sends a Probe that a peer in Operational answers without leaving it (RFC 5534 section 6.8), a few times.
func (m *Machine) tryMove(now time.Time) {
	if m.move.tries == InitialProbes {
		m.endMove("no answer")
		return
	}
	m.move.tries++
	m.move.due = now.Add(InitialProbeTimeout)
	if m.move.tries == InitialProbes {
		m.move.due = now.Add(answerTime)
	}
	m.move.nonces = append(m.move.nonces, m.watchProbe(now, m.move.to))
}

// endMove gives up a move, if there is one.
func (m *Machine) endMove(why string) {
	if m.move.to != (Pair{}) {
		m.do(MoveFailed{m.move.to, why})
	}
	m.move = move{}
}

// moveAnswered takes answers to the Probes of a move.
func (m *Machine) moveAnswered(reports []wire.ProbeReport) {
	to := m.move.to
	if !slices.ContainsFunc(reports, func(r wire.ProbeReport) bool {
		return Pair{r.Src, r.Dst} == to && slices.Contains(m.move.nonces, r.Nonce)
	}) {
		return
	}
	pin := m.move.pin
	m.move = move{}
	if !m.candidate(to) {
		return
	}
	m.do(Answered{to})
	if pin {
		m.rank([]Pair{to})
	}
	m.watches.list = append(m.watches.list, watch{pair: m.current, works: true})
	m.setCurrent(to)
}

// expireMove goes on with a move.
func (m *Machine) expireMove(now time.Time) {
	if !m.move.due.IsZero() && !now.Before(m.move.due) {
		m.tryMove(now)
	}
}

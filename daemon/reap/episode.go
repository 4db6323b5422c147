// SPDX-License-Identifier: MIT

package reap

import "time"

// An episode is what a Machine keeps from the first doubt about a pair on. Contexts are many and most of them never have one,
// so it is made when it is needed, and given up when there is nothing in it.
type episode struct {
	exploration
	suspicion suspicion
	damping   damping
	history   history
	watches   watches
	measures  measures
	ranking   []Pair // before all preferences
	move      move
	ended     time.Time // of the last exploration
	replies   time.Time // when the reply allowance is whole again
}

func (e *episode) blank() bool {
	return e.exploration.blank() && e.suspicion.at.IsZero() && e.damping.last.IsZero() && len(e.history.out)+len(e.history.in) == 0 &&
		e.watches.blank() && len(e.measures.list)+len(e.ranking) == 0 && e.move.to == (Pair{}) && e.ended.IsZero() && e.replies.IsZero()
}

// wake makes the episode ready. In Operational there may be none before; in the other states the probe timer is in it.
func (m *Machine) wake() {
	if m.episode == nil {
		m.episode = new(episode)
	}
}

// take gives what is to be done. Every method that changes the Machine ends with it.
func (m *Machine) take() []Action {
	out := m.out
	m.out = nil
	if m.episode != nil && m.episode.blank() {
		m.episode = nil
	}
	return out
}

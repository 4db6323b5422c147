// SPDX-License-Identifier: MIT

package reap

import (
	"math"
	"time"
)

// A damping keeps a flapping path from swinging payload to and fro, and hints from making a context explore all the time.
// Each change of the current pair, and each exploration that only a hint began, doubles the time that must pass before a hint
// or a preference counts again; when it has passed it decays. It never delays the Send Timer, nor the flight from a pair that
// cannot be used at all.
type damping struct {
	hold time.Duration // after the last time
	last time.Time     // zero for never
}

func (d *damping) count(now time.Time) {
	hold := firstHold
	if !d.last.IsZero() {
		over := max(0, now.Sub(d.until()))
		left := float64(d.hold) * math.Exp2(-float64(over)/float64(holdHalfLife))
		hold = min(max(firstHold, time.Duration(2*left)), mostHold)
	}
	d.hold, d.last = hold, now
}

// until is when a hint or a preference counts again.
func (d *damping) until() time.Time { return d.last.Add(d.hold) }

// A suspicion is a hint that waits.
type suspicion struct {
	at           time.Time // zero for none
	why          string
	currentFirst bool
}

// Suspect takes a hint that the current pair has failed (RFC 5534 sections 3.2, 3.3 and 4.1): pairs are probed as by Explore,
// but after a recent change of the pair that waits. It does nothing where an exploration is under way.
func (m *Machine) Suspect(now time.Time, why string, currentFirst bool) []Action {
	m.wake()
	if m.state != Operational || !m.suspicion.at.IsZero() {
		return m.take()
	}
	if until := m.damping.until(); now.Before(until) {
		m.suspicion = suspicion{until, why, currentFirst}
		return m.take()
	}
	m.damping.count(now)
	m.examine(now, why, currentFirst)
	m.hinted = true
	return m.take()
}

// expireSuspicion acts on a hint that waited.
func (m *Machine) expireSuspicion(now time.Time) {
	if m.suspicion.at.IsZero() || now.Before(m.suspicion.at) {
		return
	}
	s := m.suspicion
	m.suspicion = suspicion{}
	m.damping.count(now)
	m.examine(now, s.why, s.currentFirst)
	m.hinted = true
}

// SPDX-License-Identifier: MIT

package reap

import (
	"net/netip"
	"slices"
)

// A Pair is a pair of locators: one of ours, used as source, and one of the peer's, used as destination.
type Pair struct {
	Local, Peer netip.Addr
}

// order lists the candidate pairs in the order in which they are to be probed (RFC 5534 section 4.3): pairs that share no
// address with the current one, then those that share one, then the current one; and all that again for
// addresses to be avoided. The order is random within a class, so that hosts which lose a path together do not all turn to the
// same other one.
func (m *Machine) order() []Pair {
	const kinds = 3
	var classes [2 * kinds][]Pair
	for _, l := range m.local {
		for _, p := range m.peer {
			class := 0
			if l == m.current.Local {
				class++
			}
			if p == m.current.Peer {
				class++
			}
			if slices.Contains(m.avoid, p) {
				class += kinds
			}
			classes[class] = append(classes[class], Pair{l, p})
		}
	}
	for _, c := range classes {
		m.rng.Shuffle(len(c), func(i, j int) { c[i], c[j] = c[j], c[i] })
	}
	return slices.Concat(classes[:]...)
}

// candidate tells whether a pair may be probed.
func (m *Machine) candidate(p Pair) bool {
	return slices.Contains(m.local, p.Local) && slices.Contains(m.peer, p.Peer)
}

// pairSet holds every pair that may be probed.
func (m *Machine) pairSet() map[Pair]bool {
	if m.state == Operational {
		return nil
	}
	set := make(map[Pair]bool, len(m.local)*len(m.peer))
	for _, l := range m.local {
		for _, p := range m.peer {
			set[Pair{l, p}] = true
		}
	}
	return set
}

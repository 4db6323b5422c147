// SPDX-License-Identifier: MIT

package reap

import (
	"math/rand/v2"
	"net/netip"
	"slices"
)

// A Pair is a pair of locators: one of ours, used as source, and one of the peer's, used as destination.
type Pair struct {
	Local, Peer netip.Addr
}

// order lists the pairs of local and peer in the order in which they are to be probed (RFC 5534 section 4.3): pairs that
// share no address with current, then those that share one, then current itself; random within a class, so that hosts
// which lose a path together do not all turn to the same other one.
func order(rng *rand.Rand, local, peer []netip.Addr, current Pair) []Pair {
	var classes [3][]Pair
	for _, l := range local {
		for _, p := range peer {
			same := 0
			if l == current.Local {
				same++
			}
			if p == current.Peer {
				same++
			}
			classes[same] = append(classes[same], Pair{l, p})
		}
	}
	for _, c := range classes {
		rng.Shuffle(len(c), func(i, j int) { c[i], c[j] = c[j], c[i] })
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

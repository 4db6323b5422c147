// SPDX-License-Identifier: MIT

package reap

import (
	"cmp"
	"net/netip"
	"slices"
)

// A Pair is a pair of locators: one of ours, used as source, and one of the peer's, used as destination.
type Pair struct {
	Local, Peer netip.Addr
}

// A Candidate is an address that may be one side of a pair.
type Candidate struct {
	Addr     netip.Addr
	Avoid    bool  // after all others
	Priority uint8 // the lowest first
	Weight   uint8 // how often it comes first among those of the same priority, in proportion
	Cost     uint8 // of a local one: the lowest first among those of the same priority
}

// A rank says when a pair is to be probed: the fields in their order decide (RFC 5534 section 4.3).
type rank struct {
	avoid      bool
	current    bool // it is why there is an exploration
	place      int  // in the order that somebody asked for
	unlike     bool // its addresses are of different labels
	local      uint8
	cost       uint8
	peer       uint8
	sharesWith bool // one address with the current pair: that may be what failed
}

func (r rank) compare(s rank) int {
	return cmp.Or(
		compareBool(r.avoid, s.avoid),
		compareBool(r.current, s.current),
		cmp.Compare(r.place, s.place),
		compareBool(r.unlike, s.unlike),
		cmp.Compare(r.local, s.local),
		cmp.Compare(r.cost, s.cost),
		cmp.Compare(r.peer, s.peer),
		compareBool(r.sharesWith, s.sharesWith),
	)
}

// policy ranks a pair by what is always so: the order that was asked for, locator preferences, costs and labels.
func (m *Machine) policy(l, p Candidate) rank {
	return rank{
		avoid: l.Avoid || p.Avoid, place: m.place(Pair{l.Addr, p.Addr}), unlike: label(l.Addr) != label(p.Addr),
		local: l.Priority, cost: l.Cost, peer: p.Priority,
	}
}

// labels are those of the default policy table that a locator can have (RFC 6724 section 2.1). Locators are of global scope, so
// scopes never differ.
var labels = []struct {
	prefix netip.Prefix
	label  int
}{
	{netip.MustParsePrefix("2002::/16"), 2},
	{netip.MustParsePrefix("2001::/32"), 5},
	{netip.MustParsePrefix("fc00::/7"), 13},
	{netip.MustParsePrefix("3ffe::/16"), 12},
}

// label gives the label of an address: a source should have that of its destination.
func label(a netip.Addr) int {
	for _, l := range labels {
		if l.prefix.Contains(a) {
			return l.label
		}
	}
	return 1
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// A ranked pair is one to be put in order.
type ranked struct {
	Pair
	rank
	weight int
}

// order lists the candidate pairs in the order in which they are to be probed. It is random within a rank, so that hosts which
// lose a path together do not all turn to the same other one.
func (m *Machine) order() []Pair {
	var all []ranked
	for _, l := range m.local {
		for _, p := range m.peer {
			r := m.policy(l, p)
			same := [2]bool{l.Addr == m.current.Local, p.Addr == m.current.Peer}
			r.current, r.sharesWith = same[0] && same[1], same[0] != same[1]
			all = append(all, ranked{Pair{l.Addr, p.Addr}, r, int(l.Weight) + int(p.Weight)})
		}
	}
	slices.SortStableFunc(all, func(a, b ranked) int { return a.rank.compare(b.rank) })
	pairs := make([]Pair, 0, len(all))
	for len(all) > 0 {
		n := slices.IndexFunc(all, func(r ranked) bool { return r.rank != all[0].rank })
		if n < 0 {
			n = len(all)
		}
		m.shuffle(all[:n])
		for _, r := range all[:n] {
			pairs = append(pairs, r.Pair)
		}
		all = all[n:]
	}
	return pairs
}

// shuffle puts pairs in random order; those of more weight are likelier to come first, as with DNS SRV records (RFC 2782).
func (m *Machine) shuffle(all []ranked) {
	m.rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	sum := 0
	for _, r := range all {
		sum += r.weight
	}
	for ; sum > 0; all = all[1:] {
		n := m.rng.IntN(sum)
		i := slices.IndexFunc(all, func(r ranked) bool { n -= r.weight; return n < 0 })
		sum -= all[i].weight
		all[0], all[i] = all[i], all[0]
	}
}

// candidate tells whether a pair may be probed.
func (m *Machine) candidate(p Pair) bool {
	has := func(cs []Candidate, a netip.Addr) bool {
		return slices.ContainsFunc(cs, func(c Candidate) bool { return c.Addr == a })
	}
	return has(m.local, p.Local) && has(m.peer, p.Peer)
}

// avoidable tells whether there is a better pair than this one: it is no candidate, or to be avoided while another is not.
func (m *Machine) avoidable(p Pair) bool {
	avoided := func(cs []Candidate, a netip.Addr) bool {
		i := slices.IndexFunc(cs, func(c Candidate) bool { return c.Addr == a })
		return cs[i].Avoid
	}
	good := func(c Candidate) bool { return !c.Avoid }
	return !m.candidate(p) || (avoided(m.local, p.Local) || avoided(m.peer, p.Peer)) &&
		slices.ContainsFunc(m.local, good) && slices.ContainsFunc(m.peer, good)
}

// pairSet holds every pair that may be probed.
func (m *Machine) pairSet() map[Pair]bool {
	if m.state == Operational {
		return nil
	}
	set := make(map[Pair]bool, len(m.local)*len(m.peer))
	for _, l := range m.local {
		for _, p := range m.peer {
			set[Pair{l.Addr, p.Addr}] = true
		}
	}
	return set
}

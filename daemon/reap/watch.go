// SPDX-License-Identifier: MIT

package reap

import (
	"slices"
	"time"

	"shim6/daemon/wire"
)

// A watcher sees which pairs beside the current one work: the preferred one, to go back to it when it has answered for long
// enough, and with multipath all. A Probe that says InboundOk does for that: a peer in Operational answers it with one Probe,
// and stays where it is (RFC 5534 section 6.8). As it starts the peer's Send Timer anew, all pairs are probed at a time, and the
// times are further apart than that is long: they cannot hide a failure of the current pair.
type watcher struct {
	home  *Pair
	after time.Duration // of fail-back, zero for never
	every time.Duration
	all   bool
	rests bool
}

// The watches are about the pairs that are watched now.
type watches struct {
	list  []watch
	due   time.Time // of the next probes
	check time.Time // when answers to the last ones must be here
}

func (w *watches) blank() bool { return len(w.list) == 0 && w.due.IsZero() && w.check.IsZero() }

// A watch is about one pair.
type watch struct {
	pair   Pair
	nonce  uint32 // of the last probe
	waits  bool   // it is unanswered
	misses int
	works  bool
	good   time.Time // since when each probe was answered, zero while the last was not
}

// A WatchPlan says what is watched beside the current pair.
type WatchPlan struct {
	// Home is the pair of the ULIDs. It is preferred among pairs of equal preference: its packets need no Payload Extension
	// Header. It does not change while it is the plan's.
	Home *Pair
	// FailBack is how long a preferred pair must be good until payload returns to it, zero for never.
	FailBack time.Duration
	// Timeout is the longer of the two hosts' Send Timeouts.
	Timeout time.Duration
	// Multipath tells to watch every pair.
	Multipath bool
}

// SetWatch says what is watched from now on.
func (m *Machine) SetWatch(now time.Time, p WatchPlan) []Action {
	w := &m.watch
	w.home, w.after, w.all = p.Home, p.FailBack, p.Multipath
	if every := max(p.FailBack/watchesPerStable, p.Timeout+p.Timeout/2, leastWatch); every != w.every {
		w.every = every
		if m.episode != nil {
			m.watches.due = time.Time{}
		}
	}
	m.review(now)
	return m.take()
}

// Rest tells whether the context carries no payload: nothing is watched then.
func (m *Machine) Rest(now time.Time, rests bool) []Action {
	m.watch.rests = rests
	m.review(now)
	return m.take()
}

// Rests tells what Rest last said.
func (m *Machine) Rests() bool { return m.watch.rests }

// Paths gives the current pair and then, with multipath, those others that work, the preferred ones first.
func (m *Machine) Paths() []Pair {
	pairs := []Pair{m.current}
	if m.episode == nil {
		return pairs
	}
	for _, w := range m.watches.list {
		if m.watch.all && w.works && w.pair != m.current {
			pairs = append(pairs, w.pair)
		}
	}
	return pairs
}

// preferred gives the pair to go back to, the zero Pair where none is better than the current one.
func (m *Machine) preferred() Pair {
	var best Pair
	var bestRank, currentRank rank
	for _, l := range m.local {
		for _, p := range m.peer {
			pair, r := Pair{l.Addr, p.Addr}, m.policy(l, p)
			if pair == m.current {
				currentRank = r
			}
			c := r.compare(bestRank)
			if best == (Pair{}) || c < 0 || c == 0 && (m.isHome(pair) || pair == m.current && !m.isHome(best)) {
				best, bestRank = pair, r
			}
		}
	}
	if best == m.current || !m.candidate(m.current) || !m.isHome(best) && bestRank.compare(currentRank) == 0 {
		return Pair{}
	}
	return best
}

func (m *Machine) isHome(p Pair) bool { return m.watch.home != nil && p == *m.watch.home }

// watched lists the pairs to be watched.
func (m *Machine) watched() []Pair {
	var pairs []Pair
	w := &m.watch
	if w.rests {
		return nil
	}
	if w.after > 0 {
		if target := m.preferred(); target != (Pair{}) {
			pairs = append(pairs, target)
		}
	}
	if w.all {
		for _, p := range m.others() {
			if !slices.Contains(pairs, p) && len(pairs) < maxWatches {
				pairs = append(pairs, p)
			}
		}
	}
	return pairs
}

// others lists the pairs beside the current one by preference, always in the same order: the kernel chooses by number.
func (m *Machine) others() []Pair {
	var all []ranked
	for _, l := range m.local {
		for _, p := range m.peer {
			if pair := (Pair{l.Addr, p.Addr}); pair != m.current {
				all = append(all, ranked{Pair: pair, rank: m.policy(l, p)})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b ranked) int { return a.rank.compare(b.rank) })
	pairs := make([]Pair, len(all))
	for i, r := range all {
		pairs[i] = r.Pair
	}
	return pairs
}

// review looks whether what is watched is still what should be. Nothing is probed while another exploration goes on.
func (m *Machine) review(now time.Time) {
	plan := &m.watch
	idle := plan.rests || plan.after == 0 && !plan.all
	if idle && m.episode == nil {
		return
	}
	m.wake()
	w := &m.watches
	if idle && len(w.list) == 0 {
		w.due, w.check = time.Time{}, time.Time{}
		return
	}
	paths := m.Paths()
	if m.state != Operational {
		w.due, w.check = time.Time{}, time.Time{}
		w.list = slices.DeleteFunc(w.list, func(x watch) bool { return !m.candidate(x.pair) })
		m.tellPaths(paths)
		return
	}
	old := w.list
	w.list = nil
	fresh := false
	for _, p := range m.watched() {
		i := slices.IndexFunc(old, func(o watch) bool { return o.pair == p })
		if i >= 0 {
			w.list = append(w.list, old[i])
			continue
		}
		w.list = append(w.list, watch{pair: p})
		fresh = true
	}
	switch {
	case len(w.list) == 0:
		w.due, w.check = time.Time{}, time.Time{}
	case w.due.IsZero() || fresh && !plan.all:
		w.due = now.Add(m.jittered(plan.every))
	}
	m.tellPaths(paths)
}

// tellPaths tells whether paths beside the current one came or went.
func (m *Machine) tellPaths(before []Pair) {
	if now := m.Paths(); !slices.Equal(before[1:], now[1:]) {
		m.do(PathsChanged{})
	}
}

// expireWatch probes the watched pairs, and looks for answers. While there are none that becomes rarer.
func (m *Machine) expireWatch(now time.Time) {
	w := &m.watches
	if !w.check.IsZero() && !now.Before(w.check) {
		w.check = time.Time{}
		m.missAnswers()
	}
	if w.due.IsZero() || now.Before(w.due) {
		return
	}
	gap := m.watch.every
	for range slices.MinFunc(w.list, func(a, b watch) int { return a.misses - b.misses }).misses {
		gap = min(2*gap, max(m.watch.every, MaxProbeTimeout))
	}
	w.due, w.check = now.Add(m.jittered(gap)), now.Add(answerTime)
	for i := range w.list {
		x := &w.list[i]
		x.nonce, x.waits = m.watchProbe(now, x.pair), true
	}
}

// watchProbe sends a Probe that says InboundOk, and gives its nonce.
func (m *Machine) watchProbe(now time.Time, pair Pair) uint32 {
	nonce := m.history.nonce(m.rng)
	m.measures.sent(now, pair, nonce)
	m.do(SendProbe{pair, &wire.Probe{
		State: uint8(InboundOk),
		Sent:  []wire.ProbeReport{{Src: pair.Local, Dst: pair.Peer, Nonce: nonce}},
	}})
	return nonce
}

func (m *Machine) missAnswers() {
	paths := m.Paths()
	for i := range m.watches.list {
		if x := &m.watches.list[i]; x.waits {
			x.waits, x.works, x.good = false, false, time.Time{}
			x.misses++
		}
	}
	m.tellPaths(paths)
}

// watchAnswered takes answers to probes of watched pairs.
func (m *Machine) watchAnswered(now time.Time, reports []wire.ProbeReport) {
	w := &m.watches
	paths := m.Paths()
	var back Pair
	for i := range w.list {
		x := &w.list[i]
		if !x.waits || !slices.ContainsFunc(reports, func(r wire.ProbeReport) bool {
			return r.Nonce == x.nonce && r.Src == x.pair.Local && r.Dst == x.pair.Peer
		}) {
			continue
		}
		m.do(Answered{x.pair})
		if x.misses > 0 {
			w.due = now.Add(m.jittered(m.watch.every))
		}
		x.waits, x.works, x.misses = false, true, 0
		if x.good.IsZero() {
			x.good = now
		}
		if m.watch.after > 0 && now.Sub(x.good) >= m.watch.after && !now.Before(m.damping.until()) && x.pair == m.preferred() {
			back = x.pair
		}
	}
	if back != (Pair{}) {
		m.damping.count(now)
		w.list = append(w.list, watch{pair: m.current, works: true})
		m.setCurrent(back)
	}
	m.tellPaths(paths)
}

// doubt begins the time anew that a preferred pair must be good: the current one failed.
func (w *watches) doubt() {
	for i := range w.list {
		w.list[i].good, w.list[i].waits = time.Time{}, false
	}
	w.due, w.check = time.Time{}, time.Time{}
}

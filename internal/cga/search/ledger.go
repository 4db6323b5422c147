// SPDX-License-Identifier: MIT

package search

import (
	"math"
	"sync"
	"sync/atomic"
)

// A ledger shares the units of a search among workers and keeps the book: what is tried, and the first hit. The search is
// decided when a unit has a hit and all units before it are done.
type ledger struct {
	bound atomic.Uint64 // no unit from this one on is worth trying any more
	mu    sync.Mutex
	next  uint64 // unit that nobody has taken
	end   uint64
	open  []openUnit // taken and not done, in order
	tried uint64     // candidates of the units that are done
	found bool
	best  uint64 // distance of the first hit
	at    uint64 // unit of the first hit
	err   error
}

type openUnit struct {
	number  uint64
	workers int
}

func newLedger(first, end uint64) *ledger {
	l := &ledger{next: first, end: end}
	l.bound.Store(math.MaxUint64)
	return l
}

// take gives a worker its next unit. Once there is a hit it gives out a second time the units before it that others
// still have: the system may have put their workers to sleep, and trying a unit twice takes less than waiting.
func (l *ledger) take() (number uint64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bound.Load() == 0 {
		return 0, false
	}
	if !l.found && l.next < l.end {
		number = l.next
		l.next++
		l.open = append(l.open, openUnit{number, 1})
		return number, true
	}
	if len(l.open) == 0 {
		return 0, false
	}
	least := &l.open[0]
	for i := range l.open {
		if l.open[i].workers < least.workers {
			least = &l.open[i]
		}
	}
	least.workers++
	return least.number, true
}

// done books a unit with n candidates, hit the first hit in it if there is one.
func (l *ledger) done(number, n uint64, hit *uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := 0
	for i < len(l.open) && l.open[i].number != number {
		i++
	}
	if i == len(l.open) {
		return
	}
	l.open = append(l.open[:i], l.open[i+1:]...)
	l.tried += n
	if hit != nil && (!l.found || *hit < l.best) {
		l.found, l.best, l.at = true, *hit, number
		if l.bound.Load() != 0 {
			l.bound.Store(number)
		}
		for len(l.open) > 0 && l.open[len(l.open)-1].number > number {
			l.open = l.open[:len(l.open)-1]
		}
	}
	if l.decided() {
		l.bound.Store(0)
	}
}

// decided tells whether nothing can change the outcome. The lock is held.
func (l *ledger) decided() bool {
	return len(l.open) == 0 && (l.found || l.next == l.end)
}

// stop ends the search.
func (l *ledger) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bound.Store(0)
}

// fail ends the search with an error.
func (l *ledger) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = err
	}
	l.bound.Store(0)
}

// watermark gives the first unit that is not done.
func (l *ledger) watermark() (unit, tried uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	unit = l.next
	for _, o := range l.open {
		unit = min(unit, o.number)
	}
	if l.found {
		unit = min(unit, l.at)
	}
	return unit, l.tried
}

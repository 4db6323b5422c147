// SPDX-License-Identifier: MIT

package search

import (
	"math/rand/v2"
	"testing"
)

func distance(d uint64) *uint64 { return &d }

// A hit decides nothing while an earlier unit is open, and an earlier hit wins.
func TestLedgerEarlierHit(t *testing.T) {
	l := newLedger(0, 100)
	for want := range uint64(4) {
		if n, ok := l.take(); n != want || !ok {
			t.Fatalf("unit %d, %t", n, ok)
		}
	}
	l.done(2, 10, distance(25))
	if l.decided() {
		t.Error("decided with two earlier units open")
	}
	if l.bound.Load() != 2 {
		t.Errorf("bound %d, want 2", l.bound.Load())
	}
	l.done(3, 10, distance(31))
	l.done(0, 10, nil)
	l.done(1, 10, distance(12))
	if !l.decided() || l.best != 12 || l.tried != 30 {
		t.Errorf("decided %t, best %d, tried %d", l.decided(), l.best, l.tried)
	}
	if n, ok := l.take(); ok {
		t.Errorf("unit %d taken from a decided search", n)
	}
}

// A worker that never comes back holds nothing up: its unit goes to those that look for more.
func TestLedgerAbsentWorker(t *testing.T) {
	l := newLedger(0, 100)
	for range 3 {
		l.take()
	}
	l.done(2, 10, distance(25))
	again := map[uint64]bool{}
	for range 2 {
		n, ok := l.take()
		if !ok {
			t.Fatal("no unit")
		}
		again[n] = true
	}
	if !again[0] || !again[1] {
		t.Errorf("units %v, want 0 and 1", again)
	}
	l.done(0, 10, nil)
	l.done(0, 10, distance(3)) // The first worker is back, too late.
	l.done(1, 10, nil)
	if !l.decided() || l.best != 25 || l.tried != 30 {
		t.Errorf("decided %t, best %d, tried %d", l.decided(), l.best, l.tried)
	}
}

// The watermark is the first unit that is not done, and no unit before it has a hit.
func TestLedgerWatermark(t *testing.T) {
	l := newLedger(5, 9)
	for range 4 {
		l.take()
	}
	// Without a hit the units that others have are given out again when there are no more.
	if n, ok := l.take(); !ok || n < 5 || n > 8 {
		t.Errorf("unit %d, %t", n, ok)
	}
	for i, tt := range []struct{ done, want uint64 }{{6, 5}, {5, 7}, {8, 7}, {7, 9}} {
		l.done(tt.done, 1, nil)
		if unit, tried := l.watermark(); unit != tt.want || tried != uint64(i+1) {
			t.Errorf("unit %d done: watermark %d, tried %d, want %d", tt.done, unit, tried, tt.want)
		}
	}
	if !l.decided() {
		t.Error("not decided at the end")
	}
}

// Whatever the order in which workers come back, the first hit wins.
func TestLedgerRandomOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 2000 {
		const units = 30
		hits := map[uint64]*uint64{}
		best := uint64(1 << 32)
		for range r.IntN(4) {
			u := r.Uint64N(units)
			hits[u] = distance(10*u + r.Uint64N(10))
		}
		for _, d := range hits {
			best = min(best, *d)
		}
		l := newLedger(0, units)
		var busy []uint64
		for {
			if len(busy) < 4 {
				if n, ok := l.take(); ok {
					busy = append(busy, n)
					continue
				}
			}
			if len(busy) == 0 {
				break
			}
			i := r.IntN(len(busy))
			n := busy[i]
			busy = append(busy[:i], busy[i+1:]...)
			l.done(n, 10, hits[n])
		}
		if !l.decided() || l.found != (len(hits) > 0) || l.found && l.best != best {
			t.Fatalf("decided %t, found %t, best %d, want %d", l.decided(), l.found, l.best, best)
		}
	}
}

func TestLedgerStop(t *testing.T) {
	l := newLedger(0, 100)
	l.take()
	l.stop()
	l.done(0, 10, distance(3))
	if n, ok := l.take(); ok || l.bound.Load() != 0 {
		t.Errorf("unit %d taken, bound %d", n, l.bound.Load())
	}
}

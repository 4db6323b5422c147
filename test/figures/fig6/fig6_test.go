// SPDX-License-Identifier: MIT

package fig6

import (
	"crypto/sha1"
	"math"
	"math/rand/v2"
	"testing"

	"shim6/internal/cga"
	"shim6/test/figures/figure"
)

func TestDistance(t *testing.T) {
	from, to := make([]byte, 64), make([]byte, 64)
	from[15], to[14], to[15] = 0xfe, 1, 3 // 0xfe to 0x103
	if d := distance(from, to, 0, 0); d != 5 {
		t.Errorf("modifier: %g, want 5", d)
	}
	clear(from)
	clear(to)
	for i := range 16 {
		from[i] = 0xff // wraps to 1
	}
	to[15] = 1
	if d := distance(from, to, 0, 0); d != 2 {
		t.Errorf("modifier that wraps: %g, want 2", d)
	}
	clear(from)
	clear(to)
	from[15], to[15] = 0xff, 0xfc // the last two bits, from 3 to 0
	from[40], to[40] = 7, 9
	if d := distance(from, to, 37, 4); d != 5 {
		t.Errorf("field: %g, want 5", d)
	}
}

// Searches find what a loop finds, and the tries are counted alike, in the modifier and in the nonce.
func TestTries(t *testing.T) {
	key, err := cga.NewKey(keyBits)
	if err != nil {
		t.Fatal(err)
	}
	m, err := newMaker(key, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range append(paperKinds, shared) {
		list := k.searches(m, 1, 2)
		got, err := m.make(t.Context(), list, 2, 2)
		if err != nil {
			t.Fatal(err)
		}
		for i, o := range list {
			s, err := cga.NewSearch(o)
			if err != nil {
				t.Fatal(err)
			}
			for n := range uint64(got.tries[i]) {
				in, err := s.Job().Candidate(n)
				if err != nil {
					t.Fatal(err)
				}
				sum := sha1.Sum(in)
				if good := sum[0] == 0 && sum[1] == 0; good != (float64(n+1) == got.tries[i]) {
					t.Fatalf("%s: candidate %d is good: %v; %g tries were counted", k.name, n+1, good, got.tries[i])
				}
			}
			if k.name == single.name {
				if n := loop(s.Job().Input); float64(n) != got.tries[i] {
					t.Errorf("the loop takes %d tries, the search %g", n, got.tries[i])
				}
			}
		}
	}
}

func TestFairTries(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for name, tc := range map[string]struct {
		factor float64
		want   bool
	}{"fair": {1, true}, "too many": {1.5, false}, "too few": {0.5, false}} {
		var tries []float64
		for range 300 {
			tries = append(tries, math.Ceil(rng.ExpFloat64()*average(1)*tc.factor))
		}
		if ok, mean, _ := fair(tries, average(1)); ok != tc.want {
			t.Errorf("%s: mean %g is fair: %v", name, mean, ok)
		}
	}
}

// made has the rows of a whole figure, in which all is as it should be.
func made(change func(*row)) (rows, sweep []*row) {
	add := func(to *[]*row, kind string, sec uint8, threads, addresses int, seconds float64, searches int) {
		r := &row{kind: kind, sec: sec, threads: threads, used: threads, addresses: addresses}
		for range 100 {
			r.took = append(r.took, seconds)
			for range searches {
				r.tries = append(r.tries, average(sec))
			}
		}
		change(r)
		r.settle()
		*to = append(*to, r)
	}
	for _, sec := range []uint8{1, 2} {
		for _, k := range paperKinds {
			add(&rows, k.name, sec, 1, paperSet, 2*average(sec)/1e8, 2)
			add(&rows, k.name, sec, asked, paperSet, 2*average(sec)/2e8, 2)
		}
	}
	for _, n := range counts {
		for _, k := range append(paperKinds, shared) {
			seconds, searches := 1e-3, 1
			if k.name == single.name {
				seconds, searches = 1e-3*float64(n), n
			}
			add(&sweep, k.name, 1, 1, n, seconds, searches)
		}
	}
	return rows, sweep
}

func TestGatesFail(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*row)
		fails  string
	}{
		"nothing": {func(*row) {}, ""},
		"slow threads": {func(r *row) {
			if r.kind == hba.name && r.sec == 1 && r.threads == asked {
				r.took[0] *= 1000
			}
		}, "threads never slower, Sec 1, HBA"},
		"unfair": {func(r *row) {
			if r.sec == 2 {
				for i := range r.tries {
					r.tries[i] *= 1.3
				}
			}
		}, "tries of Sec 2"},
		"CGA flat": {func(r *row) {
			if r.kind == single.name && r.addresses == 20 {
				for i := range r.took {
					r.took[i] /= 2
				}
			}
		}, "CGA linear"},
		"HBA linear": {func(r *row) {
			if r.kind == hba.name && r.sec == 1 && r.threads == 1 {
				for i := range r.took {
					r.took[i] *= float64(r.addresses)
				}
			}
		}, "HBA flat"},
	} {
		r := new(figure.Result)
		rows, sweep := made(tc.change)
		gates(r, rows, sweep)
		failed := ""
		for _, g := range r.Gates {
			if !g.OK {
				failed += g.Name
			}
		}
		if failed != tc.fails {
			t.Errorf("%s: gates %q fail, want %q", name, failed, tc.fails)
		}
	}
}

// SPDX-License-Identifier: MIT

package fig6

import (
	"context"
	"crypto/sha1"
	"fmt"
	"time"

	"shim6/internal/cga"
	"shim6/internal/cga/search"
	"shim6/test/figures/figure"
)

// plainKind is the loop of the original.
const plainKind = "CGA, plain SHA-1 loop"

// plain makes CGAs of Sec 1 as the original does: one call of SHA-1 for each candidate. It finds what the search finds.
func (m *maker) plain(e *figure.Env, r *figure.Result) (*row, error) {
	x := &row{kind: plainKind, sec: 1, threads: 1, used: 1, addresses: paperSet}
	ours, theirs := 0.0, 0.0
	for range figure.Pick(e, 25, 100) {
		list := single.searches(m, 1, paperSet)
		var t trial
		for range repeats {
			again, err := m.make(e.Context, list, paperSet, 1)
			if err != nil {
				return nil, err
			}
			if t.took == nil || again.total() < t.total() {
				t = again
			}
		}
		var took time.Duration
		for k, o := range list {
			s, err := cga.NewSearch(o)
			if err != nil {
				return nil, err
			}
			input := s.Job().Input
			n, least := 0, time.Duration(0)
			for range 3 {
				start := time.Now()
				n = loop(input)
				if d := time.Since(start); least == 0 || d < least {
					least = d
				}
			}
			took += least
			if float64(n) != t.tries[k] {
				return nil, fmt.Errorf("the search found candidate %.0f, and the plain loop %d", t.tries[k], n)
			}
			x.tries = append(x.tries, float64(n))
		}
		x.took = append(x.took, took.Seconds())
		ours, theirs = ours+t.total().Seconds(), theirs+took.Seconds()
	}
	x.settle()
	e.Say("Sec 1, %s: %.3g ms on average, %.0f times ours", x.kind, 1e3*x.mean, theirs/ours)
	r.Note("A loop that calls crypto/sha1 once for each candidate, as the original called OpenSSL, finds the same modifiers in %.1f times the time "+
		"of our search (Sec 1, one thread, %d pairs of addresses).", theirs/ours, len(x.took))
	return x, nil
}

// loop counts a modifier up until Hash2 has 16 leading zero bits, and returns the number of candidates.
func loop(input []byte) int {
	const modifier = 16
	in := append([]byte(nil), input...)
	for n := 1; ; n++ {
		if sum := sha1.Sum(in); sum[0] == 0 && sum[1] == 0 {
			return n
		}
		for i := modifier - 1; i >= 0; i-- {
			if in[i]++; in[i] != 0 {
				break
			}
		}
	}
}

// sec2 has as many trials of Sec 2 as there is time for, the same with one and with eight threads, and the time that the highest
// rate seen lets expect. How many trials is settled before the first, so that long ones are not left out.
func (m *maker) sec2(e *figure.Env) ([]*row, error) {
	budget := figure.Pick(e, 40*time.Second, 12*time.Minute)
	var rows []*row
	for _, k := range paperKinds {
		list := k.searches(m, 2, paperSet)
		rates := map[int]float64{}
		used := map[int]int{}
		for _, threads := range []int{1, asked} {
			rate, n, err := highest(e.Context, list[0], threads)
			if err != nil {
				return nil, err
			}
			rates[threads], used[threads] = rate, n
		}
		one := &row{kind: k.name, sec: 2, threads: 1, used: 1, addresses: paperSet}
		many := &row{kind: k.name, sec: 2, threads: asked, used: used[asked], addresses: paperSet}
		pair := 0.0
		for _, x := range []*row{one, many} {
			x.expected = float64(len(list)) * average(2) / rates[x.threads]
			pair += x.expected
		}
		n := min(100, int(budget.Seconds()/float64(len(paperKinds))/pair))
		e.Say("Sec 2, %s: %.3g million candidates/s by one thread, %.3g by %d; %d trials fit", k.name, rates[1]/1e6, rates[asked]/1e6, used[asked], n)
		for i := range n {
			if err := m.add(e.Context, k, 1, one, many); err != nil {
				return nil, err
			}
			e.Say("Sec 2, %s, trial %d of %d: %.1f s by one thread, %.1f s by %d", k.name, i+1, n, one.took[i], many.took[i], many.used)
		}
		one.settle()
		many.settle()
		rows = append(rows, one, many)
	}
	return rows, nil
}

// highest measures the rate of candidates in bursts.
func highest(ctx context.Context, o cga.GenerateOptions, threads int) (rate float64, used int, err error) {
	o.Threads = threads
	s, err := cga.NewSearch(o)
	if err != nil {
		return 0, 0, err
	}
	job := s.Job()
	probe, err := search.New(job, search.Options{Threads: threads})
	if err != nil {
		return 0, 0, err
	}
	list, err := search.Measure(ctx, []search.Contest{{Job: job, Engine: probe.Engine(), Threads: probe.Threads()}}, 500*time.Microsecond, 2*time.Second)
	if err != nil {
		return 0, 0, err
	}
	return list[0].TrialsPerSec, probe.Threads(), nil
}

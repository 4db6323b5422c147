// SPDX-License-Identifier: MIT

package fig6

import (
	"fmt"
	"math"

	"gonum.org/v1/plot"

	"shim6/test/figures/draw"
	"shim6/test/figures/figure"
	"shim6/test/figures/sample"
)

// gates judges the trials.
func gates(r *figure.Result, rows, sweep []*row) {
	for _, sec := range []uint8{1, 2} {
		// The same searches ran with one and with eight threads, and count once.
		var tries []float64
		for _, k := range paperKinds {
			tries = append(tries, find(rows, k.name, sec, 1, paperSet).tries...)
		}
		if len(tries) == 0 {
			continue
		}
		ok, mean, limit := fair(tries, average(sec))
		r.Gate(fmt.Sprintf("tries of Sec %d", sec), fmt.Sprintf("A search tries 2^%d candidates on average.", 16*sec), ok,
			"%.4g on average of %d searches, %.1f%% off; three standard errors are %.1f%%", mean, len(tries), 100*(mean/average(sec)-1), 100*limit)
	}
	for _, sec := range []uint8{1, 2} {
		for _, k := range paperKinds {
			one, many := find(rows, k.name, sec, 1, paperSet), find(rows, k.name, sec, asked, paperSet)
			if one.trials == 0 {
				continue
			}
			ratio := many.mean / one.mean
			r.Gate(fmt.Sprintf("threads never slower, Sec %d, %s", sec, k.name), "More threads take no longer than one (the paper: slightly longer for Sec 1).",
				ratio <= noise, "%d threads, of which %d run: %.3f of the time of one, %d trials", asked, many.used, ratio, one.trials)
		}
	}
	first, last := counts[0], counts[len(counts)-1]
	growth := func(k kind) float64 {
		return find(sweep, k.name, 1, 1, last).normal() / find(sweep, k.name, 1, 1, first).normal()
	}
	linear, flat := growth(single), growth(hba)
	expected := float64(last / first)
	r.Gate("CGA linear", "The time of CGAs is linear in the number of addresses.", linear > 0.8*expected && linear < 1.2*expected,
		"%d addresses take %.1f times the time of %d", last, linear, first)
	r.Gate("HBA flat", "The time of an HBA set is nearly independent of the number of addresses.", flat < linear/3,
		"%d addresses take %.2f times the time of %d: one search, of parameters that are longer by eight octets an address", last, flat, first)
}

// fair tells whether the mean of numbers of tries, which are geometric, is within three standard errors of what it should be.
func fair(tries []float64, want float64) (ok bool, mean, limit float64) {
	mean, _ = sample.Mean(tries)
	// The standard deviation of a geometric distribution is its mean.
	limit = 3 / math.Sqrt(float64(len(tries)))
	return math.Abs(mean/want-1) <= limit, mean, limit
}

func notes(r *figure.Result, rows []*row) {
	cga := find(rows, single.name, 1, 1, paperSet)
	r.Note("Two CGAs of Sec 1: %.2g ms on average, standard deviation %.0f%% of that (theory for the sum of two searches: 71%%).", 1e3*cga.mean,
		100*cga.deviation/cga.mean)
	for _, k := range paperKinds {
		one, many := find(rows, k.name, 2, 1, paperSet), find(rows, k.name, 2, asked, paperSet)
		if one.trials == 0 {
			r.Note("%s, Sec 2: no search was run for want of time; at the highest rate seen, one thread needs %.0f s on average and %d need %.0f s.", k.name,
				one.expected, many.used, many.expected)
			continue
		}
		r.Note("%s, Sec 2: %d trials, %.1f s by one thread and %.1f s by %d; the highest rate seen lets expect %.1f s and %.1f s.", k.name, one.trials,
			one.mean, many.mean, many.used, one.expected, many.expected)
	}
	r.Differ("Times are the shortest of %d runs of the same search for Sec 1, because this machine has other work; for Sec 2 each search ran once, "+
		"and crosses mark the time that the highest rate seen lets expect.", repeats)
	r.Differ("Eight threads are asked for, and no more than there are processors are used. They end together because a search is cut into small " +
		"units; the original's threads look up every 500,000 candidates only, more than a whole search of Sec 1, so that all of them had to find one.")
	r.Differ("Pure HBA sets search in the nonce that stands for the key, whose last block alone changes from one candidate to the next.")
	r.Differ("cgatool uses one modifier for CGAs in all prefixes of a host, since Hash2 leaves the prefix out: its time does not depend on their number.")
}

func plots(e *figure.Env, rows, sweep []*row) error {
	bars := draw.New("time to make two addresses: mean and standard deviation", "", "seconds")
	draw.LogY(bars)
	groups := []struct {
		name    string
		sec     uint8
		threads int
	}{{"Sec 1, 1 thread", 1, 1}, {"Sec 1, 8 threads", 1, asked}, {"Sec 2, 1 thread", 2, 1}, {"Sec 2, 8 threads", 2, asked}}
	var names []string
	for i, g := range groups {
		x := find(rows, single.name, g.sec, g.threads, paperSet)
		trials := find(rows, hba.name, g.sec, g.threads, paperSet).trials
		names = append(names, fmt.Sprintf("%s\n(%d run)", g.name, x.used))
		if g.sec == 2 {
			names[i] += fmt.Sprintf("\n%d, %d, %d trials", trials, find(rows, compatible.name, 2, g.threads, paperSet).trials, x.trials)
		} else {
			names[i] += fmt.Sprintf("\n%d trials", trials)
		}
	}
	low, high := math.Inf(1), 0.0
	var series []draw.Series
	var rings draw.Series
	kinds := []string{hba.name, compatible.name, single.name, plainKind}
	for k, name := range kinds {
		s := draw.Series{Name: name, Style: []int{0, 5, 2, 7}[k]}
		for i, g := range groups {
			y, l, h := math.NaN(), math.NaN(), math.NaN()
			if name == plainKind && (g.sec != 1 || g.threads != 1) {
				s.Y, s.Low, s.High = append(s.Y, y), append(s.Low, l), append(s.High, h)
				continue
			}
			x := find(rows, name, g.sec, g.threads, paperSet)
			if x.trials > 0 {
				y, l, h = x.mean, math.Max(x.mean-x.deviation, x.mean/10), x.mean+x.deviation
				low, high = math.Min(low, l), math.Max(high, h)
			}
			if x.expected > 0 {
				rings.X = append(rings.X, float64(i)-0.4+0.2*(float64(k)+0.5))
				rings.Y = append(rings.Y, x.expected)
				low, high = math.Min(low, x.expected), math.Max(high, x.expected)
			}
			s.Y, s.Low, s.High = append(s.Y, y), append(s.Low, l), append(s.High, h)
		}
		series = append(series, s)
	}
	bars.Y.Min, bars.Y.Max = math.Pow(10, math.Floor(math.Log10(low))), math.Pow(10, math.Ceil(math.Log10(high))+2)
	if err := draw.Bars(bars, names, series); err != nil {
		return err
	}
	rings.Name, rings.Style, rings.NoLine = "expected at the highest rate", 3, true
	if err := draw.Add(bars, rings); err != nil {
		return err
	}
	bars.Legend.Left = true

	lines := draw.New("Sec 1, one thread", "addresses", "milliseconds")
	for style, k := range append(paperKinds, shared) {
		s := draw.Series{Name: k.name, Style: style}
		for _, n := range counts {
			x := find(sweep, k.name, 1, 1, n)
			s.X, s.Y = append(s.X, float64(n)), append(s.Y, 1e3*x.normal())
			// Standard errors of the mean as it was.
			err := x.deviation / math.Sqrt(float64(x.trials))
			s.Low, s.High = append(s.Low, 1e3*(x.normal()-err)), append(s.High, 1e3*(x.normal()+err))
		}
		if err := draw.Add(lines, s); err != nil {
			return err
		}
	}
	lines.X.Tick.Marker = draw.At(1, 2, 5, 10, 20)
	lines.Y.Min, lines.X.Min = 0, 0
	lines.Legend.Left = true
	return draw.Save(e.Path(e.Name), 18, 19, []*plot.Plot{bars}, []*plot.Plot{lines})
}

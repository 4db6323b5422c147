// SPDX-License-Identifier: MIT

package fig9

import (
	"fmt"
	"math"
	"slices"
	"time"

	"gonum.org/v1/plot"

	"shim6/test/figures/draw"
	"shim6/test/figures/figure"
	"shim6/test/figures/sample"
)

// peers are the kernel's own ways to survive a failure.
var peers = []struct {
	flow        string
	tuned       bool
	name, label string
}{
	{"mptcp", false, "MPTCP, default", "MPTCP\ndefault"}, {"mptcp", true, "MPTCP, tuned", "MPTCP\ntuned"},
	{"sctp", false, "SCTP, default", "SCTP\ndefault"}, {"sctp", true, "SCTP, tuned", "SCTP\ntuned"},
}

func series(name string, style int, c curve) draw.Series {
	s := draw.Series{Name: name, Style: style, X: c.tsend}
	for _, a := range c.arts {
		s.Y, s.Low, s.High = append(s.Y, sample.Median(a)), append(s.Low, sample.Quantile(a, 0.05)), append(s.High, sample.Quantile(a, 0.95))
	}
	return s
}

func plots(e *figure.Env, all []recovery) error {
	main, err := paper(all)
	if err != nil {
		return err
	}
	more := draw.New("other flows and failures, Linux "+newer, "Send Timeout, s", "recovery time, s")
	for i, s := range shown[1:] {
		if err := draw.Add(more, series(s.name, i, curveOf(all, kind(newer, s.flow, s.failure, true)))); err != nil {
			return err
		}
	}
	more.X.Min, more.Y.Min, more.Y.Max, more.Legend.Left = 0, 0, more.Y.Max*1.6, true
	beside, err := others(all)
	if err != nil {
		return err
	}
	return draw.Save(e.Path(e.Name), 20, 21, []*plot.Plot{main}, []*plot.Plot{more, beside})
}

// paper is the figure of the paper.
func paper(all []recovery) (*plot.Plot, error) {
	n := 0
	for _, a := range curveOf(all, kind(newer, "tcp", "silent", true)).arts {
		n = max(n, len(a))
	}
	p := draw.New(fmt.Sprintf("TCP, silent failure: median of %d, 5th and 95th percentile", n), "Send Timeout, s", "application recovery time, s")
	p.X.Min, p.Y.Min, p.Legend.Left = 0, 0, true
	// When a TCP that nobody tells would go on: at its first retransmission behind the Send Timeout.
	backoff := draw.Series{Name: "TCP's back-off", Style: 7, NoPoints: true, Width: 0.8}
	longest := curveOf(all, kind(newer, "tcp", "silent", true)).tsend
	from := 0.0
	for _, t := range plainTCP {
		to := math.Min(t, longest[len(longest)-1])
		backoff.X, backoff.Y = append(backoff.X, from, to), append(backoff.Y, t, t)
		if from = t; t >= longest[len(longest)-1] {
			break
		}
	}
	return p, draw.Add(p, backoff,
		series("without TCP reset, Linux 6.12", 1, curveOf(all, kind(newer, "tcp", "silent", false))),
		series("without TCP reset, Linux 6.1", 5, curveOf(all, kind(older, "tcp", "silent", false))),
		series("with TCP reset, Linux 6.12", 0, curveOf(all, kind(newer, "tcp", "silent", true))),
		series("with TCP reset, Linux 6.1", 6, curveOf(all, kind(older, "tcp", "silent", true))))
}

// others is what the kernel's own ways take, beside shim6 with the shortest Send Timeout of both kernels.
func others(all []recovery) (*plot.Plot, error) {
	p := draw.New("the same silent failure: median, least and most", "", "recovery time, s")
	draw.LogY(p)
	p.Y.Min, p.Y.Max = 0.01, 100
	shortest := time.Duration(math.MaxInt64)
	for i := range all {
		if kind(older, "tcp", "silent", true)(&all[i]) {
			shortest = min(shortest, all[i].TSend)
		}
	}
	var names []string
	bars := []draw.Series{{Name: "Linux " + newer}, {Name: "Linux " + older, Style: 5}}
	add := func(name string, arts func(kernel string) []float64) {
		names = append(names, name)
		for k, kernel := range []string{newer, older} {
			y, l, h := math.NaN(), 0.0, 0.0
			if a := arts(kernel); len(a) > 0 {
				y, l, h = sample.Median(a), slices.Min(a), slices.Max(a)
			}
			bars[k].Y, bars[k].Low, bars[k].High = append(bars[k].Y, y), append(bars[k].Low, l), append(bars[k].High, h)
		}
	}
	for _, x := range peers {
		add(x.label, func(kernel string) []float64 { return peer(all, kernel, x.flow, x.tuned) })
	}
	add(fmt.Sprintf("shim6\n%v", shortest), func(kernel string) []float64 {
		var a []float64
		for i := range all {
			if kind(kernel, "tcp", "silent", true)(&all[i]) && all[i].TSend == shortest {
				a = append(a, all[i].art())
			}
		}
		return a
	})
	return p, draw.Bars(p, names, bars)
}

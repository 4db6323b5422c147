// SPDX-License-Identifier: MIT

// Package fig11 counts the contexts that servers would hold, from records of their traffic.
package fig11

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"gonum.org/v1/plot"

	"shim6/test/figures/campus"
	"shim6/test/figures/contexts"
	"shim6/test/figures/draw"
	"shim6/test/figures/figure"
	"shim6/test/figures/trace"
)

// Figure is the paper's Figure 11.
var Figure = figure.Figure{
	Name:  "fig11",
	Title: "Contexts that servers hold at a time",
	Setup: "NetFlow records of the servers of a campus, 1 to 7 August 2008, were replayed offline: each new pair of hosts negotiates at its " +
		"first packet, and a context that is idle for 10 s is collected.",
	Claim: "The busiest server holds fewer than 800 contexts at any time; by Figure 10 that costs it nothing.",
	Run:   run,
}

const (
	servers = 12
	rate    = 10.0
	seed    = 2008
	// paperIdle is the garbage collection time of the paper.
	paperIdle = 10 * time.Second
	claimed   = 800
	sampling  = time.Minute
)

var sweep = []int{1, 2, 5, 10, 20, 30, 60, 120, 300, 600} // seconds

// triggers are those that contexts begin with.
var triggers = []contexts.Policy{
	{Name: "first packet"},
	{Name: "2 KB or 60 s", Bytes: 2048, After: 60 * time.Second, Forget: contexts.Forget},
	{Name: "20 KB", Bytes: 20 << 10, Forget: contexts.Forget},
}

// policies are all triggers with all garbage collection times, those of a trigger together.
func policies() []contexts.Policy {
	var all []contexts.Policy
	for _, p := range triggers {
		for _, s := range sweep {
			p.Idle = time.Duration(s) * time.Second
			all = append(all, p)
		}
	}
	return all
}

// A sampled is the contexts of each server over time, with the garbage collection time of the paper.
type sampled struct {
	hours []float64
	of    [servers][]float64
}

func run(e *figure.Env, r *figure.Result) error {
	o := campus.Options{
		Seed: seed, Start: time.Date(2008, 8, 1, 0, 0, 0, 0, time.UTC), Servers: servers, Rate: rate,
		Length: figure.Pick(e, 13*time.Hour, 7*24*time.Hour),
	}
	if err := compare(e, r); err != nil {
		return err
	}
	e.Say("%s", o.Describe())
	e.Placed()
	all := policies()
	paper := slices.IndexFunc(sweep, func(s int) bool { return time.Duration(s)*time.Second == paperIdle })
	over := make([]sampled, len(triggers))
	sim, err := contexts.New(all, campus.Network.Contains, sampling, func(k int, at time.Time, _ int, of func(netip.Addr) int) {
		if k%len(sweep) != paper {
			return
		}
		s := &over[k/len(sweep)]
		s.hours = append(s.hours, at.Sub(o.Start).Hours())
		for i := range s.of {
			s.of[i] = append(s.of[i], float64(of(campus.Server(i))))
		}
	})
	if err != nil {
		return err
	}
	watched := &watched{in: campus.New(o), e: e, o: o, next: o.Start}
	order := contexts.NewOrder(watched, 0)
	counts, err := sim.Play(order)
	if err != nil {
		return err
	}
	r.Note("%s; %d records, %d packets or halves of a second with packets; at most %d pairs of hosts were remembered at a time.",
		o.Describe(), watched.records, sim.Packets, sim.MaxPairs)
	if order.Late > 0 {
		return fmt.Errorf("%d records of the model were out of order", order.Late)
	}
	gates(r, counts)
	notes(r, counts, paper)
	if err := save(e, counts); err != nil {
		return err
	}
	return plots(e, o, counts, over)
}

// compare plays small traces both ways.
func compare(e *figure.Env, r *figure.Result) error {
	n, packets := 0, 0
	for s := range uint64(figure.Pick(e, 4, 12)) {
		o := campus.Options{Seed: s + 1, Start: time.Date(2008, 8, 1, 9, 0, 0, 0, time.UTC), Length: 4 * time.Minute, Servers: 3, Rate: 1}
		diff, k, err := contexts.Compare(policies(), campus.Network.Contains, contexts.NewOrder(campus.New(o), 0))
		if err != nil {
			return err
		}
		if diff != "" {
			r.Gate("same as an exact count", "The simulation gives what a plain count of the whole trace gives.", false, "seed %d: %s", s+1, diff)
			return nil
		}
		n, packets = n+1, packets+k
	}
	r.Gate("same as an exact count", "The simulation gives what a plain count of the whole trace gives.", true,
		"%d traces of %d packets in all, %d policies each: set-ups, peaks and means are equal", n, packets, len(policies()))
	return nil
}

func gates(r *figure.Result, counts []*contexts.Count) {
	for t, p := range triggers {
		row := counts[t*len(sweep) : (t+1)*len(sweep)]
		wrong := ""
		for i := 1; i < len(row); i++ {
			a, b := row[i-1], row[i]
			if b.Mean < a.Mean || b.Peak < a.Peak || b.SetUps > a.SetUps {
				wrong += fmt.Sprintf("; %v to %v: mean %.1f to %.1f, peak %d to %d, set-ups %d to %d", a.Idle, b.Idle, a.Mean, b.Mean, a.Peak,
					b.Peak, a.SetUps, b.SetUps)
			}
		}
		first, last := row[0], row[len(row)-1]
		r.Gate("monotone in the garbage collection time, "+p.Name, "Contexts that are kept longer are more at a time and set up less often.",
			wrong == "", "from %v to %v: mean %.1f to %.1f, peak %d to %d, set-ups %d to %d%s", first.Idle, last.Idle, first.Mean, last.Mean,
			first.Peak, last.Peak, first.SetUps, last.SetUps, wrong)
	}
}

// busiest returns the host with the highest peak.
func busiest(c *contexts.Count) (a netip.Addr, h *contexts.Host) {
	for b, x := range c.Hosts {
		if h == nil || x.Peak > h.Peak || x.Peak == h.Peak && b.Less(a) {
			a, h = b, x
		}
	}
	if h == nil {
		h = new(contexts.Host)
	}
	return a, h
}

func notes(r *figure.Result, counts []*contexts.Count, paper int) {
	c := counts[paper]
	_, worst := busiest(c)
	r.Note("First packet, %v: the busiest server has %d contexts at most (the paper: below %d), all %d servers together %d at most and %.0f on "+
		"average; %d set-ups, %d in a second at most, %.0f%% of them for a pair whose context had been collected in the hour before.",
		paperIdle, worst.Peak, claimed, len(c.Hosts), c.Peak, c.Mean, c.SetUps, c.PeakSetUps, percent(c.Again, c.SetUps))
	for t := 1; t < len(triggers); t++ {
		d := counts[t*len(sweep)+paper]
		_, w := busiest(d)
		r.Note("Trigger %s: the busiest server has %d at most, and there are %.0f%% of the set-ups.", d.Name, w.Peak, percent(d.SetUps, c.SetUps))
	}
	r.Differ("The campus trace of the paper is not public. The traffic here is made up (test/figures/campus has the model), so that the level, " +
		"unlike the shape and the comparisons, shows nothing but the model's rate; `figures simulate` reads NetFlow v5/v9, IPFIX, nfdump's CSV " +
		"and pcap of one's own network.")
	r.Differ("The packets of a flow record are taken to be evenly spaced; the paper does not say what it assumed.")
}

func percent(a, b uint64) float64 {
	if b == 0 {
		return 0
	}
	return 100 * float64(a) / float64(b)
}

func save(e *figure.Env, counts []*contexts.Count) error {
	var rows [][]string
	for _, c := range counts {
		_, worst := busiest(c)
		rows = append(rows, []string{
			c.Name, strconv.Itoa(int(c.Idle.Seconds())), strconv.Itoa(c.Peak), fmt.Sprintf("%.3f", c.Mean), strconv.Itoa(worst.Peak),
			strconv.FormatUint(c.SetUps, 10), strconv.Itoa(c.PeakSetUps), strconv.FormatUint(c.Again, 10),
		})
	}
	return e.SaveCSV([]string{
		"trigger", "gc_s", "peak_contexts", "mean_contexts", "peak_contexts_of_busiest_server", "set_ups", "set_ups_in_a_second", "set_ups_again",
	}, rows)
}

func plots(e *figure.Env, o campus.Options, counts []*contexts.Count, over []sampled) error {
	day := draw.New(fmt.Sprintf("contexts collected after %v idle, as in the paper\n%s", paperIdle, o.Describe()), "hours since "+
		o.Start.Format("2 Jan 2006 15:04 UTC"), "contexts of a server")
	top := 0.0
	lines := []struct {
		trigger, server int
		name            string
	}{
		{0, 0, "busiest server, first packet"}, {0, 1, "second server, first packet"}, {0, 3, "fourth server, first packet"},
		{1, 0, "busiest server, 2 KB or 60 s"},
	}
	for style, l := range lines {
		s := over[l.trigger]
		top = max(top, slices.Max(s.of[l.server]))
		err := draw.Add(day, draw.Series{Name: l.name, X: s.hours, Y: s.of[l.server], Style: style, NoPoints: true, Width: 0.8})
		if err != nil {
			return err
		}
	}
	day.Y.Min, day.Y.Max, day.X.Min = 0, max(top*1.35, 1), 0
	day.X.Tick.Marker = plot.TickerFunc(func(_, most float64) []plot.Tick {
		step := 24.0
		if most <= 48 {
			step = 3
		}
		var t []plot.Tick
		for h := 0.0; h <= most; h += step {
			t = append(t, plot.Tick{Value: h, Label: draw.Number(h)})
		}
		return t
	})

	peak := draw.New("busiest server, most at a time", "garbage collection time, s", "contexts")
	again := draw.New("price of collecting early", "garbage collection time, s", "set-ups that would not be needed, %")
	for t, p := range triggers {
		var x, most, share []float64
		for i, s := range sweep {
			c := counts[t*len(sweep)+i]
			_, worst := busiest(c)
			x, most, share = append(x, float64(s)), append(most, math.Max(float64(worst.Peak), 1)), append(share, percent(c.Again, c.SetUps))
		}
		if err := draw.Add(peak, draw.Series{Name: p.Name, X: x, Y: most, Style: t}); err != nil {
			return err
		}
		if err := draw.Add(again, draw.Series{Name: p.Name, X: x, Y: share, Style: t}); err != nil {
			return err
		}
	}
	for _, p := range []*plot.Plot{peak, again} {
		draw.LogX(p, 1, 2, 5, 10, 30, 60, 120, 300, 600)
		p.Y.Min = 0
	}
	peak.Legend.Left = true
	return draw.Save(e.Path(e.Name), 18, 16, []*plot.Plot{day}, []*plot.Plot{peak, again})
}

// watched shows how far a trace has come.
type watched struct {
	in      *campus.Trace
	e       *figure.Env
	o       campus.Options
	next    time.Time
	records uint64
}

func (w *watched) Next() (trace.Record, error) {
	rec, err := w.in.Next()
	if errors.Is(err, io.EOF) {
		return rec, err
	}
	w.records++
	if !rec.Start.Before(w.next) {
		if err := w.e.Context.Err(); err != nil {
			return rec, err
		}
		w.e.Say("%3.0f%% of the trace", 100*rec.Start.Sub(w.o.Start).Seconds()/w.o.Length.Seconds())
		w.next = w.next.Add(w.o.Length / 10)
	}
	return rec, err
}

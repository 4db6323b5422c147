// SPDX-License-Identifier: MIT

// Package fig10 measures what an I2 costs a host that has many contexts.
package fig10

import (
	"encoding/csv"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"golang.org/x/sync/errgroup"
	"gonum.org/v1/plot"

	"shim6/internal/cga"
	"shim6/test/figures/client"
	"shim6/test/figures/draw"
	"shim6/test/figures/figure"
	"shim6/test/figures/guest"
	"shim6/test/figures/sample"
	"shim6/test/lab/report"
)

// Figure is the paper's Figure 10.
var Figure = figure.Figure{
	Name:  "fig10",
	Title: "Processing time of an I2 against the number of contexts",
	Setup: "A client began a negotiation every 50 ms, each time with another CGA (RSA keys of 1024 bits), until a server (Pentium III, 600 MHz) had " +
		"1000 contexts. The clock ran around the server's treatment of the I2. The server had made its own signature ahead and verifies the client's.",
	Claim: "An I2 takes about 2 ms, even with 1000 contexts: the time does not depend on their number.",
	Run:   run,
}

const (
	keyBits  = 1024
	paced    = 1000
	interval = "50ms"
	kernel   = "6.12"
	// flat is what the time with many contexts may be of that with few.
	flat = 1.10
	// warm is how many contexts come before the first that counts: the first ones fill caches and grow heaps.
	warm = 20
)

// A point is one I2.
type point struct {
	contexts float64
	micros   float64
}

func run(e *figure.Env, r *figure.Result) error {
	count := figure.Pick(e, 5000, 100000)
	path := e.Path("clients")
	defer os.Remove(path)
	dir, err := guest.Run{
		Case: "i2-load", Kernel: kernel, Name: "linux-" + kernel,
		Params: map[string]string{"paced": strconv.Itoa(paced), "interval": interval, "count": strconv.Itoa(count)},
		Files:  map[string]string{"clients": path, "bin/initiators": filepath.Join(e.Build, "bin", "initiators")},
		// First of all there is a place for the longest of all guests.
		Prepare: func() error { return makeClients(e, path, count) },
	}.Do(e, r)
	if err != nil {
		return err
	}
	slow, err := read(filepath.Join(dir, "i2-0.csv"))
	if err != nil {
		return err
	}
	fast, err := read(filepath.Join(dir, fmt.Sprintf("i2-%d.csv", paced)))
	if err != nil {
		return err
	}
	var memory []report.Footprint
	if err := guest.Load(filepath.Join(dir, report.MemoryName), &memory); err != nil {
		return err
	}
	if len(slow) != paced || len(fast) != count-paced || len(memory) != 3 {
		return fmt.Errorf("the guest left %d and %d I2s and memory at %d times; want %d, %d and 3", len(slow), len(fast), len(memory), paced, count-paced)
	}
	judge(r, slow, fast, memory)
	r.Differ("The clock runs at the client, from the moment in which its I2 goes to the socket until its socket has the R2. In it are: two " +
		"crossings of a veth link and of both kernels, the server's raw socket, the daemon's loop, the verification (RSA and SHA-1) by a worker, the " +
		"engine, the netlink request that puts the context into the kernel, and the sending of the R2. The paper's clock ran around a function of the " +
		"daemon.")
	r.Differ("The guest has one processor whose clock counts a nanosecond for each instruction, without caches: comparisons are exact and hold " +
		"for any load of this machine, but a microsecond is 1000 instructions and no time of a real processor.")
	r.Note("Those that take twice the median and more share the one processor with what the daemon does for all contexts, a few at a time: it saves them, " +
		"and each half minute compares them with the kernel's, for which it reads all of these at once. So what an I2 itself takes is judged by the low end.")
	r.Differ("Each client has a prefix of its own, because the daemon limits what it verifies for one prefix; the paper's came from one host.")
	if err := save(e, append(slow, fast...)); err != nil {
		return err
	}
	return plots(e, slow, fast)
}

// makeClients signs for all clients, as they would have done before.
func makeClients(e *figure.Env, path string, count int) error {
	key, err := cga.NewKey(keyBits)
	if err != nil {
		return err
	}
	e.Say("%d clients sign their addresses", count)
	list := make([]*client.Client, count)
	var group errgroup.Group
	parts := runtime.GOMAXPROCS(0)
	for part := range parts {
		group.Go(func() error {
			for i := part; i < count; i += parts {
				if e.Context.Err() != nil {
					return e.Context.Err()
				}
				var err error
				if list[i], err = client.New(key, uint64(i)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	b, err := client.Write(list)
	if err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o644)
}

// read reads lines of a number of contexts and nanoseconds.
func read(path string) ([]point, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var list []point
	for i, l := range lines {
		if len(l) != 2 {
			return nil, fmt.Errorf("%s: line %d has %d fields", path, i+1, len(l))
		}
		n, err := strconv.Atoi(l[0])
		if err != nil {
			return nil, fmt.Errorf("%s: line %d: %w", path, i+1, err)
		}
		ns, err := strconv.ParseInt(l[1], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s: line %d: %w", path, i+1, err)
		}
		list = append(list, point{float64(n), float64(ns) / 1e3})
	}
	return list, nil
}

func micros(list []point) []float64 {
	var y []float64
	for _, p := range list {
		y = append(y, p.micros)
	}
	return y
}

// judge adds the gates.
func judge(r *figure.Result, slow, fast []point, memory []report.Footprint) {
	for _, part := range []struct {
		name   string
		points []point
	}{
		{fmt.Sprintf("flat to %d contexts, one each %s", len(slow), interval), slow[min(warm, len(slow)-1):]},
		{fmt.Sprintf("flat to %d contexts, at full rate", len(slow)+len(fast)), fast[min(warm, len(fast)-1):]},
	} {
		var x []float64
		for _, p := range part.points {
			x = append(x, p.contexts)
		}
		y := micros(part.points)
		line, growth := sample.Fit(x, y), sample.Growth(y)
		r.Gate(part.name, "The time does not depend on the number of contexts.", growth <= flat,
			"10th percentile of the second half %.3f times that of the first; slope %.2f ± %.2f ns a context; median %.0f, 95th percentile %.0f, worst %.0f µs", growth,
			1e3*line.Slope, 1e3*line.SlopeError, sample.Median(y), sample.Quantile(y, 0.95), sample.Quantile(y, 1))
	}
	last, first := memory[len(memory)-1], memory[0]
	n := float64(last.Contexts - first.Contexts)
	daemon, kernel := float64(last.Daemon-first.Daemon)/n, float64(last.Kernel-first.Kernel)/n
	r.Gate("memory is reported", "What a context takes is known.", n > 0 && daemon > 0 && kernel > 0,
		"%.0f octets of the daemon (resident, with its collector's slack) and %.0f of the kernel for each of %.0f contexts", daemon, kernel, n)
}

func save(e *figure.Env, all []point) error {
	var rows [][]string
	for _, p := range all {
		rows = append(rows, []string{strconv.Itoa(int(p.contexts)), strconv.FormatFloat(p.micros, 'f', 3, 64)})
	}
	return e.SaveCSV([]string{"contexts", "i2_to_r2_us"}, rows)
}

func plots(e *figure.Env, slow, fast []point) error {
	paper := draw.New(fmt.Sprintf("a new client every %s, as in the paper", interval), "contexts", "I2 to R2, µs (1000 instructions)")
	s := draw.Series{Name: "one I2", NoLine: true, Hidden: true}
	for _, p := range slow {
		s.X, s.Y = append(s.X, p.contexts), append(s.Y, p.micros)
	}
	if err := draw.Add(paper, s); err != nil {
		return err
	}
	// The few that meet the daemon when it saves its contexts take many times as long.
	draw.LogY(paper)
	paper.Y.Min, paper.Y.Max, paper.X.Min = 100, math.Pow(10, math.Ceil(math.Log10(sample.Quantile(s.Y, 1)))), 0

	many := draw.New("at full rate: median, 5th and 95th percentile", "contexts", "I2 to R2, µs (1000 instructions)")
	draw.LogX(many, 1000, 3000, 10000, 30000, 100000)
	var m draw.Series
	top := 0.0
	const perDecade = 8
	for from := 0; from < len(fast); {
		to := from
		until := fast[from].contexts * math.Pow(10, 1.0/perDecade)
		for to < len(fast) && fast[to].contexts < until {
			to++
		}
		y := micros(fast[from:to])
		m.X = append(m.X, math.Sqrt(fast[from].contexts*fast[to-1].contexts))
		m.Y, m.Low, m.High = append(m.Y, sample.Median(y)), append(m.Low, sample.Quantile(y, 0.05)), append(m.High, sample.Quantile(y, 0.95))
		top = math.Max(top, sample.Quantile(y, 0.95))
		from = to
	}
	if err := draw.Add(many, m); err != nil {
		return err
	}
	many.Y.Min, many.Y.Max, many.X.Min, many.X.Max = 0, top*1.3, paced*0.9, (paced+float64(len(fast)))*1.1
	return draw.Save(e.Path(e.Name), 18, 9, []*plot.Plot{paper, many})
}

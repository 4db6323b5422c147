// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"shim6/test/lab/cases"
	"shim6/test/lab/report"
)

// A benchResult is result.json of the benchmark.
type benchResult struct {
	Kernels []*benchKernel `json:"kernels"`
	OK      bool           `json:"ok"` // all goals are met on all kernels
}

type benchKernel struct {
	Kernel  string        `json:"kernel"`
	Release string        `json:"release"`
	Cases   []benchCase   `json:"cases"`
	Goals   []benchGoal   `json:"goals"`
	Context *benchContext `json:"context,omitempty"` // nil when it was not measured
}

// A benchContext is what one context takes, its xfrm states included.
type benchContext struct {
	Octets       float64 `json:"octets"`
	StateOctets  int64   `json:"xfrm_state_octets"` // one of the two
	PerCPUOctets float64 `json:"percpu_octets"`     // for all of the guest's CPUs
	CPUs         int     `json:"cpus"`
	Insn         float64 `json:"insn_to_make"` // by netlink
}

// A benchCase is the median of a technique's repetitions.
type benchCase struct {
	Case          string   `json:"case"`             // load/topology/technique
	Insn          *float64 `json:"insn_per_packet"`  // null for TCP, which makes packets as it likes
	More          *float64 `json:"insn_over_plain"`  // likewise
	PerOctet      float64  `json:"insn_per_byte"`    // of payload
	Ratio         *float64 `json:"ratio_to_plain"`   // plain's instructions to these; null when there is no plain to compare
	SpreadPercent float64  `json:"spread_percent"`   // greatest less smallest repetition
	Stalls        int      `json:"stalls,omitempty"` // idle time may have been counted
	median        float64
}

// A benchGoal is something that is asked of the module.
type benchGoal struct {
	Name     string  `json:"name"`
	Measured float64 `json:"measured"`
	Unit     string  `json:"unit"`
	AtMost   bool    `json:"at_most"` // else at least
	Limit    float64 `json:"limit"`
	OK       bool    `json:"ok"`
}

// runBench measures on each kernel, shows what was measured and which goals that misses, and writes all of it to result.json.
func runBench(ctx context.Context, s *settings, measure []string) error {
	if err := s.check(); err != nil {
		return err
	}
	for _, name := range measure {
		if !slices.Contains(report.Measurements, name) {
			return fmt.Errorf("there is no measurement %q, there are: %s", name, strings.Join(report.Measurements, ", "))
		}
	}
	s.params = map[string]string{report.BenchParam: strings.Join(measure, ",")}
	result := &benchResult{OK: true}
	dir := filepath.Join(s.out, report.BenchCase)
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	for _, series := range s.series {
		t := newTerminal(os.Stderr, report.BenchCase, series, false, s.brief)
		t.title(cases.BenchKernel.About)
		r := &report.Result{Case: report.BenchCase, Kernel: series}
		out := filepath.Join(dir, series)
		if err := tryCase(ctx, s, series, cases.BenchKernel, out, r, t); err != nil {
			return err
		}
		if len(r.Failed()) > 0 {
			return errFailed
		}
		var b report.Bench
		if err := readJSON(filepath.Join(out, report.BenchName), &b); err != nil {
			return err
		}
		k := newBenchKernel(r, &b, measure)
		k.print()
		result.Kernels = append(result.Kernels, k)
		result.OK = result.OK && !slices.ContainsFunc(k.Goals, func(g benchGoal) bool { return !g.OK })
	}
	if err := save(dir, result); err != nil {
		return err
	}
	if !result.OK {
		return fmt.Errorf("a goal is missed, see %s", filepath.Join(dir, "result.json"))
	}
	return nil
}

func newBenchKernel(r *report.Result, b *report.Bench, measured []string) *benchKernel {
	k := &benchKernel{Kernel: r.Kernel, Release: r.Release}
	for _, c := range b.Costs {
		k.Cases = append(k.Cases, newBenchCase(c, b.Costs))
	}
	k.judge(b, measured)
	return k
}

func newBenchCase(c report.Cost, all []report.Cost) benchCase {
	n := benchCase{
		Case:   c.Load + "/" + c.Topology + "/" + c.Technique,
		median: median(c.Instructions), Stalls: c.Stalls,
	}
	n.PerOctet = round(n.median/float64(c.Octets), 4)
	n.SpreadPercent = round(100*float64(slices.Max(c.Instructions)-slices.Min(c.Instructions))/n.median, 2)
	if c.Packets > 0 {
		n.Insn = ptr(round(n.median/float64(c.Packets), 1))
	}
	i := slices.IndexFunc(all, func(p report.Cost) bool {
		return p.Load == c.Load && p.Topology == c.Topology && p.Technique == "plain"
	})
	if i < 0 {
		return n
	}
	plain := median(all[i].Instructions)
	n.Ratio = ptr(round(plain/n.median, 4))
	if c.Packets > 0 {
		n.More = ptr(round((n.median-plain)/float64(c.Packets), 1))
	}
	return n
}

func (k *benchKernel) print() {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "Linux %s\tinsn/packet\tover plain\tinsn/byte\tratio to plain\tspread\t\n", k.Release)
	for _, c := range k.Cases {
		stalls := ""
		if c.Stalls > 0 {
			stalls = fmt.Sprintf(" (%d stalls)", c.Stalls)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%.3f\t%s\t%.1f %%%s\t\n", c.Case, optional("%.0f", c.Insn), optional("%+.0f", c.More), c.PerOctet,
			optional("%.3f", c.Ratio), c.SpreadPercent, stalls)
	}
	w.Flush()
	fmt.Println()
	w = tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "goal\tlimit\tmeasured\t\t\n")
	for _, g := range k.Goals {
		sign, verdict := ">=", "ok"
		if g.AtMost {
			sign = "<="
		}
		if !g.OK {
			verdict = "MISSED"
		}
		fmt.Fprintf(w, "%s\t%s %g\t%.4g %s\t%s\t\n", g.Name, sign, g.Limit, g.Measured, g.Unit, verdict)
	}
	w.Flush()
	if c := k.Context; c != nil {
		fmt.Printf("a context takes %.0f octets: two xfrm states of %d, %.0f for counters of %d CPUs; to make one takes %.0f insn\n\n",
			c.Octets, c.StateOctets, c.PerCPUOctets, c.CPUs, c.Insn)
	}
}

func optional(format string, v *float64) string {
	if v == nil {
		return ""
	}
	return fmt.Sprintf(format, *v)
}

func median(v []int64) float64 {
	sorted := slices.Sorted(slices.Values(v))
	n := len(sorted)
	return float64(sorted[(n-1)/2]+sorted[n/2]) / 2
}

func round(v float64, digits int) float64 {
	scale := math.Pow10(digits)
	return math.Round(v*scale) / scale
}

func ptr(v float64) *float64 { return &v }

// SPDX-License-Identifier: MIT

package main

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"shim6/test/figures/contexts"
	"shim6/test/figures/trace"
)

// simulation is what the user chose of one.
type simulation struct {
	format       string
	local        []string
	trigger      string
	bytes        uint64
	after        time.Duration
	idle         []time.Duration
	window       time.Duration
	every        time.Duration
	series       string
	json         bool
	prefixes     []netip.Prefix
	in           *files
	seriesWriter *csv.Writer
}

func simulateCommand() *cobra.Command {
	s := &simulation{}
	c := &cobra.Command{
		Use:   "simulate FILE...",
		Short: "tell how many contexts the hosts of a recorded network would have had",
		Long: `simulate reads records of traffic, in files that follow each other in time, and tells how
many shim6 contexts the hosts would have had: at a time, set up in a second, and set up
again because they had been collected. Files are of NetFlow v5, v9 or IPFIX messages, of
nfdump -o csv, or captures; their size does not matter.`,
		Example: "  figures simulate --local 2001:db8::/32 --idle 10s,60s flows.csv\n" +
			"  figures simulate --format export --trigger first netflow.pcap",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.run(cmd.OutOrStdout(), cmd.ErrOrStderr(), args)
		},
	}
	f := c.Flags()
	f.SortFlags = false
	f.StringVar(&s.format, "format", trace.Auto, "of the files: "+strings.Join(trace.Formats(), ", ")+" (a capture of messages to a collector)")
	f.StringSliceVar(&s.local, "local", nil, "count contexts of hosts in these `prefixes`, not of all")
	f.StringVar(&s.trigger, "trigger", "default", "what begins a context: first (packet), default (2 KB or 60 s), or custom (--bytes, --after)")
	f.Uint64Var(&s.bytes, "bytes", 0, "a custom trigger's `octets`, 0 for any number")
	f.DurationVar(&s.after, "after", 0, "a custom trigger's age of a pair of hosts, 0 for any")
	f.DurationSliceVar(&s.idle, "idle", []time.Duration{10 * time.Minute}, "collect a context that is idle for this `time`; more than one are compared")
	f.DurationVar(&s.window, "window", 31*time.Minute, "the longest `time` from a flow's first packet to its record")
	f.DurationVar(&s.every, "every", time.Minute, "`time` between two lines of the series")
	f.StringVar(&s.series, "series", "", "write the contexts over time to this `file`, as CSV")
	f.BoolVar(&s.json, "json", false, "print JSON")
	return c
}

func (s *simulation) policies() ([]contexts.Policy, error) {
	p := contexts.Policy{Name: s.trigger, Forget: contexts.Forget}
	if s.trigger != "custom" && (s.bytes > 0 || s.after > 0) {
		return nil, errors.New("--bytes and --after are for --trigger custom")
	}
	switch s.trigger {
	case "first":
	case "default":
		p.Bytes, p.After = 2048, 60*time.Second
	case "custom":
		if p.Bytes, p.After = s.bytes, s.after; p.Bytes == 0 && p.After <= 0 {
			return nil, errors.New("--trigger custom needs --bytes or --after")
		}
	default:
		return nil, fmt.Errorf("there is no trigger %q, there are first, default and custom", s.trigger)
	}
	var all []contexts.Policy
	for _, idle := range s.idle {
		p.Idle = idle
		all = append(all, p)
	}
	return all, nil
}

func (s *simulation) isLocal(a netip.Addr) bool {
	return len(s.prefixes) == 0 || slices.ContainsFunc(s.prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}

func (s *simulation) run(stdout, stderr io.Writer, paths []string) (err error) {
	policies, err := s.policies()
	if err != nil {
		return err
	}
	for _, text := range s.local {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return fmt.Errorf("--local: %w", err)
		}
		s.prefixes = append(s.prefixes, p)
	}
	if s.window < 0 || s.every <= 0 {
		return errors.New("--window must not be negative, and --every not be zero")
	}
	every := time.Duration(0)
	if s.series != "" {
		f, err := os.Create(s.series)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		s.seriesWriter, every = csv.NewWriter(f), s.every
		if err := s.seriesWriter.Write([]string{"time", "idle_s", "contexts"}); err != nil {
			return err
		}
	}
	s.in = &files{paths: paths, format: s.format, skipped: make(map[string]uint64)}
	defer func() { err = errors.Join(err, s.in.close()) }()
	order := contexts.NewOrder(s.in, s.window)
	sim, err := contexts.New(policies, s.isLocal, every, func(k int, at time.Time, n int, _ func(netip.Addr) int) {
		// A writer that failed says so when it is flushed.
		_ = s.seriesWriter.Write([]string{at.UTC().Format(time.RFC3339), strconv.FormatFloat(policies[k].Idle.Seconds(), 'f', -1, 64), strconv.Itoa(n)})
	})
	if err != nil {
		return err
	}
	counts, err := sim.Play(order)
	if err != nil {
		return err
	}
	if s.seriesWriter != nil {
		if s.seriesWriter.Flush(); s.seriesWriter.Error() != nil {
			return fmt.Errorf("%s: %w", s.series, s.seriesWriter.Error())
		}
	}
	for why, n := range s.in.skipped {
		fmt.Fprintf(stderr, "figures: %d %s left out\n", n, why)
	}
	if order.Late > 0 {
		fmt.Fprintf(stderr, "figures: %d records came later than --window allows and were moved\n", order.Late)
	}
	if sim.Packets == 0 {
		return errors.New("there is no traffic in the files")
	}
	return s.print(stdout, sim, counts)
}

// An answer is the result for one idle time.
type answer struct {
	IdleS    float64    `json:"idle_s"`
	Peak     int        `json:"peak"`
	Mean     float64    `json:"mean"`
	SetUps   uint64     `json:"set_ups"`
	PerS     float64    `json:"set_ups_per_s"`
	PeakPerS int        `json:"set_ups_in_a_second"`
	Again    uint64     `json:"set_ups_again"`
	Host     netip.Addr `json:"busiest_host"`
	HostPeak int        `json:"busiest_host_peak"`
}

func (s *simulation) print(w io.Writer, sim *contexts.Simulation, counts []*contexts.Count) error {
	from, to := sim.Span()
	var all []answer
	for _, c := range counts {
		a := answer{IdleS: c.Idle.Seconds(), Peak: c.Peak, Mean: c.Mean, SetUps: c.SetUps, PeakPerS: c.PeakSetUps, Again: c.Again}
		if d := to.Sub(from).Seconds(); d > 0 {
			a.PerS = float64(c.SetUps) / d
		}
		for host, h := range c.Hosts {
			if h.Peak > a.HostPeak || h.Peak == a.HostPeak && host.Less(a.Host) {
				a.Host, a.HostPeak = host, h.Peak
			}
		}
		all = append(all, a)
	}
	if s.json {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(struct {
			From    time.Time `json:"from"`
			To      time.Time `json:"to"`
			Records uint64    `json:"records"`
			Trigger string    `json:"trigger"`
			Results []answer  `json:"results"`
		}{from.UTC(), to.UTC(), s.in.records, s.trigger, all})
	}
	fmt.Fprintf(w, "%d records from %s to %s\n", s.in.records, from.UTC().Format(time.DateTime), to.UTC().Format(time.DateTime))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "IDLE\tPEAK\tMEAN\tSET-UPS\tPER SECOND\tMOST IN A SECOND\tAGAIN\tBUSIEST HOST\tITS PEAK")
	for _, a := range all {
		fmt.Fprintf(t, "%gs\t%d\t%.1f\t%d\t%.3g\t%d\t%d\t%v\t%d\n", a.IdleS, a.Peak, a.Mean, a.SetUps, a.PerS, a.PeakPerS, a.Again, a.Host, a.HostPeak)
	}
	return t.Flush()
}

// files gives the records of files, one after the other.
type files struct {
	paths   []string
	format  string
	open    *trace.File
	path    string
	records uint64
	skipped map[string]uint64
}

func (f *files) Next() (trace.Record, error) {
	for {
		if f.open == nil {
			if len(f.paths) == 0 {
				return trace.Record{}, io.EOF
			}
			f.path, f.paths = f.paths[0], f.paths[1:]
			var err error
			if f.open, err = trace.Open(f.path, f.format); err != nil {
				return trace.Record{}, err
			}
		}
		r, err := f.open.Next()
		if errors.Is(err, io.EOF) {
			if err := f.close(); err != nil {
				return trace.Record{}, err
			}
			continue
		}
		if err != nil {
			return r, fmt.Errorf("%s: %w", f.path, err)
		}
		f.records++
		return r, nil
	}
}

func (f *files) close() error {
	if f.open == nil {
		return nil
	}
	for why, n := range f.open.Skipped() {
		f.skipped[why] += n
	}
	err := f.open.Close()
	f.open = nil
	return err
}

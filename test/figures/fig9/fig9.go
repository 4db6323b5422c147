// SPDX-License-Identifier: MIT

// Package fig9 measures how long applications stand still when a provider fails.
package fig9

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"shim6/test/figures/figure"
	"shim6/test/figures/guest"
	"shim6/test/lab/report"
)

// Figure is the paper's Figure 9.
var Figure = figure.Figure{
	Name:  "fig9",
	Title: "Application recovery time against the Send Timeout",
	Setup: "Two hosts with a site that has two providers; iperf over TCP; the router's link of the provider in use is switched off. The recovery " +
		"time is that from the last packet before the failure to the first after it; each point is the median of 45, the bars are the 5th and 95th " +
		"percentiles. Once TCP's retransmission timer is reset when the path changes, and once it is not.",
	Claim: "The recovery time is at least the Send Timeout and, with the reset, linear in it, because the first probe usually takes a path that " +
		"works; without the reset it goes in the steps of TCP's back-off.",
	Run: run,
}

const (
	rtt    = 20 * time.Millisecond
	margin = 100 * time.Millisecond
	newer  = "6.12"
	older  = "6.1"
)

func seconds(s ...float64) []time.Duration {
	var list []time.Duration
	for _, x := range s {
		list = append(list, time.Duration(x*float64(time.Second)))
	}
	return list
}

// plan returns the parts for a kernel, one list for each guest: with and without the reset.
func plan(quick bool, kernel string) [2][]report.RecoveryPart {
	some, few, runs, fewRuns, others := seconds(0.1, 0.3, 0.5, 1, 2, 3, 5, 7, 10, 15, 20, 30), seconds(1, 3, 7, 15), 45, 15, 15
	if kernel == older {
		some = seconds(0.3, 1, 3, 7, 15, 30)
	}
	if quick {
		some, few, runs, fewRuns, others = seconds(0.3, 1, 3, 7, 15), seconds(1, 7), 5, 3, 3
		if kernel == older {
			some, few, runs = seconds(0.3, 7, 15), seconds(3), 3
		}
	}
	var on, off []report.RecoveryPart
	for _, t := range some {
		on = append(on, report.RecoveryPart{Flow: "tcp", Failure: "silent", TSend: t, Kick: true, Runs: runs})
		off = append(off, report.RecoveryPart{Flow: "tcp", Failure: "silent", TSend: t, Runs: runs})
	}
	for _, s := range shown[1:] {
		for _, t := range few {
			on = append(on, report.RecoveryPart{Flow: s.flow, Failure: s.failure, TSend: t, Kick: true, Runs: fewRuns})
		}
	}
	for _, flow := range []string{"mptcp", "sctp"} {
		for _, tuned := range []bool{false, true} {
			on = append(on, report.RecoveryPart{Flow: flow, Failure: "silent", Tuned: tuned, Runs: others})
		}
	}
	return [2][]report.RecoveryPart{on, off}
}

// A recovery is one failure, of a kernel.
type recovery struct {
	report.Recovery
	kernel string
}

// art is the application recovery time in seconds.
func (r *recovery) art() float64 { return r.After.Sub(r.Before).Seconds() }

// A job is what one guest does.
type job struct {
	kernel, name string
	parts        []report.RecoveryPart
	result       figure.Result // for its kernel
	dir          string
}

func run(e *figure.Env, r *figure.Result) error {
	jobs := split(e.Quick, max(1, runtime.GOMAXPROCS(0)/4))
	var group errgroup.Group
	for _, j := range jobs {
		group.Go(func() error { return j.run(e) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	var all []recovery
	for _, j := range jobs {
		r.AddKernels(j.result.Kernels)
		list, err := load(j.dir, j.kernel)
		if err != nil {
			return err
		}
		want := 0
		for _, p := range j.parts {
			want += p.Runs
		}
		if len(list) != want {
			return fmt.Errorf("%s has %d recoveries, want %d", j.dir, len(list), want)
		}
		all = append(all, list...)
	}
	judge(r, all)
	notes(r, all)
	if err := save(e, all); err != nil {
		return err
	}
	return plots(e, all)
}

// split gives each of the four lists of parts to as many guests.
func split(quick bool, guests int) []*job {
	var jobs []*job
	for _, kernel := range []string{newer, older} {
		for i, parts := range plan(quick, kernel) {
			name := fmt.Sprintf("linux-%s-%s", kernel, []string{"reset", "no-reset"}[i])
			for k := range min(guests, len(parts)) {
				j := &job{kernel: kernel, name: name}
				if guests > 1 {
					j.name += fmt.Sprintf("-%d", k+1)
				}
				// In turns: the longest are the last.
				for p := k; p < len(parts); p += guests {
					j.parts = append(j.parts, parts[p])
				}
				jobs = append(jobs, j)
			}
		}
	}
	return jobs
}

func (j *job) run(e *figure.Env) error {
	raw, err := json.Marshal(j.parts)
	if err != nil {
		return err
	}
	path := e.Path(j.name + "-plan.json")
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		return err
	}
	j.dir, err = guest.Run{Case: "recoveries", Kernel: j.kernel, Name: j.name, RTT: rtt, Files: map[string]string{report.PlanName: path}}.Do(e, &j.result)
	return err
}

// load reads the recoveries of a guest, and counts the probes of each.
func load(dir, kernel string) ([]recovery, error) {
	var list []report.Recovery
	if err := guest.Load(filepath.Join(dir, report.RecoveryName), &list); err != nil {
		return nil, err
	}
	all := make([]recovery, len(list))
	for i, x := range list {
		all[i] = recovery{x, kernel}
	}
	for _, host := range []string{"a", "b"} {
		log, err := readLog(filepath.Join(dir, report.DaemonLog(host)))
		if err != nil {
			return nil, err
		}
		for i := range all {
			// Both hosts may notice and probe; what counts is whether one of them had to try again.
			all[i].Probes = max(all[i].Probes, log.needed(all[i].Cut, all[i].After))
		}
	}
	return all, nil
}

// A daemonLog is when a daemon did what counts here.
type daemonLog struct {
	probed  []time.Time // sent a Probe to explore; those that answer one are sent in another state
	changed []time.Time // changed the path
}

// needed counts the Probes that were sent from one time on until the path changed, or until another time at most.
func (l *daemonLog) needed(from, to time.Time) int {
	for _, at := range l.changed {
		if !at.Before(from) && at.Before(to) {
			to = at
		}
	}
	n := 0
	for _, at := range l.probed {
		if !at.Before(from) && !at.After(to) {
			n++
		}
	}
	return n
}

func readLog(path string) (*daemonLog, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	log := new(daemonLog)
	in := bufio.NewScanner(f)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		if !strings.HasPrefix(in.Text(), "{") {
			continue // what the daemon says before its logger runs
		}
		var l struct {
			Time       time.Time
			Msg, State string
		}
		if err := json.Unmarshal(in.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("%s: %q: %w", path, in.Text(), err)
		}
		switch {
		case l.Msg == "probe sent" && l.State == "Exploring":
			log.probed = append(log.probed, l.Time)
		case l.Msg == "path changed":
			log.changed = append(log.changed, l.Time)
		}
	}
	return log, in.Err()
}

func save(e *figure.Env, all []recovery) error {
	f := func(s float64) string { return strconv.FormatFloat(s, 'f', 6, 64) }
	var rows [][]string
	for _, r := range all {
		rows = append(rows, []string{
			r.kernel, r.Flow, r.Failure, f(r.TSend.Seconds()), strconv.FormatBool(r.Kick), strconv.FormatBool(r.Tuned), strconv.Itoa(r.Run), f(r.art()),
			f(r.After.Sub(r.Cut).Seconds()), strconv.Itoa(r.Probes),
		})
	}
	return e.SaveCSV([]string{
		"kernel", "flow", "failure", "send_timeout_s", "tcp_reset", "tuned", "run", "recovery_s", "from_failure_s", "probes",
	}, rows)
}

// SPDX-License-Identifier: MIT

package fig9

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"shim6/test/figures/figure"
	"shim6/test/lab/report"
)

var t0 = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// ideal has what each part of the plans should give.
func ideal(change func(*recovery)) []recovery {
	var all []recovery
	for _, kernel := range []string{newer, older} {
		for _, parts := range plan(true, kernel) {
			for _, p := range parts {
				for run := range p.Runs {
					gap := p.TSend + 30*time.Millisecond
					if p.Flow == "tcp" && !p.Kick {
						for _, s := range plainTCP {
							if gap = time.Duration(s * float64(time.Second)); gap > p.TSend {
								break
							}
						}
					}
					x := recovery{report.Recovery{RecoveryPart: p, Run: run, Cut: t0, Before: t0, After: t0.Add(gap), Probes: 1}, kernel}
					change(&x)
					all = append(all, x)
				}
			}
		}
	}
	return all
}

func TestGatesFail(t *testing.T) {
	late := func(keep func(*recovery) bool, by time.Duration) func(*recovery) {
		return func(x *recovery) {
			if keep(x) {
				x.After = x.After.Add(by)
			}
		}
	}
	for name, tc := range map[string]struct {
		change func(*recovery)
		fails  string
	}{
		"nothing":   {func(*recovery) {}, ""},
		"udp late":  {late(kind(newer, "udp", "silent", true), 110*time.Millisecond), "with reset, UDP, silent drop, Linux 6.12"},
		"too early": {late(kind(older, "tcp", "silent", true), -40*time.Millisecond), "at least the Send Timeout, Linux 6.1"},
		"no steps":  {late(kind(older, "tcp", "silent", false), 1500*time.Millisecond), "steps without reset, Linux 6.1"},
		"not linear": {func(x *recovery) {
			if kind(newer, "tcp", "silent", true)(x) {
				x.After = x.After.Add(x.TSend / 20)
			}
		}, "with reset, TCP, silent drop, Linux 6.12|linear, Linux 6.12"},
		"second probes": {func(x *recovery) {
			if kind(newer, "tcp", "silent", false)(x) && x.Run == 0 {
				x.Probes = 2
			}
		}, "first probe, Linux 6.12"},
	} {
		r := new(figure.Result)
		judge(r, ideal(tc.change))
		var failed []string
		for _, g := range r.Gates {
			if !g.OK {
				failed = append(failed, g.Name)
			}
		}
		if got := strings.Join(failed, "|"); got != tc.fails {
			t.Errorf("%s: gates %q fail, want %q", name, got, tc.fails)
		}
	}
}

// A kernel without any recovery passes no gate.
func TestNothingPassesNoGate(t *testing.T) {
	r := new(figure.Result)
	judge(r, nil)
	for _, g := range r.Gates {
		if g.OK {
			t.Errorf("gate %s holds without a measurement: %s", g.Name, g.Measured)
		}
	}
}

func TestProbesAreCounted(t *testing.T) {
	dir := t.TempDir()
	log := func(host, text string) {
		if err := os.WriteFile(filepath.Join(dir, report.DaemonLog(host)), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	log("a", `shim6d: something before the log
{"time":"2026-01-01T00:00:01Z","msg":"probe sent","state":"Exploring"}
{"time":"2026-01-01T00:00:02Z","msg":"probe sent","state":"Exploring"}
{"time":"2026-01-01T00:00:02Z","msg":"probe sent","state":"Operational"}
{"time":"2026-01-01T00:00:02.3Z","msg":"path changed"}
{"time":"2026-01-01T00:00:02.5Z","msg":"probe sent","state":"Exploring"}
{"time":"2026-01-01T00:00:09Z","msg":"probe sent","state":"Exploring"}
`)
	log("b", `{"time":"2026-01-01T00:00:01Z","msg":"probe sent","state":"Exploring"}
`)
	list := `[{"Flow":"tcp","Cut":"2026-01-01T00:00:01Z","After":"2026-01-01T00:00:03Z"},{"Cut":"2026-01-01T00:00:04Z","After":"2026-01-01T00:00:05Z"}]`
	if err := os.WriteFile(filepath.Join(dir, report.RecoveryName), []byte(list), 0o600); err != nil {
		t.Fatal(err)
	}
	all, err := load(dir, newer)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 2 || all[0].Probes != 2 || all[1].Probes != 0 || all[0].Flow != "tcp" || all[0].kernel != newer {
		t.Errorf("%+v", all)
	}
	log("b", "{broken\n")
	if _, err := load(dir, newer); err == nil {
		t.Error("a broken log was read")
	}
}

func TestPlans(t *testing.T) {
	for _, kernel := range []string{newer, older} {
		for _, quick := range []bool{true, false} {
			for _, parts := range plan(quick, kernel) {
				for _, p := range parts {
					if p.Runs < 3 || p.TSend < 100*time.Millisecond && p.TSend != 0 {
						t.Errorf("%s: %+v", kernel, p)
					}
				}
			}
		}
	}
	if n := len(plan(false, newer)[1]); n != 12 {
		t.Errorf("%d Send Timeouts, the paper's and ours are 12", n)
	}
}

// Every part is in one guest, however many there are.
func TestSplit(t *testing.T) {
	for _, quick := range []bool{true, false} {
		var all []report.RecoveryPart
		for _, kernel := range []string{newer, older} {
			for _, parts := range plan(quick, kernel) {
				all = append(all, parts...)
			}
		}
		for _, guests := range []int{1, 2, 5, 100} {
			n, names := 0, make(map[string]bool)
			for _, j := range split(quick, guests) {
				if len(j.parts) == 0 || names[j.name] {
					t.Errorf("%d guests: job %q has %d parts", guests, j.name, len(j.parts))
				}
				names[j.name] = true
				n += len(j.parts)
			}
			if n != len(all) {
				t.Errorf("%d guests do %d parts of %d", guests, n, len(all))
			}
		}
	}
}

// SPDX-License-Identifier: MIT

// Package cases holds what the lab can try, one case a file. Cases run in the guest.
package cases

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"shim6/test/lab/kernel"
	"shim6/test/lab/kmsg"
	"shim6/test/lab/report"
)

// A Case is one thing to try in a guest of its own.
type Case struct {
	Name  string
	About string // one line for people
	// FastTime runs the case by the instruction clock, where waiting is free and equal seeds give equal runs.
	FastTime bool
	Daemons  bool          // the case runs shim6d and needs the hosts' keys
	Modules  []kernel.Need // of the kernel, beyond those that every case has
	Programs []string      // of the machine that runs the lab, beyond those that every case has
	Examples []string      // programs of this tree that steer shim6d, as they are called in the build folder
	MemoryMB int           // of the guest, 0 for enough
	Managers bool          // the case runs network managers of the distribution
	CPUs     int           // 1 unless the case is about what happens at the same time
	Limit    time.Duration // of this machine's time, boot excluded
	Run      func(*Env) error
}

// All returns every case, in the order in which they run.
func All() []Case {
	return []Case{
		smoke,
		malformedNetlink,
		heuristicsCase,
		multipath,
		payloadHeader,
		offloads,
		lostULID,
		devices,
		transports,
		fragments,
		icmpErrors,
		firewall,
		ipsec,
		unload,
		unloadAgain,
		badConfig,
		establishment,
		malformedControl,
		xfrmFlush,
		demo,
		failover,
		hints,
		cgadFromNothing,
		cgadService,
		besideNetworkd,
		besideNetworkManager,
		besideIfupdown,
		daemonKill,
		daemonUpgrade,
		mobility,
		simCrossCheck,
		contextRecovery,
		locatorUpdate,
		renumbering,
		explain,
		steering,
	}
}

// Measurements returns the cases that are no tests: what the figures run, each with parameters of its own.
func Measurements() []Case {
	return []Case{
		i2Load,
		recoveries,
		negotiations,
	}
}

// Find returns the case of a name, be it one of All, a measurement or the benchmark.
func Find(name string) (*Case, error) {
	all := append(append(All(), Measurements()...), BenchKernel)
	i := slices.IndexFunc(all, func(c Case) bool { return c.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("there is no case %q", name)
	}
	return &all[i], nil
}

// Execute runs the case and then judges the kernel's log.
func (c *Case) Execute(job *report.Job, send func(report.Line)) error {
	e := &Env{Job: job, send: send}
	err := c.Run(e)
	for _, f := range slices.Backward(e.cleanup) {
		f()
	}
	log, logErr := kmsg.Read()
	if logErr != nil {
		return logErr
	}
	if saveErr := e.Save("dmesg.txt", []byte(log)); saveErr != nil {
		return saveErr
	}
	complaints := kmsg.Complaints(log)
	e.Check("kernel log has no WARN, BUG or oops", len(complaints) == 0, "%s", or(strings.Join(complaints, " | "), "clean"))
	return err
}

// An Env is what a case works with.
type Env struct {
	*report.Job
	send     func(report.Line)
	cleanup  []func()
	teardown time.Duration // of the daemons to come, zero for the default
}

// Say tells people how far the case is.
func (e *Env) Say(format string, args ...any) {
	e.send(report.Line{Kind: report.Say, Text: fmt.Sprintf(format, args...)})
}

// Check records a condition; the detail says what was seen.
func (e *Env) Check(name string, ok bool, format string, args ...any) bool {
	e.send(report.Line{Kind: report.Judge, Check: &report.Check{Name: name, OK: ok, Detail: fmt.Sprintf(format, args...)}})
	return ok
}

// Works records that a step went without error.
func (e *Env) Works(name string, err error) bool {
	if err != nil {
		return e.Check(name, false, "%v", err)
	}
	return e.Check(name, true, "yes")
}

// Later calls f when the case is over, last come first served.
func (e *Env) Later(f func()) { e.cleanup = append(e.cleanup, f) }

// Path returns where to write a file that comes back.
func (e *Env) Path(name string) string { return filepath.Join(report.OutDir, name) }

// Save writes a file that comes back.
func (e *Env) Save(name string, data []byte) error {
	return os.WriteFile(e.Path(name), data, 0o644)
}

// SaveJSON writes a value as a file that comes back.
func (e *Env) SaveJSON(name string, v any) error {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return e.Save(name, append(raw, '\n'))
}

// Param returns a parameter of a measurement.
func (e *Env) Param(name string) (string, error) {
	v, ok := e.Params[name]
	if !ok {
		return "", fmt.Errorf("parameter %s is missing: lab run --set %s=...", name, name)
	}
	return v, nil
}

// Number returns a parameter that is a positive number.
func (e *Env) Number(name string) (int, error) {
	v, err := e.Param(name)
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("parameter %s is %q, not a positive number", name, v)
	}
	return n, nil
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

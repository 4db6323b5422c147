// SPDX-License-Identifier: MIT

// Package cases holds what the lab can try, one case a file. Cases run in the guest.
package cases

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"shim6/test/lab/kernel"
	"shim6/test/lab/kmemleak"
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
	Debian   bool          // the guest is a whole machine with Debian, and has our packages
	CPUs     int           // 1 unless the case is about what happens at the same time
	Modern   bool          // the guest's processor has instructions for SHA, which takes a QEMU that fetch-qemu.sh fetches
	Limit    time.Duration // of this machine's time, boot excluded
	// Only are the kernels that the case is for, none for all.
	Only []string
	// Without are kernels on which the case is not run with all others, and why not.
	Without map[string]string
	// Slow are kernels that are too slow for what the case expects, and why; there only complaints of the kernel count.
	Slow map[string]string
	// Planted are the complaints of the kernel that the case is about: there must be one that contains each.
	Planted []string
	Run     func(*Env) error
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
		idleConnection,
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
		plantedBugs,
		noMemory,
		fuzzKernel,
		races,
	}
}

// debugKernels are those with checks that make every packet and every timer late, each with the reason why a case expects less of
// them, or nothing.
func debugKernels(why string) map[string]string {
	return map[string]string{kernel.DebugUML: why, kernel.DebugSMP: why}
}

// realTime are the kernels whose clock does not jump ahead while the guest is idle.
func realTime(why string) map[string]string {
	return map[string]string{kernel.DebugUML: why + ", and its clock is that of a busy machine; " + kernel.DebugSMP + " has one of its own"}
}

// quarantine is what KASAN keeps of freed objects for a while at most: one 32nd of the memory, and room around each.
const quarantine = 128 << 20

// For tells whether the case is for a kernel.
func (c *Case) For(series string) bool {
	return len(c.Only) == 0 || slices.Contains(c.Only, series)
}

// Measurements returns the cases that are no tests: what the figures run, each with parameters of its own.
func Measurements() []Case {
	return []Case{
		i2Load,
		recoveries,
		negotiations,
	}
}

// Packages returns the cases that take longer than all others together: a guest compiles, several times.
func Packages() []Case { return []Case{packageInstall} }

// Find returns the case of a name, be it one of All, one of Packages, a measurement or the benchmark.
func Find(name string) (*Case, error) {
	all := append(slices.Concat(All(), Packages(), Measurements()), BenchKernel)
	i := slices.IndexFunc(all, func(c Case) bool { return c.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("there is no case %q", name)
	}
	return &all[i], nil
}

// Execute runs the case and then judges the kernel's log.
func (c *Case) Execute(job *report.Job, send func(report.Line)) error {
	e := &Env{Job: job, send: send}
	leaks, err := kmemleak.Start()
	if err != nil {
		return err
	}
	err = c.Run(e)
	for _, f := range slices.Backward(e.cleanup) {
		f()
	}
	return errors.Join(err, c.judge(e, leaks))
}

// judge looks for what only the kernel has noticed.
func (c *Case) judge(e *Env, leaks *kmemleak.Detector) error {
	leaked, err := leaks.Find()
	if err != nil {
		return err
	}
	if leaks != nil && len(c.Planted) == 0 {
		e.kernelCheck("no memory is leaked", leaked == "", or(strings.TrimSpace(leaked), "none"))
	}
	if err := e.Save("kmemleak.txt", []byte(leaked)); err != nil {
		return err
	}
	if len(c.Planted) == 0 {
		on, err := lockdepOn()
		if err != nil {
			return err
		}
		if on != nil {
			e.kernelCheck("the kernel watched its locks to the end", *on, fmt.Sprint(*on))
		}
	}
	log, err := kmsg.Read()
	if err != nil {
		return err
	}
	if err := e.Save("dmesg.txt", []byte(log)); err != nil {
		return err
	}
	check := JudgeLog("kernel log", log, c.Planted)
	e.send(report.Line{Kind: report.Judge, Check: &check})
	return nil
}

// JudgeLog says whether a log of the kernel is free of complaints or, when bugs were planted, whether it complains of each.
func JudgeLog(name, log string, planted []string) report.Check {
	complaints := kmsg.Complaints(log)
	if len(planted) == 0 {
		return report.Check{
			Name: name + " has no WARN, BUG or oops", OK: len(complaints) == 0,
			Detail: or(strings.Join(complaints, " | "), "clean"), Kernel: true,
		}
	}
	var missed []string
	for _, p := range planted {
		if !slices.ContainsFunc(complaints, func(c string) bool { return strings.Contains(c, p) }) {
			missed = append(missed, p)
		}
	}
	return report.Check{
		Name: name + " tells of every planted bug", OK: len(missed) == 0,
		Detail: fmt.Sprintf("%d planted, missed: %s", len(planted), or(strings.Join(missed, "; "), "none")), Kernel: true,
	}
}

// lockdepOn tells whether the kernel still checks the order of locks, which it ceases to do with its first complaint. It is nil
// for a kernel that never does.
func lockdepOn() (*bool, error) {
	raw, err := os.ReadFile("/proc/lockdep_stats")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(raw)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "debug_locks" {
			on := strings.TrimSpace(value) == "1"
			return &on, nil
		}
	}
	return nil, errors.New("no debug_locks in /proc/lockdep_stats")
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

// kernelCheck records a condition that the kernel has noticed.
func (e *Env) kernelCheck(name string, ok bool, detail string) {
	e.send(report.Line{Kind: report.Judge, Check: &report.Check{Name: name, OK: ok, Detail: detail, Kernel: true}})
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
		return "", fmt.Errorf("parameter %s is missing, give it with: lab run --set %s=VALUE", name, name)
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

// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"shim6/test/lab/cases"
	"shim6/test/lab/kernel"
	"shim6/test/lab/report"
	"shim6/test/lab/vm"
)

const (
	// bootLimit is how long a guest may take to say hello: many times what it takes, for a machine that does other things, too.
	// A guest hangs in its first second, if ever, without a word.
	bootLimit     = 4 * time.Minute
	bootLimitSlow = 10 * time.Minute // of a debug kernel, and of a machine with all that its distribution starts
	bootTries     = 2
	// memory holds the initramfs, the transferred file twice and the packet captures.
	memoryMB = 1536
	// A debug kernel notes of each object who made it and who freed it, and takes this many times as long.
	memoryDebugMB = 3072
	debugSlowness = 4
)

// errBoot says that the guest never came up: nothing was tested.
var errBoot = errors.New("BOOT failure")

// runAll runs cases on each kernel and says how many passed.
func runAll(ctx context.Context, s *settings, names []string) error {
	if err := s.check(); err != nil {
		return err
	}
	picked, err := pick(names)
	if err != nil {
		return err
	}
	var (
		mu             sync.Mutex
		passed, failed int
		leftOut        int
		wait           sync.WaitGroup
		free           = make(chan struct{}, max(1, s.jobs))
	)
	for _, series := range s.series {
		for _, c := range picked {
			if !c.For(series) && len(names) == 0 {
				continue
			}
			if why := c.Without[series]; why != "" && len(names) == 0 {
				fmt.Printf("== LEFT OUT %s on Linux %s: %s\n", c.Name, series, why)
				leftOut++
				continue
			}
			free <- struct{}{}
			if ctx.Err() != nil {
				break
			}
			wait.Add(1)
			go func() {
				defer wait.Done()
				err := runCase(ctx, s, series, c)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					passed++
				} else {
					failed++
				}
				<-free
			}()
		}
	}
	wait.Wait()
	fmt.Printf("lab: %d passed, %d failed", passed, failed)
	if leftOut > 0 {
		fmt.Printf(", %d left out", leftOut)
	}
	fmt.Println()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("interrupted: %w", err)
	}
	if failed > 0 {
		return errFailed
	}
	return nil
}

// runCase runs one case on one kernel, writes result.json and tells the user.
func runCase(ctx context.Context, s *settings, series string, c cases.Case) error {
	t := newTerminal(os.Stdout, c.Name, series, s.jobs > 1, s.brief)
	start := time.Now()
	result := &report.Result{Case: c.Name, Kernel: series, Slow: c.Slow[series]}
	out := s.outDir(series, c.Name)
	t.title(c.About)
	err := tryCase(ctx, s, series, c, out, result, t)
	if err != nil {
		name := "the lab worked"
		if errors.Is(err, errBoot) {
			name = "the guest booted"
		}
		t.check(result, report.Check{Name: name, Detail: err.Error(), Kernel: true})
	}
	var whole any = result
	if judge := judges[c.Name]; judge != nil && err == nil {
		if whole, err = judge(s, out, result, t); err != nil {
			t.check(result, report.Check{Name: "the guest's files can be judged", Detail: err.Error()})
		}
	}
	if result.Slow != "" && err == nil {
		t.check(result, mostHold(result))
	}
	result.Seconds = time.Since(start).Round(time.Millisecond).Seconds()
	result.OK = len(result.Checks) > 0 && len(result.Failed()) == 0
	if err := save(out, whole); err != nil {
		t.check(result, report.Check{Name: "the result can be saved", Detail: err.Error()})
		result.OK = false
	}
	t.verdict(result, out)
	if !result.OK {
		return errFailed
	}
	return nil
}

// mostHold says whether a case did what it is for on a kernel that is too slow for some of what it expects.
func mostHold(r *report.Result) report.Check {
	held := 0
	for _, c := range r.Checks {
		if c.OK {
			held++
		}
	}
	return report.Check{
		Name: "slow as the kernel is, most checks hold", OK: 2*held >= len(r.Checks),
		Detail: fmt.Sprintf("%d of %d", held, len(r.Checks)), Kernel: true,
	}
}

// outDir returns where a case leaves its files: in a folder of its name, which is within one for the kernel when more kernels
// follow.
func (s *settings) outDir(series, name string) string {
	if len(s.series) > 1 && series != s.series[len(s.series)-1] {
		return filepath.Join(s.out, "kernel-"+series, name)
	}
	return filepath.Join(s.out, name)
}

// tryCase boots the guest, again when it does not come up, and collects what it says.
func tryCase(ctx context.Context, s *settings, series string, c cases.Case, out string, r *report.Result, t *terminal) error {
	if !c.For(series) {
		return fmt.Errorf("case %s is for Linux %s, not %s", c.Name, strings.Join(c.Only, " and "), series)
	}
	k, d, err := openSystem(series, c)
	if err != nil {
		return err
	}
	r.Release = k.Release
	if err := os.RemoveAll(out); err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	work := filepath.Join(s.build, "lab")
	if err := os.MkdirAll(work, 0o755); err != nil {
		return err
	}
	image := filepath.Join(work, fmt.Sprintf("%s-%s-%d.cpio", c.Name, series, os.Getpid()))
	defer os.Remove(image)
	if k.Debug() {
		// User-mode Linux with these checks has no clock of its own.
		c.FastTime, c.CPUs, c.Limit = c.FastTime && !k.UserMode(), k.CPUs(), debugSlowness*c.Limit
	}
	job := &report.Job{
		Case: c.Name, Series: series, Release: k.Release, Debug: k.Debug(), TSend: s.tsend, RTT: s.rtt, Flood: s.flood,
		FastTime: c.FastTime, Inputs: s.inputs, Seed: s.seed, Params: s.params,
	}
	if k.UserMode() {
		if job.Share, err = filepath.Abs(out); err != nil {
			return err
		}
	}
	if d != nil {
		job.Debian, job.Other = true, d.other
		err = makeFiles(image, s, job, c)
	} else {
		err = makeImage(image, s, k, job, c)
	}
	if err != nil {
		return err
	}
	for r.Boots < bootTries {
		r.Boots++
		if err = boot(ctx, s, k, d, c, image, out, r, t); !errors.Is(err, errBoot) {
			return errors.Join(err, judgeConsole(filepath.Join(out, "console.log"), c, r, t))
		}
		t.say("%v, try %d of %d", err, r.Boots, bootTries)
	}
	return err
}

// judgeConsole looks for complaints in what the kernel wrote to its console: that has also what a flood pushed out of the
// kernel's log, and the last words of a kernel that died.
func judgeConsole(path string, c cases.Case, r *report.Result, t *terminal) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	t.check(r, cases.JudgeLog("console", string(raw), c.Planted))
	return nil
}

// openSystem finds what a case boots: a kernel with all else in the image that is made for it or, second, a disk.
func openSystem(series string, c cases.Case) (*kernel.Kernel, *debian, error) {
	if !c.Debian {
		k, err := kernel.Open(series)
		return k, nil, err
	}
	d, err := openDebian(series)
	if err != nil {
		return nil, nil, err
	}
	return &kernel.Kernel{Series: series, Release: d.release, Dir: d.dir}, d, nil
}

// boot runs the guest once.
func boot(ctx context.Context, s *settings, k *kernel.Kernel, d *debian, c cases.Case, image, out string, r *report.Result, t *terminal) error {
	console, err := os.Create(filepath.Join(out, "console.log"))
	if err != nil {
		return err
	}
	defer console.Close()
	share, err := filepath.Abs(out)
	if err != nil {
		return err
	}
	memory := max(memoryMB, c.MemoryMB)
	if k.Debug() {
		memory = max(memoryDebugMB, memory)
	}
	options := vm.Options{
		Image: k.Image(), UserMode: k.UserMode(), Debug: k.Debug(), Initramfs: image, Share: share, MemoryMB: memory,
		CPUs: c.CPUs, FastTime: c.FastTime, Seed: s.seed, Console: console,
	}
	if c.Modern && !k.UserMode() {
		if options.Emulator, err = modernQEMU(); err != nil {
			return err
		}
	}
	if d != nil {
		options.Image, options.Initramfs, options.Root, options.Files = d.path("vmlinuz"), d.path("initrd"), d.path("disk"), image
	}
	guest, err := vm.Start(ctx, options)
	if err != nil {
		return err
	}
	defer guest.Wait()
	defer guest.Kill()
	toBoot := bootLimit
	if k.Debug() || d != nil {
		toBoot = bootLimitSlow
	}
	limit := time.NewTimer(toBoot)
	defer limit.Stop()
	up, done := false, false
	for {
		select {
		case raw, ok := <-guest.Lines():
			if !ok {
				return ending(ctx, up, done, console.Name())
			}
			var l report.Line
			if err := json.Unmarshal(raw, &l); err != nil {
				return fmt.Errorf("the guest wrote %q: %w", raw, err)
			}
			switch l.Kind {
			case report.Hello:
				up = true
				limit.Reset(c.Limit)
				t.line(l, "Linux %s is up", k.Release)
			case report.Say:
				t.line(l, "%s", l.Text)
			case report.Judge:
				t.check(r, *l.Check)
			case report.Done:
				done = true
			}
		case <-limit.C:
			if !up {
				return fmt.Errorf("%w: not a word from the guest in %v, see %s", errBoot, toBoot, console.Name())
			}
			return fmt.Errorf("the guest was not done in %v, see %s", c.Limit, console.Name())
		}
	}
}

// ending judges a guest whose port was closed.
func ending(ctx context.Context, up, done bool, console string) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case !up:
		return fmt.Errorf("%w: the guest ended before its agent ran, see %s", errBoot, console)
	case !done:
		return fmt.Errorf("the guest ended in the middle of the case, see %s", console)
	}
	return nil
}

// judges add to a case's result what only its files tell, such as captures. They return what result.json is to hold.
var judges = map[string]func(*settings, string, *report.Result, *terminal) (any, error){
	"demo":     judgeDemo,
	"failover": judgeFailover,
}

// save writes result.json.
func save(out string, result any) error {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	raw, err := json.MarshalIndent(result, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(out, "result.json"), append(raw, '\n'), 0o644)
}

// SPDX-License-Identifier: MIT

package cases

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"shim6/test/lab/fuzzer"
	"shim6/test/lab/hostile"
	"shim6/test/lab/kcov"
	"shim6/test/lab/kernel"
	"shim6/test/lab/report"
)

var fuzzKernel = Case{
	Name:  "fuzz-kernel",
	About: "mutated packets and requests, steered by coverage, until the kernel complains",
	Only:  []string{kernel.DebugUML},
	// For the seeds, which are messages of the daemon.
	Daemons:  true,
	Programs: []string{"nft"},
	Modules:  []kernel.Need{{Module: "tun"}, {Module: "dummy"}, {Module: "nft_ct"}},
	Limit:    30 * time.Minute,
	Run:      runFuzzKernel,
}

const (
	fuzzBatch   = 256
	fuzzRefresh = 4   // batches between looking after the contexts
	fuzzReset   = 100 // batches between making them anew
	traceSize   = 1 << 14
	// coveredPercent of shim6.ko is far below what is reached, and far above what unsteered or dropped inputs reach.
	coveredPercent = 50
)

func runFuzzKernel(e *Env) error {
	if err := e.loadUnderTest(); err != nil {
		return err
	}
	defer e.unloadUnderTest()
	control, err := controlMessages()
	if err != nil {
		return err
	}
	target, err := fuzzer.NewTarget()
	if err != nil {
		return err
	}
	defer func() { e.Works("the hosts go away", target.Close()) }()
	// The runner can read there what was tried last, even of a kernel that died of it.
	return e.fuzz(target, control, filepath.Join(report.SharePath, "last-inputs.txt"))
}

// controlMessages are the vectors of the daemon's codec.
func controlMessages() ([][]byte, error) {
	files, err := filepath.Glob(filepath.Join(report.VectorDir, "*.hex"))
	if err != nil {
		return nil, err
	}
	var list [][]byte
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		m, err := hostile.ParseHex(filepath.Base(f), string(text))
		if err != nil {
			return nil, err
		}
		list = append(list, m.Octets)
	}
	return list, nil
}

func (e *Env) fuzz(target *fuzzer.Target, control [][]byte, journal string) error {
	clean, err := taint()
	if err != nil {
		return err
	}
	trace, err := kcov.Start(traceSize)
	if err != nil {
		return err
	}
	defer func() { e.Works("coverage ends", trace.Stop()) }()
	seeds := fuzzer.Seeds(target.Requests, control)
	coverage := fuzzer.NewCoverage()
	corpus := fuzzer.NewCorpus(rand.New(rand.NewPCG(e.Seed, 0)), target.Requests.Family(), seeds)
	var tried, taken int
	run := func(batch []fuzzer.Input, keep bool) error {
		if err := os.WriteFile(journal, fuzzer.Journal(batch), 0o644); err != nil {
			return err
		}
		for _, in := range batch {
			trace.Reset()
			if target.Run(in) == nil {
				taken++
			}
			if coverage.Add(trace.PCs()) && keep {
				corpus.Add(in)
			}
			tried++
		}
		if now, err := taint(); err != nil || now != clean {
			return fmt.Errorf("the kernel is tainted, %d instead of %d; what did it is one of %d inputs in %s: %w",
				now, clean, len(batch), filepath.Base(journal), err)
		}
		return nil
	}
	if err := run(seeds, false); err != nil {
		return err
	}
	bySeeds, start := len(coverage.Blocks), time.Now()
	for batch := 1; tried < e.Inputs; batch++ {
		if batch%fuzzReset == 0 {
			err = target.Reset()
		} else if batch%fuzzRefresh == 0 {
			err = target.Refresh()
		}
		if err != nil {
			return err
		}
		if batch%(200*fuzzRefresh) == 0 {
			e.Say("%d inputs, %d in the corpus, %d blocks", tried, corpus.Size, len(coverage.Blocks))
		}
		list := make([]fuzzer.Input, fuzzBatch)
		for i := range list {
			list[i] = corpus.Next()
		}
		if err := run(list, true); err != nil {
			return err
		}
	}
	e.Check("all inputs were tried", tried >= e.Inputs, "%d, %d of them taken, %d a second", tried, taken,
		int(float64(tried)/time.Since(start).Seconds()))
	e.Check("mutants reach what the seeds do not", len(coverage.Blocks) > bySeeds, "%d blocks, the %d seeds reached %d; %d inputs kept",
		len(coverage.Blocks), len(seeds), bySeeds, corpus.Size-len(seeds))
	return e.judgeCoverage(coverage)
}

// judgeCoverage checks how much of the module was run, and leaves a list of its functions.
func (e *Env) judgeCoverage(c *fuzzer.Coverage) error {
	list, err := fuzzer.Functions(filepath.Join(report.KmodDir, mainModule+".ko"), mainModule, c.Blocks)
	if err != nil {
		return err
	}
	var text strings.Builder
	blocks, seen := 0, 0
	for _, f := range list {
		blocks += f.Blocks
		seen += f.Seen
		fmt.Fprintf(&text, "%-40s %3d of %3d\n", f.Name, f.Seen, f.Blocks)
	}
	if err := e.Save("coverage.txt", []byte(text.String())); err != nil {
		return err
	}
	e.Check(fmt.Sprintf("more than %d %% of the module was run", coveredPercent), seen*100 > blocks*coveredPercent,
		"%d of %d blocks in %d functions", seen, blocks, len(list))
	return nil
}

// taint returns what has befallen the kernel, by bits.
func taint() (int, error) {
	raw, err := os.ReadFile("/proc/sys/kernel/tainted")
	if err != nil {
		return 0, err
	}
	var bits int
	if _, err := fmt.Sscan(string(raw), &bits); err != nil {
		return 0, fmt.Errorf("/proc/sys/kernel/tainted: %w", err)
	}
	return bits, nil
}

// SPDX-License-Identifier: MIT

package cases

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"shim6/test/lab/bench"
	"shim6/test/lab/kernel"
	"shim6/test/lab/report"
)

// BenchKernel measures what the module costs. It is not among the cases: it tests nothing, and what it measures is judged by
// goals.
var BenchKernel = Case{
	Name:     report.BenchCase,
	About:    "instructions per packet and memory per context, beside other techniques",
	FastTime: true,
	Modules: []kernel.Need{
		{Module: "ila", Option: "CONFIG_IPV6_ILA"}, {Module: "esp6"}, {Module: "crypto_null"}, {Module: "authenc"}, {Module: "echainiv"},
	},
	MemoryMB: 2560,
	Limit:    30 * time.Minute,
	Run:      runBenchKernel,
}

func runBenchKernel(e *Env) error {
	g := &bench.Guest{Load: e.loadUnderTest, Unload: unloadAll, Say: e.Say}
	wanted := report.Measurements
	if names, ok := e.Params[report.BenchParam]; ok {
		wanted = strings.Split(names, ",")
	}
	var result report.Bench
	var scale []report.Cost
	// First, while the slabs have no holes that others have left.
	if slices.Contains(wanted, "scale") {
		costs, memory, err := bench.Scale(g)
		if err != nil {
			return fmt.Errorf("scale: %w", err)
		}
		scale, result.Memory = costs, &memory
	}
	costs, err := bench.Costs(g, wanted)
	if err != nil {
		return fmt.Errorf("costs: %w", err)
	}
	result.Costs = append(costs, scale...)
	if slices.Contains(wanted, "kick") {
		kick, err := bench.KickCost(g)
		if err != nil {
			return fmt.Errorf("kick: %w", err)
		}
		result.Kick = &kick
	}
	return e.SaveJSON(report.BenchName, result)
}

// unloadAll unloads our modules, last come first.
func unloadAll() error {
	names, err := underTest()
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range slices.Backward(names) {
		errs = append(errs, unloadSoon(name))
	}
	return errors.Join(errs...)
}

// SPDX-License-Identifier: MIT

// Command lab boots Debian's own kernels with the module and the daemons in them and tries what is hard to try elsewhere:
// failures of a provider in a network of namespaces, hostile input, unloading under traffic.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"shim6/test/lab/cases"
	"shim6/test/lab/report"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	cmd := command()
	cmd.SetContext(ctx)
	if err := cmd.Execute(); err != nil {
		if !errors.Is(err, errFailed) {
			fmt.Fprintln(os.Stderr, "lab: error:", err)
		}
		os.Exit(1)
	}
}

// errFailed says that a case failed and that the user has been told.
var errFailed = errors.New("a case failed")

func command() *cobra.Command {
	s := &settings{}
	root := &cobra.Command{
		Use:           "lab",
		Short:         "run kernel lab cases in a virtual machine",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	flags := root.PersistentFlags()
	flags.StringVar(&s.build, "build", "build", "folder with the programs and modules that make built")
	flags.StringVar(&s.out, "out", filepath.Join("test", "out"), "folder for the results")
	flags.StringSliceVar(&s.series, "kernel", []string{"6.12"}, "kernel series, one or more")
	flags.DurationVar(&s.tsend, "tsend", 3*time.Second, "REAP Send Timeout of the daemons")
	flags.DurationVar(&s.rtt, "rtt", 20*time.Millisecond, "round-trip time between the hosts")
	flags.IntVar(&s.flood, "flood", 100000, "destinations of the flood in case heuristics")
	flags.IntVar(&s.inputs, "inputs", 1000000, "inputs of case fuzz-kernel")
	flags.Uint64Var(&s.seed, "seed", 1, "seed of a run by the instruction clock, and of case fuzz-kernel")

	run := &cobra.Command{
		Use:   "run [CASE...]",
		Short: "run the named cases, or all of them",
		RunE: func(cmd *cobra.Command, args []string) error {
			return runAll(cmd.Context(), s, args)
		},
	}
	run.Flags().BoolVar(&s.brief, "brief", false, "show only what fails and how each case ends")
	run.Flags().IntVar(&s.jobs, "jobs", 1, "guests at a time")
	run.Flags().StringToStringVar(&s.params, "set", nil, "parameters of a measurement")
	run.Flags().StringToStringVar(&s.files, "file", nil, "files for a measurement, `name=path`; a name that begins with bin/ is a program")
	list := &cobra.Command{
		Use:   "list",
		Short: "name the cases",
		Args:  cobra.NoArgs,
		Run: func(cmd *cobra.Command, _ []string) {
			for _, c := range append(cases.All(), cases.Packages()...) {
				fmt.Fprintf(cmd.OutOrStdout(), "%-18s %s\n", c.Name, c.About)
			}
		},
	}
	shell := &cobra.Command{
		Use:   "shell",
		Short: "give a prompt in the topology",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runShell(cmd.Context(), s)
		},
	}
	var measure []string
	bench := &cobra.Command{
		Use:   "bench",
		Short: "measure what the module costs, in instructions, and compare it with the goals",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runBench(cmd.Context(), s, measure)
		},
	}
	bench.Flags().StringSliceVar(&measure, "measure", report.Measurements, "what to measure; goals of the rest are not judged")
	root.AddCommand(run, list, shell, bench)
	return root
}

// settings are what the user chose.
type settings struct {
	build, out string
	series     []string
	tsend, rtt time.Duration
	seed       uint64
	flood      int
	inputs     int
	jobs       int
	params     map[string]string // of measurements
	files      map[string]string // for the guest, by their names there
	brief      bool
}

func (s *settings) check() error {
	if s.tsend < 100*time.Millisecond || s.tsend > time.Hour {
		return fmt.Errorf("send timeout %v: the module takes 100ms to 1h", s.tsend)
	}
	if s.rtt < 0 || s.rtt > 2*time.Second {
		return fmt.Errorf("round-trip time %v: 0 to 2s", s.rtt)
	}
	if len(s.series) == 0 {
		return errors.New("no kernel series")
	}
	return nil
}

// pick returns the cases to run, all of them when none is named.
func pick(names []string) ([]cases.Case, error) {
	if len(names) == 0 {
		return cases.All(), nil
	}
	var picked []cases.Case
	for _, name := range names {
		c, err := cases.Find(name)
		if err != nil {
			var known []string
			for _, c := range cases.All() {
				known = append(known, c.Name)
			}
			return nil, fmt.Errorf("%w, there are: %s", err, strings.Join(known, ", "))
		}
		picked = append(picked, *c)
	}
	return picked, nil
}

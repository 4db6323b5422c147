// SPDX-License-Identifier: MIT

// Command figures repeats the experiments of the paper, one figure each, and tells what shim6 would cost a network whose traffic was
// recorded.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"shim6/test/figures/fig10"
	"shim6/test/figures/fig11"
	"shim6/test/figures/fig6"
	"shim6/test/figures/fig7"
	"shim6/test/figures/fig9"
	"shim6/test/figures/figure"
	"shim6/test/figures/page"
)

// all is every figure, in the order in which they run.
var all = []figure.Figure{fig6.Figure, fig7.Figure, fig9.Figure, fig10.Figure, fig11.Figure}

// errFailed says that a gate failed and that the user has been told.
var errFailed = errors.New("a gate failed")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	cmd := command()
	cmd.SetContext(ctx)
	if err := cmd.Execute(); err != nil {
		if !errors.Is(err, errFailed) {
			fmt.Fprintln(os.Stderr, "figures: error:", err)
		}
		os.Exit(1)
	}
}

// settings are what the user chose.
type settings struct {
	out, build string
	quick      bool
}

func command() *cobra.Command {
	s := &settings{}
	root := &cobra.Command{Use: "figures", Short: "repeat the paper's experiments", SilenceErrors: true, SilenceUsage: true}
	run := &cobra.Command{
		Use:   "run [FIGURE...]",
		Short: "run the named figures, or all of them and write report.html",
		RunE:  func(cmd *cobra.Command, args []string) error { return runAll(cmd.Context(), s, args) },
	}
	run.Flags().StringVar(&s.out, "out", filepath.Join("test", "out"), "folder for the results")
	run.Flags().StringVar(&s.build, "build", "build", "folder with the programs and modules that make built")
	run.Flags().BoolVar(&s.quick, "quick", false, "take fewer samples, so that all figures take less than ten minutes")
	report := &cobra.Command{
		Use:   "report",
		Short: "write report.html of the results that there are",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return reportOn(s) },
	}
	report.Flags().StringVar(&s.out, "out", filepath.Join("test", "out"), "folder with the results")
	root.AddCommand(run, report, simulateCommand())
	return root
}

func pick(names []string) ([]figure.Figure, error) {
	if len(names) == 0 {
		return all, nil
	}
	var picked []figure.Figure
	for _, name := range names {
		i := slices.IndexFunc(all, func(f figure.Figure) bool { return f.Name == name })
		if i < 0 {
			var known []string
			for _, f := range all {
				known = append(known, f.Name)
			}
			return nil, fmt.Errorf("there is no figure %q, there are %s", name, strings.Join(known, ", "))
		}
		picked = append(picked, all[i])
	}
	return picked, nil
}

func runAll(ctx context.Context, s *settings, names []string) error {
	picked, err := pick(names)
	if err != nil {
		return err
	}
	start := time.Now()
	var results []*figure.Result
	failed := 0
	for _, f := range picked {
		r, err := runOne(ctx, s, f)
		if err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		results = append(results, r)
		if !r.OK {
			failed++
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("interrupted: %w", err)
		}
	}
	if len(names) == 0 {
		path := filepath.Join(s.out, "report.html")
		if err := page.Write(path, s.out, results); err != nil {
			return err
		}
		fmt.Printf("figures: %d of %d ok in %v, see %s\n", len(results)-failed, len(results), time.Since(start).Round(time.Second), path)
	}
	if failed > 0 {
		return errFailed
	}
	return nil
}

// reportOn writes the report of what earlier runs left.
func reportOn(s *settings) error {
	var results []*figure.Result
	for _, f := range all {
		path := filepath.Join(s.out, f.Name, "result.json")
		raw, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		r := new(figure.Result)
		if err := json.Unmarshal(raw, r); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		results = append(results, r)
	}
	if len(results) == 0 {
		return fmt.Errorf("there are no results in %s", s.out)
	}
	return page.Write(filepath.Join(s.out, "report.html"), s.out, results)
}

func runOne(ctx context.Context, s *settings, f figure.Figure) (*figure.Result, error) {
	start := time.Now()
	fmt.Printf("== %s: %s\n", f.Name, f.Title)
	r, err := f.Do(&figure.Env{
		Context: ctx, Dir: filepath.Join(s.out, f.Name), Build: s.build, Quick: s.quick,
		Say: func(format string, args ...any) {
			fmt.Printf("%s %7.1f s  %s\n", f.Name, time.Since(start).Seconds(), fmt.Sprintf(format, args...))
		},
	})
	if err != nil {
		return nil, err
	}
	for _, g := range r.Gates {
		word := "ok  "
		if !g.OK {
			word = "FAIL"
		}
		fmt.Printf("      %s  %s: %s\n", word, g.Name, g.Measured)
	}
	if r.Error != "" {
		fmt.Printf("      FAIL  not finished: %s\n", r.Error)
	}
	word := "PASS"
	if !r.OK {
		word = "FAIL"
	}
	fmt.Printf("== %s %s in %.1f s, files in %s\n", word, f.Name, r.Seconds, filepath.Join(s.out, f.Name))
	return r, nil
}

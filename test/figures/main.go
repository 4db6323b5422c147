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
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"shim6/test/figures/fig10"
	"shim6/test/figures/fig11"
	"shim6/test/figures/fig6"
	"shim6/test/figures/fig7"
	"shim6/test/figures/fig9"
	"shim6/test/figures/figure"
	"shim6/test/figures/page"
)

// all is every figure, in the order of the paper.
var all = []figure.Figure{fig6.Figure, fig7.Figure, fig9.Figure, fig10.Figure, fig11.Figure}

// begin is the order in which they begin. Figure 6 measures this machine and is over before another begins; the longest guest, that of
// Figure 10, must not be the last.
var begin = []string{fig6.Figure.Name, fig10.Figure.Name, fig9.Figure.Name, fig11.Figure.Name, fig7.Figure.Name}

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
	results, err := runFigures(ctx, s, picked)
	if err != nil {
		return err
	}
	failed := 0
	for _, r := range results {
		if !r.OK {
			failed++
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

// runFigures runs figures side by side, as many guests as there are processors, for their clocks do not depend on that: each begins
// when the one before has its first guest. The results are in the order of the figures.
func runFigures(ctx context.Context, s *settings, figures []figure.Figure) ([]*figure.Result, error) {
	places := make(chan struct{}, runtime.GOMAXPROCS(0))
	results := make([]*figure.Result, len(figures))
	group, ctx := errgroup.WithContext(ctx)
	for _, name := range begin {
		i := slices.IndexFunc(figures, func(f figure.Figure) bool { return f.Name == name })
		if i < 0 {
			continue
		}
		f := figures[i]
		begun := make(chan struct{})
		placed := sync.OnceFunc(func() { close(begun) })
		group.Go(func() (err error) {
			defer placed()
			if results[i], err = runOne(ctx, s, f, places, placed); err != nil {
				return fmt.Errorf("%s: %w", f.Name, err)
			}
			if ctx.Err() != nil {
				return fmt.Errorf("interrupted: %w", context.Cause(ctx))
			}
			return nil
		})
		<-begun
	}
	return results, group.Wait()
}

func runOne(ctx context.Context, s *settings, f figure.Figure, places chan struct{}, placed func()) (*figure.Result, error) {
	start := time.Now()
	fmt.Printf("== %s: %s\n", f.Name, f.Title)
	r, err := f.Do(&figure.Env{
		Context: ctx, Dir: filepath.Join(s.out, f.Name), Build: s.build, Quick: s.quick, Places: places, Placed: placed,
		Say: func(format string, args ...any) {
			fmt.Printf("%s %7.1f s  %s\n", f.Name, time.Since(start).Seconds(), fmt.Sprintf(format, args...))
		},
	})
	if err != nil {
		return nil, err
	}
	// In one piece, for others may be running.
	var text strings.Builder
	for _, g := range r.Gates {
		word := "ok  "
		if !g.OK {
			word = "FAIL"
		}
		fmt.Fprintf(&text, "      %s  %s: %s\n", word, g.Name, g.Measured)
	}
	if r.Error != "" {
		fmt.Fprintf(&text, "      FAIL  not finished: %s\n", r.Error)
	}
	word := "PASS"
	if !r.OK {
		word = "FAIL"
	}
	fmt.Printf("%s== %s %s in %.1f s, files in %s\n", text.String(), word, f.Name, r.Seconds, filepath.Join(s.out, f.Name))
	return r, nil
}

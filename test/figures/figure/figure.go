// SPDX-License-Identifier: MIT

// Package figure is what the paper's figures have in common: what one leaves behind, and the gates that it has to pass.
package figure

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// A Figure is one of the paper's experiments.
type Figure struct {
	Name  string // fig6
	Title string
	Setup string // what the paper did, in our words
	Claim string // what the paper says came out
	Run   func(*Env, *Result) error
}

// An Env is what a figure works with.
type Env struct {
	Context context.Context
	Name    string // of the figure
	Dir     string // where the figure's files go
	Build   string // folder with the programs and modules that make built
	Quick   bool
	Say     func(format string, args ...any) // progress
	// Places has room for as many guests as this machine has processors. Whoever starts one fills a place while it runs, and calls
	// Placed then; so does a figure that needs none, once others may run beside it.
	Places chan struct{}
	Placed func()
}

// Path returns where a file of the figure goes.
func (e *Env) Path(name string) string { return filepath.Join(e.Dir, name) }

// Pick returns quick when the figure is to be quick, and full otherwise.
func Pick[T any](e *Env, quick, full T) T {
	if e.Quick {
		return quick
	}
	return full
}

// A Gate is a condition that the measurement has to meet.
type Gate struct {
	Name     string `json:"name"`
	Claim    string `json:"claim"` // what the paper, or the issue, says
	Measured string `json:"measured"`
	OK       bool   `json:"ok"`
}

// A Result is what result.json has.
type Result struct {
	Figure      string   `json:"figure"`
	Title       string   `json:"title"`
	OK          bool     `json:"ok"`
	Quick       bool     `json:"quick"`
	Machine     Machine  `json:"machine"`
	Kernels     []string `json:"kernels,omitempty"` // of the guests, where there were any
	Started     string   `json:"started"`
	Seconds     float64  `json:"seconds"`
	Setup       string   `json:"setup"`
	Claim       string   `json:"claim"`
	Measured    []string `json:"measured"`    // what came out
	Differences []string `json:"differences"` // where it is not what the paper has, and why
	Gates       []Gate   `json:"gates"`
	Error       string   `json:"error,omitempty"` // why the figure was not finished
}

// AddKernels adds the releases of guests' kernels, each once.
func (r *Result) AddKernels(releases []string) {
	for _, k := range releases {
		if !slices.Contains(r.Kernels, k) {
			r.Kernels = append(r.Kernels, k)
		}
	}
}

// Gate adds a gate.
func (r *Result) Gate(name, claim string, ok bool, measured string, args ...any) {
	r.Gates = append(r.Gates, Gate{Name: name, Claim: claim, Measured: fmt.Sprintf(measured, args...), OK: ok})
}

// Note adds a sentence about what came out.
func (r *Result) Note(format string, args ...any) {
	r.Measured = append(r.Measured, fmt.Sprintf(format, args...))
}

// Differ adds a sentence about what is not as in the paper.
func (r *Result) Differ(format string, args ...any) {
	r.Differences = append(r.Differences, fmt.Sprintf(format, args...))
}

// Do runs a figure and writes result.json. The error says why the result could not be written; a figure that fails says so in
// the result.
func (f Figure) Do(e *Env) (*Result, error) {
	start := time.Now()
	e.Name = f.Name
	r := &Result{
		Figure: f.Name, Title: f.Title, Quick: e.Quick, Machine: ThisMachine(), Started: start.UTC().Format(time.RFC3339),
		Setup: f.Setup, Claim: f.Claim,
	}
	// What an earlier run left would look like this one's.
	if err := os.RemoveAll(e.Dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(e.Dir, 0o755); err != nil {
		return nil, err
	}
	if err := f.Run(e, r); err != nil {
		r.Error = err.Error()
	}
	r.Seconds = time.Since(start).Round(100 * time.Millisecond).Seconds()
	r.judge()
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, err
	}
	return r, os.WriteFile(e.Path("result.json"), append(raw, '\n'), 0o644)
}

// judge sets OK: a figure without a gate shows nothing, so it is not.
func (r *Result) judge() {
	r.OK = r.Error == "" && len(r.Gates) > 0
	for _, g := range r.Gates {
		r.OK = r.OK && g.OK
	}
}

// SaveCSV writes data.csv.
func (e *Env) SaveCSV(header []string, rows [][]string) (err error) {
	f, err := os.Create(e.Path("data.csv"))
	if err != nil {
		return err
	}
	defer func() {
		if closed := f.Close(); err == nil {
			err = closed
		}
	}()
	w := csv.NewWriter(f)
	if err := w.Write(header); err != nil {
		return err
	}
	for i, row := range rows {
		if len(row) != len(header) {
			return fmt.Errorf("data.csv: row %d has %d fields, want %d", i+1, len(row), len(header))
		}
		if err := w.Write(row); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}

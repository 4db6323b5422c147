// SPDX-License-Identifier: MIT

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"shim6/test/lab/report"
)

// labCommand is what makes a result of a case.
const labCommand = "run make lab CASE="

// A labResult is the last result of a case on one kernel.
type labResult struct {
	report.Result
	file string
	at   time.Time
}

// A labResults is what the lab left behind, and when the code under test was last changed.
type labResults struct {
	results []labResult
	changed time.Time
	what    string // that was changed then
}

// readLab reads every result.json of the lab.
func readLab(root, out string) (labResults, error) {
	var l labResults
	if !filepath.IsAbs(out) {
		out = filepath.Join(root, out)
	}
	err := filepath.WalkDir(out, func(name string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // the lab has not run
		case err != nil:
			return err
		case d.IsDir() || d.Name() != "result.json":
			return nil
		}
		raw, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		r := labResult{file: name, at: info.ModTime()}
		var shape *json.UnmarshalTypeError
		switch err := json.Unmarshal(raw, &r.Result); {
		case errors.As(err, &shape): // others leave a result too, of another shape
		case err != nil:
			return fmt.Errorf("%s: %w", name, err)
		case r.Case != "" && r.Kernel != "":
			l.results = append(l.results, r)
		}
		return nil
	})
	if err != nil {
		return l, err
	}
	sources, err := filepath.Glob(filepath.Join(root, "kmod", "*.[ch]"))
	if err != nil {
		return l, err
	}
	for _, name := range sources {
		info, err := os.Stat(name)
		if err != nil {
			return l, err
		}
		if info.ModTime().After(l.changed) {
			l.changed, l.what = info.ModTime(), filepath.Join("kmod", filepath.Base(name))
		}
	}
	return l, nil
}

// fresh gives the results of a case that are of the code as it is, the newest of each kernel.
func (l labResults) fresh(name string) map[string]labResult {
	newest := map[string]labResult{}
	for _, r := range l.results {
		if r.Case == name && !r.at.Before(l.changed) && r.at.After(newest[r.Kernel].at) {
			newest[r.Kernel] = r
		}
	}
	return newest
}

// stale lists the cases that tables name and that have no fresh result.
func (l labResults) stale(tables []Table) (names []string, err error) {
	for _, t := range tables {
		for _, row := range t.Rows {
			for _, s := range row.Lab {
				name, _, err := parseLab(s)
				if err != nil {
					return nil, err
				}
				if len(l.fresh(name)) == 0 && !slices.Contains(names, name) {
					names = append(names, name)
				}
			}
		}
	}
	slices.Sort(names)
	return names, nil
}

// outcomeOf judges a check of a case: it must hold on each kernel that there is a fresh result for.
func (l labResults) outcomeOf(s string) Outcome {
	o := Outcome{Name: "lab " + s}
	name, check, err := parseLab(s)
	if err != nil {
		o.Detail = err.Error()
		return o
	}
	results := l.fresh(name)
	if len(results) == 0 {
		o.Detail = fmt.Sprintf("no result later than %s: %s%s", l.what, labCommand, name)
		return o
	}
	kernels := slices.Sorted(maps.Keys(results))
	for _, kernel := range kernels {
		r, found := results[kernel], false
		for _, c := range r.Checks {
			switch {
			case c.Name != check:
				continue
			case !c.OK:
				o.Detail = fmt.Sprintf("fails on %s: %s", kernel, c.Detail)
				return o
			}
			found = true
		}
		if !found {
			o.Detail = fmt.Sprintf("%s has no such check", r.file)
			return o
		}
	}
	o.OK, o.Detail = true, "pass on "+strings.Join(kernels, ", ")
	return o
}

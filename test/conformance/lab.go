// SPDX-License-Identifier: MIT

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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
		if err := json.Unmarshal(raw, &r.Result); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if r.Case != "" && r.Kernel != "" { // others leave a result too
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

// outcomeOf judges a check of a case: it must hold on each kernel that there is a result for.
func (l labResults) outcomeOf(s string) Outcome {
	o := Outcome{Name: "lab " + s}
	name, check, err := parseLab(s)
	if err != nil {
		o.Detail = err.Error()
		return o
	}
	again := labCommand + name
	var kernels []string
	for _, r := range l.results {
		if r.Case != name {
			continue
		}
		found := false
		for _, c := range r.Checks {
			switch {
			case c.Name != check:
				continue
			case !c.OK:
				o.Detail = fmt.Sprintf("fails on %s: %s", r.Kernel, c.Detail)
				return o
			}
			found = true
		}
		switch {
		case !found:
			o.Detail = fmt.Sprintf("%s has no such check", r.file)
			return o
		case r.at.Before(l.changed):
			o.Detail = fmt.Sprintf("%s is older than %s: %s", r.file, l.what, again)
			return o
		}
		kernels = append(kernels, r.Kernel)
	}
	if len(kernels) == 0 {
		o.Detail = "no result: " + again
		return o
	}
	o.OK, o.Detail = true, "pass on "+strings.Join(kernels, ", ")
	return o
}

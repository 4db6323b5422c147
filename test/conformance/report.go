// SPDX-License-Identifier: MIT

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Verdicts on a row.
const (
	met       = "met"       // every test that is named passes
	deviation = "deviation" // on purpose, with a reason; what tests are named pass
	isOpen    = "open"
)

// A Report is the matrix of requirements, tests and results.
type Report struct {
	OK         bool    `json:"ok"`
	Rows       int     `json:"rows"`
	Met        int     `json:"met"`
	Deviations int     `json:"deviations"`
	Open       int     `json:"open"`
	Tests      int     `json:"tests"` // different ones, checks of the lab too
	Sheets     []Sheet `json:"sheets"`
}

// A Sheet is the rows of one table.
type Sheet struct {
	Name  string   `json:"name"`
	Title string   `json:"title"`
	Rows  []Judged `json:"rows"`
}

// A Judged is a row with its result.
type Judged struct {
	Row
	Result string    `json:"result"`
	Tests  []Outcome `json:"tests"`
}

// judge puts rows and outcomes together.
func judge(tables []Table, outcomes map[testName]string, lab labResults) *Report {
	r := &Report{}
	tests := map[string]bool{}
	for _, t := range tables {
		s := Sheet{Name: t.Name, Title: t.Title}
		for _, row := range t.Rows {
			j := Judged{Row: row, Tests: []Outcome{}}
			for _, name := range row.Tests {
				n, err := parseTest(name)
				o := Outcome{Name: name}
				if err != nil {
					o.Detail = err.Error()
				} else {
					o = outcomeOf(n, outcomes)
				}
				j.Tests = append(j.Tests, o)
			}
			for _, name := range row.Lab {
				j.Tests = append(j.Tests, lab.outcomeOf(name))
			}
			j.Result = j.verdict()
			for _, o := range j.Tests {
				tests[o.Name] = true
			}
			r.Rows++
			switch j.Result {
			case met:
				r.Met++
			case deviation:
				r.Deviations++
			default:
				r.Open++
			}
			s.Rows = append(s.Rows, j)
		}
		r.Sheets = append(r.Sheets, s)
	}
	r.Tests = len(tests)
	r.OK = r.Open == 0 && r.Rows > 0
	return r
}

func (j Judged) verdict() string {
	for _, o := range j.Tests {
		if !o.OK {
			return isOpen
		}
	}
	switch {
	case j.Deviation != "":
		return deviation
	case len(j.Tests) == 0:
		return isOpen
	}
	return met
}

// write leaves the matrix as text and as JSON.
func (r *Report) write(dir string) error {
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "result.json"), append(raw, '\n'), 0o644); err != nil {
		return err
	}
	var b strings.Builder
	r.text(&b)
	return os.WriteFile(filepath.Join(dir, "matrix.txt"), []byte(b.String()), 0o644)
}

func (r *Report) text(w io.Writer) {
	for _, s := range r.Sheets {
		fmt.Fprintf(w, "%s: %s\n\n", s.Name, s.Title)
		for _, j := range s.Rows {
			fmt.Fprintf(w, "%-8s %-9s %s: %s\n", j.ID, j.Result, j.At, j.Must)
			if j.Deviation != "" {
				fmt.Fprintf(w, "%19sbut: %s\n", "", j.Deviation)
			}
			for _, o := range j.Tests {
				fmt.Fprintf(w, "%19s%s: %s\n", "", o.Name, o.Detail)
			}
		}
		fmt.Fprintln(w)
	}
}

// summary tells the open rows, and how many rows each sheet has.
func (r *Report) summary(w io.Writer) {
	for _, s := range r.Sheets {
		count := map[string]int{}
		for _, j := range s.Rows {
			count[j.Result]++
			if j.Result != isOpen {
				continue
			}
			fmt.Fprintf(w, "%s %s: %s: %s\n", s.Name, j.ID, j.At, j.Must)
			for _, o := range j.Tests {
				if !o.OK {
					fmt.Fprintf(w, "    %s: %s\n", o.Name, o.Detail)
				}
			}
		}
		fmt.Fprintf(w, "conformance: %-10s %3d rows: %d met, %d deviations with a reason, %d open\n", s.Name, len(s.Rows), count[met],
			count[deviation], count[isOpen])
	}
	if again := r.labAgain(); len(again) > 0 {
		fmt.Fprintf(w, "conformance: the lab has to run: make lab CASE='%s'\n", strings.Join(again, " "))
	}
	fmt.Fprintf(w, "conformance: %d rows, %d tests and checks; %d open\n", r.Rows, r.Tests, r.Open)
}

// labAgain gives the cases that have left no result, or an old one.
func (r *Report) labAgain() (again []string) {
	for _, s := range r.Sheets {
		for _, j := range s.Rows {
			for _, o := range j.Tests {
				if _, name, ok := strings.Cut(o.Detail, labCommand); ok && !slices.Contains(again, name) {
					again = append(again, name)
				}
			}
		}
	}
	slices.Sort(again)
	return again
}

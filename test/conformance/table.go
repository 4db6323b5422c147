// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

//go:embed *.yaml
var files embed.FS

// A Table is the requirements of one subject, numbered as in the sheet that was made from the RFCs.
type Table struct {
	Name   string  `yaml:"-"` // of the file
	Title  string  `yaml:"title"`
	Groups []Group `yaml:"groups"`
	Rows   []Row   `yaml:"rows"`
}

// A Group is rows whose ids are Prefix and a number from 1 to Count, and those in Also.
type Group struct {
	Prefix string   `yaml:"prefix"`
	Count  int      `yaml:"count"`
	Also   []string `yaml:"also"`
	About  string   `yaml:"about"`
}

// ids gives the ids of a group's rows.
func (g Group) ids() (ids []string) {
	for i := range g.Count {
		ids = append(ids, g.Prefix+strconv.Itoa(i+1))
	}
	return append(ids, g.Also...)
}

// A Row is one requirement and what shows it. One that is not met as it stands has a Deviation, which is the reason.
type Row struct {
	ID        string   `yaml:"id" json:"id"`
	At        string   `yaml:"at" json:"at"`     // RFC and section
	Must      string   `yaml:"must" json:"must"` // in short
	Tests     []string `yaml:"tests" json:"-"`   // package.Test, or package.Test/subtest
	Lab       []string `yaml:"lab" json:"-"`     // case: check
	Deviation string   `yaml:"deviation" json:"deviation,omitempty"`
}

// A testName is where a Go test is and how it is called.
type testName struct{ pkg, test, sub string }

// String gives the name as tables have it.
func (n testName) String() string {
	s := n.pkg + "." + n.test
	if n.sub != "" {
		s += "/" + n.sub
	}
	return s
}

// whole is the name without the subtest.
func (n testName) whole() testName { return testName{n.pkg, n.test, ""} }

// parseTest reads package.Test/subtest; a package is its folder below the root.
func parseTest(s string) (testName, error) {
	at := strings.Index(s, ".Test")
	if at < 0 {
		at = strings.Index(s, ".Fuzz")
	}
	if at <= 0 || strings.ContainsAny(s, " \t") {
		return testName{}, fmt.Errorf("%q is not package.Test or package.Test/subtest", s)
	}
	test, sub, _ := strings.Cut(s[at+1:], "/")
	return testName{s[:at], test, sub}, nil
}

// parseLab reads "case: check".
func parseLab(s string) (labCase, check string, err error) {
	labCase, check, ok := strings.Cut(s, ": ")
	if !ok || labCase == "" || check == "" {
		return "", "", fmt.Errorf("%q is not case: check", s)
	}
	return labCase, check, nil
}

// loadTables reads the tables in the order of their names.
func loadTables() ([]Table, error) {
	names, err := fs.Glob(files, "*.yaml")
	if err != nil {
		return nil, err
	}
	var tables []Table
	for _, name := range names {
		raw, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		d := yaml.NewDecoder(bytes.NewReader(raw))
		d.KnownFields(true)
		t := Table{Name: strings.TrimSuffix(name, ".yaml")}
		if err := d.Decode(&t); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		tables = append(tables, t)
	}
	return tables, nil
}

// check tells everything that is wrong with the tables themselves; known are the tests that are in the tree.
func check(tables []Table, known map[testName]bool) error {
	var errs []error
	if len(tables) < 5 {
		errs = append(errs, fmt.Errorf("%d tables, there are five sheets", len(tables)))
	}
	for _, t := range tables {
		fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(t.Name+": "+format, args...)) }
		want := map[string]bool{}
		for _, g := range t.Groups {
			for _, id := range g.ids() {
				want[id] = true
			}
		}
		seen := map[string]bool{}
		for _, r := range t.Rows {
			switch {
			case seen[r.ID]:
				fault("row %s is there twice", r.ID)
			case !want[r.ID]:
				fault("row %s is of no group", r.ID)
			}
			seen[r.ID] = true
			for _, err := range r.faults(known) {
				fault("row %s: %w", r.ID, err)
			}
		}
		for _, g := range t.Groups {
			for _, id := range g.ids() {
				if !seen[id] {
					fault("row %s is missing: the sheet has %d of %s", id, g.Count+len(g.Also), g.About)
				}
			}
		}
	}
	return errors.Join(errs...)
}

// leastReason is how many octets a reason takes that says something.
const leastReason = 40

func (r Row) faults(known map[testName]bool) (errs []error) {
	if r.At == "" || len(r.Must) < 10 {
		errs = append(errs, errors.New("a section and what it asks for are missing"))
	}
	if len(r.Tests)+len(r.Lab) == 0 && r.Deviation == "" {
		errs = append(errs, errors.New("neither a test nor a deviation"))
	}
	if r.Deviation != "" && len(r.Deviation) < leastReason {
		errs = append(errs, fmt.Errorf("%q is no reason", r.Deviation))
	}
	seen := map[string]bool{}
	for _, s := range r.Tests {
		n, err := parseTest(s)
		switch {
		case err != nil:
			errs = append(errs, err)
		case !known[n.whole()]:
			errs = append(errs, fmt.Errorf("there is no test %s", n.whole()))
		case seen[s]:
			errs = append(errs, fmt.Errorf("%s is named twice", s))
		}
		seen[s] = true
	}
	for _, s := range r.Lab {
		if _, _, err := parseLab(s); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// SPDX-License-Identifier: MIT

package main

import (
	"strings"
	"testing"

	"shim6/test/lab/cases"
)

const root = "../.."

// counts is how many rows each fact sheet has; who changes a number has read the sheet again.
var counts = map[string]map[string]int{
	"rfc5533": {
		"G": 16, "I1-": 10, "R1-": 8, "I2-": 17, "R2-": 8, "RB-": 6, "IB-": 10, "UR-": 16, "UA-": 7, "PL-": 8, "KP-": 3, "ER-": 2,
		"ST": 82, "M": 82, "MN": 5, "S": 17, "SN": 2, "RC": 2, "y": 5, "L": 10, "A": 43,
		"TX": 8,
	},
	"rfc5534":  {"": 60, "E": 12, "S": 5}, // one is E3b
	"cga-hba":  {"": 57, "P": 18},
	"ra-host":  {"": 45, "V": 10},
	"linshim6": {"": 18},
}

func tables(t *testing.T) []Table {
	t.Helper()
	ts, err := loadTables()
	if err != nil {
		t.Fatal(err)
	}
	return ts
}

// Every requirement is there once and names tests that are in the tree, or a reason why it is not met as it stands. Whether they
// pass is for make conformance to say.
func TestTables(t *testing.T) {
	known, err := testsInTree(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(known) < 500 {
		t.Fatalf("only %d tests are found in %s", len(known), root)
	}
	if err := check(tables(t), known); err != nil {
		t.Error(err)
	}
}

// A case of the lab that a row names is one of the lab's. Which checks it makes, only its result tells.
func TestLabCases(t *testing.T) {
	for _, table := range tables(t) {
		for _, r := range table.Rows {
			for _, s := range r.Lab {
				name, _, err := parseLab(s)
				if err == nil {
					_, err = cases.Find(name)
				}
				if err != nil {
					t.Errorf("%s: row %s: %v", table.Name, r.ID, err)
				}
			}
		}
	}
}

func TestEveryRowOfTheSheets(t *testing.T) {
	seen := map[string]bool{}
	for _, table := range tables(t) {
		seen[table.Name] = true
		want := counts[table.Name]
		if len(table.Groups) != len(want) {
			t.Errorf("%s: %d groups, want %d", table.Name, len(table.Groups), len(want))
		}
		all := 0
		for _, g := range table.Groups {
			n := len(g.ids())
			if all += n; n != want[g.Prefix] {
				t.Errorf("%s: %d rows %s, the sheet has %d", table.Name, n, g.Prefix, want[g.Prefix])
			}
		}
		if len(table.Rows) != all {
			t.Errorf("%s: %d rows, want %d", table.Name, len(table.Rows), all)
		}
	}
	for name := range counts {
		if !seen[name] {
			t.Errorf("there is no table %s", name)
		}
	}
}

// What is wrong with a table is told, all of it.
func TestCheckFindsFaults(t *testing.T) {
	good := Row{ID: "G1", At: "RFC 5533 1", Must: "something that must be", Tests: []string{"daemon/wire.TestVectors"}}
	known := map[testName]bool{{"daemon/wire", "TestVectors", ""}: true}
	with := func(change func(*Row)) Row { r := good; change(&r); return r }
	for name, tt := range map[string]struct {
		rows []Row
		want string
	}{
		"good":            {[]Row{good}, ""},
		"subtest":         {[]Row{with(func(r *Row) { r.Tests = []string{"daemon/wire.TestVectors/i1"} })}, ""},
		"lab alone":       {[]Row{with(func(r *Row) { r.Tests, r.Lab = nil, []string{"demo: it works"} })}, ""},
		"deviation alone": {[]Row{with(func(r *Row) { r.Tests, r.Deviation = nil, strings.Repeat("because ", 8) })}, ""},
		"missing":         {nil, "row G1 is missing"},
		"twice":           {[]Row{good, good}, "row G1 is there twice"},
		"another id":      {[]Row{good, with(func(r *Row) { r.ID = "G2" })}, "row G2 is of no group"},
		"no test":         {[]Row{with(func(r *Row) { r.Tests = nil })}, "neither a test nor a deviation"},
		"no such test":    {[]Row{with(func(r *Row) { r.Tests = []string{"daemon/wire.TestNothing"} })}, "no test daemon/wire.TestNothing"},
		"no such package": {[]Row{with(func(r *Row) { r.Tests = []string{"wire.TestVectors"} })}, "no test wire.TestVectors"},
		"no test's name":  {[]Row{with(func(r *Row) { r.Tests = []string{"daemon/wire"} })}, "is not package.Test"},
		"named twice":     {[]Row{with(func(r *Row) { r.Tests = append(r.Tests, r.Tests[0]) })}, "is named twice"},
		"no section":      {[]Row{with(func(r *Row) { r.At = "" })}, "a section"},
		"no reason":       {[]Row{with(func(r *Row) { r.Deviation = "later" })}, "is no reason"},
		"lab without":     {[]Row{with(func(r *Row) { r.Lab = []string{"demo"} })}, "is not case: check"},
	} {
		sheets := make([]Table, 5)
		sheets[0] = Table{Name: "x", Groups: []Group{{Prefix: "G", Count: 1, About: "all"}}, Rows: tt.rows}
		err := check(sheets, known)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

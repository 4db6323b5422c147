// SPDX-License-Identifier: MIT

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// events is what go test -json writes, less what does not matter here.
const events = `{"Action":"start","Package":"shim6/x"}
{"Action":"run","Package":"shim6/x","Test":"TestGood"}
{"Action":"output","Package":"shim6/x","Test":"TestGood","Output":"--- PASS: TestGood\n"}
{"Action":"pass","Package":"shim6/x","Test":"TestGood/a_part"}
{"Action":"pass","Package":"shim6/x","Test":"TestGood"}
{"Action":"fail","Package":"shim6/x","Test":"TestBad/one"}
{"Action":"pass","Package":"shim6/x","Test":"TestBad/two"}
{"Action":"fail","Package":"shim6/x","Test":"TestBad"}
{"Action":"skip","Package":"shim6/x","Test":"TestSkipped"}
{"Action":"skip","Package":"shim6/x","Test":"TestHalf/a"}
{"Action":"pass","Package":"shim6/x","Test":"TestHalf/ab"}
{"Action":"pass","Package":"shim6/x","Test":"TestHalf"}
not JSON
{"Action":"fail","Package":"shim6/x"}
`

func TestOutcomes(t *testing.T) {
	outcomes := readEvents("x", strings.NewReader(events))
	for name, want := range map[string]string{
		"x.TestGood":          "pass",
		"x.TestGood/a_part":   "pass",
		"x.TestGood/another":  "did not run",
		"x.TestBad":           "fail",
		"x.TestBad/one":       "fail",
		"x.TestBad/two":       "pass",
		"x.TestBad/three":     "did not run: TestBad: fail",
		"x.TestSkipped":       "skip",
		"x.TestHalf":          "skip: x.TestHalf/a",
		"x.TestHalf/a":        "skip",
		"x.TestHalf/ab":       "pass",
		"x.TestNothing":       "did not run",
		"y.TestGood":          "did not run",
		"x.TestGood/a_part/b": "did not run",
	} {
		n, err := parseTest(name)
		if err != nil {
			t.Fatal(err)
		}
		if o := outcomeOf(n, outcomes); o.Detail != want || o.OK != (want == "pass") {
			t.Errorf("%s: %+v, want %q", name, o, want)
		}
	}
}

// A package that does not exist, or cannot be built, is told with each of its tests.
func TestPackageThatCannotRun(t *testing.T) {
	outcomes := runPackage(root, "test/nowhere", []string{"TestA", "TestB"})
	for _, test := range []string{"TestA", "TestB"} {
		if o := outcomeOf(testName{"test/nowhere", test, ""}, outcomes); o.OK || !strings.HasPrefix(o.Detail, "could not be run: ") {
			t.Errorf("%+v", o)
		}
	}
}

func TestVerdicts(t *testing.T) {
	good, bad := Outcome{OK: true}, Outcome{}
	for _, tt := range []struct {
		j    Judged
		want string
	}{
		{Judged{Tests: []Outcome{good, good}}, met},
		{Judged{Tests: []Outcome{good, bad}}, isOpen},
		{Judged{}, isOpen},
		{Judged{Row: Row{Deviation: "so"}}, deviation},
		{Judged{Row: Row{Deviation: "so"}, Tests: []Outcome{good}}, deviation},
		{Judged{Row: Row{Deviation: "so"}, Tests: []Outcome{bad}}, isOpen}, // what is done instead is not done either
	} {
		if got := tt.j.verdict(); got != tt.want {
			t.Errorf("%+v: %s, want %s", tt.j, got, tt.want)
		}
	}
}

// writeFile makes a file that was last changed so long ago.
func writeFile(t *testing.T, name, text string, age time.Duration) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(-age)
	if err := os.Chtimes(name, at, at); err != nil {
		t.Fatal(err)
	}
}

func TestLabResults(t *testing.T) {
	dir := t.TempDir()
	result := func(kernel string, checks string) string {
		return `{"case":"x","kernel":"` + kernel + `","ok":true,"checks":[` + checks + `]}`
	}
	const ok, bad = `{"name":"works","ok":true,"detail":"yes"}`, `{"name":"works","ok":false,"detail":"no"}`
	for name, tt := range map[string]struct {
		files map[string]string
		age   time.Duration // of results; kmod is an hour old
		want  string
	}{
		"none":              {nil, 0, "no result later than kmod/x.c: run make lab CASE=x"},
		"one kernel":        {map[string]string{"x": result("6.12", ok)}, 0, "pass on 6.12"},
		"two kernels":       {map[string]string{"x": result("6.12", ok), "kernel-6.1/x": result("6.1", ok)}, 0, "pass on 6.1, 6.12"},
		"fails on one":      {map[string]string{"x": result("6.12", ok), "kernel-6.1/x": result("6.1", bad)}, 0, "fails on 6.1: no"},
		"fails once of two": {map[string]string{"x": result("6.12", ok+","+bad)}, 0, "fails on 6.12: no"},
		"another check":     {map[string]string{"x": result("6.12", `{"name":"works not","ok":true}`)}, 0, "has no such check"},
		"old":               {map[string]string{"x": result("6.12", ok)}, 2 * time.Hour, "no result later than kmod/x.c: run make lab CASE=x"},
		"another program's": {map[string]string{"bench": `{"ok":true}`, "kernel": `[1]`, "x": result("6.12", ok)}, 0, "pass on 6.12"},
	} {
		t.Run(name, func(t *testing.T) {
			root := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
			writeFile(t, filepath.Join(root, "kmod/x.c"), "", time.Hour)
			for folder, text := range tt.files {
				writeFile(t, filepath.Join(root, "out", folder, "result.json"), text, tt.age)
			}
			l, err := readLab(root, "out")
			if err != nil {
				t.Fatal(err)
			}
			if o := l.outcomeOf("x: works"); !strings.Contains(o.Detail, tt.want) || o.OK != strings.HasPrefix(tt.want, "pass") {
				t.Errorf("%+v, want %q", o, tt.want)
			}
		})
	}
	writeFile(t, filepath.Join(dir, "out/x/result.json"), "{", 0)
	if _, err := readLab(dir, "out"); err == nil || !strings.Contains(err.Error(), "x/result.json") {
		t.Errorf("a broken result: %v", err)
	}
}

// The whole way, with two rows of which one is open.
func TestReport(t *testing.T) {
	row := func(id, test string) Row {
		return Row{ID: id, At: "RFC 1", Must: "this must be so", Tests: []string{test}}
	}
	ts := []Table{{Name: "x", Title: "the title", Rows: []Row{row("1", "x.TestGood"), row("2", "x.TestBad")}}}
	r := judge(ts, readEvents("x", strings.NewReader(events)), labResults{})
	if r.OK || r.Rows != 2 || r.Met != 1 || r.Open != 1 || r.Tests != 2 {
		t.Errorf("%+v", r)
	}
	dir := t.TempDir()
	if err := r.write(dir); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "matrix.txt"))
	if err != nil || !strings.Contains(string(text), "1        met       RFC 1: this must be so\n") || !strings.Contains(string(text), "x.TestBad: fail") {
		t.Errorf("%s%v", text, err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "result.json"))
	if err != nil {
		t.Fatal(err)
	}
	var back struct {
		OK     bool
		Sheets []struct {
			Rows []struct {
				ID, Result string
				Tests      []Outcome
			}
		}
	}
	if err := json.Unmarshal(raw, &back); err != nil || back.OK || back.Sheets[0].Rows[1].Result != isOpen || back.Sheets[0].Rows[1].Tests[0].Detail != "fail" {
		t.Errorf("%s%v", raw, err)
	}
	var told strings.Builder
	if r.summary(&told); !strings.Contains(told.String(), "x 2: RFC 1: this must be so\n    x.TestBad: fail\n") || strings.Contains(told.String(), "lab") {
		t.Error(told.String())
	}
	ts[0].Rows[0].Lab = []string{"two: works", "one: works", "two: works too"}
	told.Reset()
	if judge(ts, nil, labResults{}).summary(&told); !strings.Contains(told.String(), "make lab CASE='one two'\n") {
		t.Error(told.String())
	}
}

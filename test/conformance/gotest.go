// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"slices"
	"strings"
)

// An Outcome is what became of one thing that shows a requirement.
type Outcome struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"` // "pass", or what is wrong
}

// runTests runs the Go tests that the tables name, package by package, and tells what became of each of their tests and subtests.
func runTests(root string, tables []Table, progress io.Writer) map[testName]string {
	outcomes := map[testName]string{}
	wanted := testsNamed(tables)
	for _, pkg := range slices.Sorted(maps.Keys(wanted)) {
		fmt.Fprintf(progress, "conformance: %d tests of %s\n", len(wanted[pkg]), pkg)
		maps.Copy(outcomes, runPackage(root, pkg, wanted[pkg]))
	}
	return outcomes
}

// testsNamed gives the tests of each package.
func testsNamed(tables []Table) map[string][]string {
	wanted := map[string][]string{}
	for _, t := range tables {
		for _, r := range t.Rows {
			for _, s := range r.Tests {
				n, err := parseTest(s)
				if err == nil && !slices.Contains(wanted[n.pkg], n.test) {
					wanted[n.pkg] = append(wanted[n.pkg], n.test)
				}
			}
		}
	}
	return wanted
}

// runPackage runs some tests of one package. A package that cannot be built or run has no outcome.
func runPackage(root, pkg string, tests []string) map[testName]string {
	cmd := exec.Command("go", "test", "-json", "-run", "^("+strings.Join(tests, "|")+")$", "./"+pkg)
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	outcomes := readEvents(pkg, bytes.NewReader(out))
	if err != nil && len(outcomes) == 0 {
		for _, test := range tests {
			outcomes[testName{pkg, test, ""}] = fmt.Sprintf("could not be run: %v %.200s", err, strings.TrimSpace(stderr.String()+string(out)))
		}
	}
	return outcomes
}

// readEvents reads the output of go test -json: "pass", "fail" or "skip" for each test and subtest.
func readEvents(pkg string, r io.Reader) map[testName]string {
	outcomes := map[testName]string{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var ev struct{ Action, Test string }
		if json.Unmarshal(lines.Bytes(), &ev) != nil || ev.Test == "" {
			continue
		}
		switch ev.Action {
		case "pass", "fail", "skip":
			test, sub, _ := strings.Cut(ev.Test, "/")
			outcomes[testName{pkg, test, sub}] = ev.Action
		}
	}
	return outcomes
}

// outcomeOf judges one test. One with a part that was skipped has not shown what it is to show.
func outcomeOf(n testName, outcomes map[testName]string) Outcome {
	o := Outcome{Name: n.String(), Detail: outcomes[n]}
	if o.Detail == "" {
		o.Detail = "did not run"
		if whole := outcomes[n.whole()]; n.sub != "" && whole != "" && whole != "pass" {
			o.Detail += ": " + n.test + ": " + whole
		}
	}
	for m, what := range outcomes {
		below := m.pkg == n.pkg && m.test == n.test && (n.sub == "" || m.sub == n.sub || strings.HasPrefix(m.sub, n.sub+"/"))
		if below && what == "skip" && o.Detail == "pass" {
			o.Detail = "skip: " + m.String()
		}
	}
	o.OK = o.Detail == "pass"
	return o
}

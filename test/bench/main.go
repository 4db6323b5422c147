// SPDX-License-Identifier: MIT

// Bench measures what shim6d costs and what strangers can make it do, as a table and as JSON. It exits with 1 where a goal
// is missed.
package main

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"
)

// A figure is one row of the result.
type figure struct {
	Name  string   `json:"name"`
	Value float64  `json:"value"`
	Unit  string   `json:"unit"`
	Goal  *float64 `json:"goal"` // Value is at most this; nil for no goal
	OK    bool     `json:"ok"`
}

type table struct{ figures []figure }

func (t *table) note(name string, value float64, unit string) {
	t.figures = append(t.figures, figure{Name: name, Value: value, Unit: unit, OK: true})
}

func (t *table) atMost(name string, value float64, unit string, goal float64) {
	t.figures = append(t.figures, figure{Name: name, Value: value, Unit: unit, Goal: &goal, OK: value <= goal})
}

// print writes the table and tells whether all goals are met.
func (t *table) print() bool {
	ok := true
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, f := range t.figures {
		goal, verdict := "", ""
		if f.Goal != nil {
			goal, verdict = fmt.Sprintf("<= %g", *f.Goal), "ok"
		}
		if !f.OK {
			ok, verdict = false, "MISSED"
		}
		fmt.Fprintf(w, "%s\t%.6g\t%s\t%s\t%s\n", f.Name, f.Value, f.Unit, goal, verdict)
	}
	w.Flush()
	return ok
}

func (t *table) write(path string) error {
	b, err := json.MarshalIndent(t.figures, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}

func main() {
	out := flag.String("out", "test/out/bench/result.json", "`file` for the result")
	contexts := flag.Uint64("contexts", 1e6, "`number` of contexts with which costs are measured")
	packets := flag.Int("packets", 1e6, "`number` of I1s of the flood")
	flag.Parse()
	met, err := bench(*out, *contexts, *packets)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
	if err != nil || !met {
		os.Exit(1)
	}
}

func bench(out string, contexts uint64, packets int) (met bool, err error) {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return false, err
	}
	t := new(table)
	if err := floods(key, packets, t); err != nil {
		return false, err
	}
	if err := costs(key, contexts, t); err != nil {
		return false, err
	}
	if err := t.write(out); err != nil {
		return false, err
	}
	return t.print(), nil
}

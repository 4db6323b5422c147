// SPDX-License-Identifier: MIT

package sim_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"shim6/test/sim"
)

var update = flag.Bool("update", false, "write the output of the scripts in testdata anew")

const divider = "----\n"

// Each file of testdata and cross is a script, a line of dashes, and what comes out.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	cross, crossErr := filepath.Glob("cross/*.txt")
	if errors.Join(err, crossErr) != nil || len(files) < 10 || len(cross) < 3 {
		t.Fatalf("%d and %d scripts, %v", len(files), len(cross), errors.Join(err, crossErr))
	}
	files = append(files, cross...)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			script, want, _ := strings.Cut(string(b), divider)
			got, err := sim.Run(script)
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				if err := os.WriteFile(file, []byte(script+divider+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
			if again, _ := sim.Run(script); again != got {
				t.Error("a second run differs from the first")
			}
		})
	}
}

func TestScriptErrors(t *testing.T) {
	for script, want := range map[string]string{
		"nonsense":                   "line 1: nonsense: no such command",
		"\nhost":                     "line 2: host: ",
		"host a cga a1\nflow a b 1s": `line 2: flow a b 1s: no address "b"`,
		"host a odd a1":              `line 1: host a odd a1: host a: no such kind of locators: "odd"`,
		"delay soon":                 "line 1: delay soon: time: invalid duration",
		"cut a1 b1":                  `line 1: cut a1 b1: no address "a1"`,
		"seed -1":                    "line 1: seed -1: not a seed",
		"loss 256":                   "line 1: loss 256: not a number from 0 to 255",
		"run":                        "line 1: run: too few arguments",
	} {
		if _, err := sim.Run(script); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %q", script, err, want)
		}
	}
}

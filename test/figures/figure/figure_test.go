// SPDX-License-Identifier: MIT

package figure

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestResultIsJudged(t *testing.T) {
	gate := func(ok ...bool) func(*Env, *Result) error {
		return func(_ *Env, r *Result) error {
			for _, x := range ok {
				r.Gate("gate", "claim", x, "%d", 1)
			}
			return nil
		}
	}
	for name, tc := range map[string]struct {
		run  func(*Env, *Result) error
		want bool
	}{
		"no gate":      {gate(), false},
		"all hold":     {gate(true, true), true},
		"one fails":    {gate(true, false), false},
		"not finished": {func(_ *Env, r *Result) error { r.Gate("gate", "claim", true, ""); return errors.New("broken") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "fig")
			r, err := Figure{Name: "fig", Run: tc.run}.Do(&Env{Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			raw, err := os.ReadFile(filepath.Join(dir, "result.json"))
			if err != nil {
				t.Fatal(err)
			}
			var read Result
			if err := json.Unmarshal(raw, &read); err != nil {
				t.Fatal(err)
			}
			if r.OK != tc.want || read.OK != tc.want || len(read.Gates) != len(r.Gates) {
				t.Errorf("%+v, read %+v; want OK %v", r, read, tc.want)
			}
		})
	}
}

// What an earlier run left must not look like the result of this one.
func TestOldFilesGo(t *testing.T) {
	dir := t.TempDir()
	old := filepath.Join(dir, "fig.png")
	if err := os.WriteFile(old, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := (Figure{Run: func(*Env, *Result) error { return nil }}).Do(&Env{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s: %v", old, err)
	}
}

func TestCSVRowsFitTheHeader(t *testing.T) {
	e := &Env{Dir: t.TempDir()}
	if err := e.SaveCSV([]string{"a", "b"}, [][]string{{"1", "2"}, {"3"}}); err == nil {
		t.Error("a row of one field was written under two names")
	}
	if err := e.SaveCSV([]string{"a", "b"}, [][]string{{"1", "x,y"}}); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(e.Path("data.csv"))
	if err != nil {
		t.Fatal(err)
	}
	if want := "a,b\n1,\"x,y\"\n"; string(raw) != want {
		t.Errorf("%q, want %q", raw, want)
	}
}

// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"shim6/internal/nstest"
)

func TestMain(m *testing.M) {
	testscript.Main(namespaceMain{m}, map[string]func(){"cgad": main})
}

// A namespaceMain runs the tests in a network namespace of their own.
type namespaceMain struct{ m *testing.M }

func (n namespaceMain) Run() int { return nstest.Main(n.m) }

func TestScripts(t *testing.T) {
	// Bundles come from the tool that users have, on another machine perhaps.
	tools := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", tools, "shim6/cgatool").CombinedOutput(); err != nil {
		t.Fatalf("build cgatool: %v\n%s", err, out)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", tools+string(os.PathListSeparator)+e.Getenv("PATH"))
			for _, name := range []string{"named.yaml", "missing.yaml", "imported.yaml"} {
				file, dir := e.WorkDir+"/"+name, "keys"
				if name == "imported.yaml" {
					dir = "imported"
				}
				b, err := os.ReadFile(file)
				if err != nil {
					return err
				}
				if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(b), "/etc/shim6/keys", e.WorkDir+"/"+dir)), 0o600); err != nil {
					return err
				}
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"status": wantStatus},
	})
}

// wantStatus runs cgad and compares its exit status: status N args...
func wantStatus(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec("cgad", args[1:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil && !errors.Is(err, context.Canceled) {
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"shim6/daemon/config"
	"shim6/internal/cga"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"shim6d": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// expand puts the work directory in place of $WORK in a file.
			"expand": func(ts *testscript.TestScript, _ bool, args []string) {
				text := strings.ReplaceAll(ts.ReadFile(args[0]), "$WORK", ts.Getenv("WORK"))
				ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
			},
			"newkey": func(ts *testscript.TestScript, _ bool, args []string) {
				key, err := cga.NewKey(1024)
				ts.Check(err)
				ts.Check(cga.WriteKey(ts.MkAbs(args[0]), key))
			},
		},
	})
}

// The program runs without any privilege.
func TestPrivilegesAreNamed(t *testing.T) {
	dir, err := os.MkdirTemp("", "shim6d")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// The build directory may be closed to others.
	program := filepath.Join(dir, "shim6d")
	b, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(dir, 0o755), os.WriteFile(program, b, 0o755)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Dir = dir
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	out, err := cmd.CombinedOutput()
	want := "shim6d: error: shim6d lacks CAP_NET_ADMIN (for the kernel module) and CAP_NET_RAW (for the protocol's socket)\n" +
		"hint: run it as root\n"
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != exitFail || string(out) != want {
		t.Errorf("%v: %s, want %s", err, out, want)
	}
}

func TestMissing(t *testing.T) {
	for name, tc := range map[string]struct {
		effective [2]uint32
		want      string
	}{
		"all":       {[2]uint32{0xffffffff, 0xffffffff}, ""},
		"both":      {[2]uint32{1<<12 | 1<<13, 0}, ""},
		"net admin": {[2]uint32{1 << 12, 0}, "CAP_NET_RAW (for the protocol's socket)"},
		"net raw":   {[2]uint32{1 << 13, 0}, "CAP_NET_ADMIN (for the kernel module)"},
	} {
		if got := missing(tc.effective); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

func TestGroupID(t *testing.T) {
	for name, want := range map[string]int{"": os.Getgid(), "0": 0, "1234": 1234, "root": 0} {
		if got, err := groupID(name); got != want || err != nil {
			t.Errorf("group %q is %d, %v; want %d", name, got, err, want)
		}
	}
	for _, name := range []string{"no-such-group", "-1", "4294967295"} {
		if got, err := groupID(name); err == nil {
			t.Errorf("group %q is %d", name, got)
		}
	}
}

func manual(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Every option is in the help and in the manual, and nothing else is in the help.
func TestManualHasEveryFlag(t *testing.T) {
	source := manual(t, "main.go")
	flags := []string{"help"}
	for _, m := range regexp.MustCompile(`flags\.\w+\("(\w+)"`).FindAllStringSubmatch(source, -1) {
		flags = append(flags, m[1])
	}
	if len(flags) != 5 {
		t.Errorf("flags %v, want 5", flags)
	}
	text := manual(t, "shim6d.8")
	for _, f := range flags {
		if !strings.Contains(usage, "\n  --"+f) {
			t.Errorf("--%s is not in the help", f)
		}
		if !strings.Contains(text, "\n.It Fl -"+f) {
			t.Errorf("--%s is not in shim6d.8", f)
		}
	}
	if n := strings.Count(usage, "\n  --"); n != len(flags) {
		t.Errorf("the help has %d options, want %d", n, len(flags))
	}
}

// The manual of the configuration has every key, and its defaults are the program's.
func TestManualHasEveryKey(t *testing.T) {
	entry := regexp.MustCompile(`(?m)^\.It Cm (\S+) : (?:Pa|No|Ar) (.+)$`)
	given := make(map[string]string)
	for _, m := range entry.FindAllStringSubmatch(manual(t, "shim6.yaml.5"), -1) {
		given[m[1]] = m[2]
	}
	nested := make(map[string][]string)
	var yaml strings.Builder
	for _, key := range config.KeyNames() {
		value, ok := given[key]
		value = strings.ReplaceAll(value, `\(dq`, `"`)
		if !ok {
			t.Errorf("key %s is not in shim6.yaml.5", key)
			continue
		}
		delete(given, key)
		if key == "socket_group" {
			continue
		}
		if parent, name, ok := strings.Cut(key, "."); ok {
			nested[parent] = append(nested[parent], name+": "+value)
		} else {
			fmt.Fprintf(&yaml, "%s: %s\n", key, value)
		}
	}
	for _, of := range []string{"peers", "preferences"} {
		for _, key := range config.EntryKeys(of) {
			if !regexp.MustCompile(`(?m)^\.(It Cm|Cm) ([a-z_]+ , )*` + key + `\b|\b` + key + `: `).MatchString(manual(t, "shim6.yaml.5")) {
				t.Errorf("key %s of an entry of %s is not in shim6.yaml.5", key, of)
			}
		}
	}
	for parent, keys := range nested {
		fmt.Fprintf(&yaml, "%s: {%s}\n", parent, strings.Join(keys, ", "))
	}
	if len(given) > 0 {
		t.Errorf("shim6.yaml.5 has keys that there are not: %v", given)
	}
	got, err := config.Parse(strings.NewReader(yaml.String()), "shim6.yaml.5")
	if err != nil {
		t.Fatal(err)
	}
	want := config.Default()
	want.State = want.StateFile()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("defaults (-program +manual):\n%s", d)
	}
}

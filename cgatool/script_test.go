// SPDX-License-Identifier: MIT

package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"shim6/cgad/identity"
	"shim6/internal/cga"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"cgatool": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                "testdata",
		RequireUniqueNames: true,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":   exits,
			"mode":    mode,
			"unhex":   unhex,
			"capture": capture,
			"await":   await,
			"tmpfs":   tmpfs,
			"files":   files,
			"store":   store,
			"owns":    owns,
			"install": install,
		},
	})
}

// exits STATUS COMMAND... runs a command that must end with that exit status.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// mode OCTAL FILE checks the permissions of a file.
func mode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mode OCTAL FILE")
	}
	want, err := strconv.ParseUint(args[0], 8, 32)
	ts.Check(err)
	st, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if st.Mode() != os.FileMode(want) {
		ts.Fatalf("%s has mode %v", args[1], st.Mode())
	}
}

// unhex FROM TO turns a file of hex digits and white space into octets.
func unhex(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: unhex FROM TO")
	}
	b, err := hex.DecodeString(strings.Join(strings.Fields(ts.ReadFile(args[0])), ""))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), b, 0o600))
}

// capture VARIABLE REGEXP puts what the group of REGEXP matches in the last standard output into a variable.
func capture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: capture VARIABLE REGEXP")
	}
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	m := re.FindStringSubmatch(ts.ReadFile("stdout"))
	if len(m) != 2 {
		ts.Fatalf("no match of %q", args[1])
	}
	ts.Setenv(args[0], m[1])
}

// await FILE REGEXP waits until the file matches.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await FILE REGEXP")
	}
	re, err := regexp.Compile(args[1])
	ts.Check(err)
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if b, err := os.ReadFile(ts.MkAbs(args[0])); err == nil && re.Match(b) {
			return
		}
	}
	ts.Fatalf("%s does not match %q in time", args[0], args[1])
}

// tmpfs DIR SIZE mounts a small disk.
func tmpfs(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: tmpfs DIR SIZE")
	}
	dir := ts.MkAbs(args[0])
	ts.Check(os.Mkdir(dir, 0o700))
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "size="+args[1]); err != nil {
		ts.Fatalf("mount a tmpfs, which needs root: %v", err)
	}
	ts.Defer(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			ts.Logf("unmount %s: %v", dir, err)
		}
	})
}

// files DIR NAME... checks that a directory holds these files and no others.
func files(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: files DIR NAME...")
	}
	list, err := os.ReadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	var names []string
	for _, f := range list {
		names = append(names, f.Name())
	}
	if !slices.Equal(names, args[1:]) {
		ts.Fatalf("%s holds %q, want %q", args[0], names, args[1:])
	}
}

// store DIR prints the parameter files of a key directory and their keys.
func store(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: store DIR")
	}
	s, err := cga.LoadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	for _, e := range s.Entries() {
		fmt.Fprintln(ts.Stdout(), e.Name, e.KeyID)
	}
}

// owns DIR FILE KEY checks that a key directory proves all addresses in a file, with that key.
func owns(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: owns DIR FILE KEY")
	}
	s, err := cga.LoadDir(ts.MkAbs(args[0]))
	ts.Check(err)
	list := strings.Fields(ts.ReadFile(args[1]))
	if len(list) == 0 {
		ts.Fatalf("%s has no addresses", args[1])
	}
	for _, text := range list {
		a, err := netip.ParseAddr(text)
		ts.Check(err)
		if _, key, ok := s.ParamsFor(a); !ok || key != args[2] {
			ts.Fatalf("%v: key %q, %v; want %q", a, key, ok, args[2])
		}
	}
}

// install TAR DIR does with a bundle what cgad import does, and prints its addresses.
func install(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: install TAR DIR")
	}
	f, err := os.Open(ts.MkAbs(args[0]))
	ts.Check(err)
	defer f.Close()
	in, err := identity.Import(ts.MkAbs(args[1]), f)
	ts.Check(err)
	for _, a := range in.Addresses {
		fmt.Fprintln(ts.Stdout(), a)
	}
}

// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"shim6/internal/cga"
)

func run(in, credentials string, args ...string) (code int, out, complaint string) {
	var stdout, stderr bytes.Buffer
	p := &program{in: strings.NewReader(in), out: &stdout, stderr: &stderr, credentials: credentials}
	code = p.run(args)
	return code, stdout.String(), stderr.String()
}

// systemd calls the files of a directory after the credential; they are the user's, mode 0400.
func TestCredentials(t *testing.T) {
	dir := t.TempDir()
	key, err := cga.NewKey(cga.MinKeyBits)
	if err == nil {
		err = cga.WriteKey(filepath.Join(dir, "keys_default.pem"), key)
	}
	if err == nil {
		err = os.Chmod(filepath.Join(dir, "keys_default.pem"), 0o400)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "other"), nil, 0o400)
	}
	if err != nil {
		t.Fatal(err)
	}
	code, out, complaint := run("{}\n", dir)
	var a struct{ Keys map[string][]byte }
	if err := json.Unmarshal([]byte(out), &a); err != nil || code != exitOK || complaint != "" || len(a.Keys) != 1 || a.Keys["default"] == nil {
		t.Errorf("%d, %q, %q, %v", code, out, complaint, err)
	}
	// Named folders have names without that prefix.
	if _, out, _ = run("{}\n", "", "--keys", dir); !strings.Contains(out, `"keys_default"`) {
		t.Errorf("--keys: %q", out)
	}
}

func TestMistakes(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want string
	}{
		{nil, "shim6-signer: error: there are no credentials of systemd\nhint: name a folder with --keys\n"},
		{[]string{"--key"}, "shim6-signer: error: flag provided but not defined: -key\nhint: shim6-signer --help tells the options\n"},
		{[]string{"start"}, "shim6-signer: error: unknown argument \"start\"\nhint: shim6-signer --help tells the options\n"},
	} {
		if code, out, complaint := run("", "", tc.args...); code != exitUsage || out != "" || complaint != tc.want {
			t.Errorf("%v: %d, %q, %q", tc.args, code, out, complaint)
		}
	}
	code, out, complaint := run("{}\n", "", "--keys", "/nonesuch")
	const want = "shim6-signer: error: key directory: open /nonesuch: no such file or directory\nhint: check the name, and from which directory it counts\n"
	if code != exitFail || !strings.Contains(out, `"error":"key directory: open /nonesuch`) || complaint != want {
		t.Errorf("no such directory: %d, %q, %q", code, out, complaint)
	}
	code, out, complaint = run("{}\n", "", "--keys", t.TempDir())
	if code != exitOK || complaint != "" {
		t.Errorf("an empty directory: %d, %q, %q", code, out, complaint)
	}
	code, out, complaint = run(strings.Repeat("x", 1<<20), "", "--keys", t.TempDir())
	if code != exitFail || out != "" || complaint != "shim6-signer: error: request: bufio.Scanner: token too long\nhint: shim6-signer(8) tells what a client may send\n" {
		t.Errorf("a line without an end: %d, %q, %q", code, out, complaint)
	}
}

// Every option is in the help and in the manual.
func TestManualHasEveryFlag(t *testing.T) {
	source, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	manual, err := os.ReadFile("shim6-signer.8")
	if err != nil {
		t.Fatal(err)
	}
	flags := []string{"help"}
	for _, m := range regexp.MustCompile(`flags\.\w+\("(\w+)"`).FindAllSubmatch(source, -1) {
		flags = append(flags, string(m[1]))
	}
	if len(flags) != 3 || strings.Count(usage, "\n  --") != 3 {
		t.Errorf("flags %v", flags)
	}
	for _, f := range flags {
		if !strings.Contains(usage, "\n  --"+f) || !bytes.Contains(manual, []byte("\n.It Fl -"+f)) {
			t.Errorf("--%s is not in the help or not in the manual", f)
		}
	}
}

// SPDX-License-Identifier: MIT

// Package clitest runs programs as somebody who is new to them and does something wrong.
package clitest

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// Nobody is a user without any right, and whose group has none.
const Nobody = 65534

// A Mistake is a command line, and what the program must say to it: the error in one line, or one for each fault, and one hint.
type Mistake struct {
	Args   string // separated by blanks
	Nobody bool   // run by a user without any right; else by who runs the test
	Status int    // 1: it could not be done; 2: the command line is wrong
	Error  string // a regular expression for what follows "PROGRAM: error: "
	Hint   string // one for what follows "hint: "
}

// A Program is a test binary whose TestMain is testscript.Main, under the name of one of its programs.
type Program struct {
	path string
	Dir  string // where it runs; everybody may look at it, and only its owner change it
}

// New makes a copy that everybody may run: the directory of the test binary may be closed to others.
func New(t *testing.T, name string) *Program {
	t.Helper()
	top, err := os.MkdirTemp("", "clitest")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(top) })
	p := &Program{filepath.Join(top, name), filepath.Join(top, "work")}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(exe)
	if err := errors.Join(err, os.Chmod(top, 0o755), os.WriteFile(p.path, b, 0o755), os.Mkdir(p.Dir, 0o755), os.Chmod(p.Dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	return p
}

// File makes a file in Dir.
func (p *Program) File(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	path := filepath.Join(p.Dir, name)
	if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
}

// Folder makes a folder in Dir.
func (p *Program) Folder(t *testing.T, name string, mode os.FileMode) {
	t.Helper()
	path := filepath.Join(p.Dir, name)
	if err := errors.Join(os.Mkdir(path, 0o700), os.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
}

// Try makes the mistakes.
func (p *Program) Try(t *testing.T, mistakes []Mistake) {
	for _, m := range mistakes {
		who := ""
		if m.Nobody {
			who = "nobody: "
		}
		t.Run(who+m.Args, func(t *testing.T) { p.try(t, m) })
	}
}

func (p *Program) try(t *testing.T, m Mistake) {
	cmd := exec.Command(p.path, strings.Fields(m.Args)...)
	cmd.Dir = p.Dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/"}
	if m.Nobody && os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: Nobody, Gid: Nobody}}
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	var exit *exec.ExitError
	if err := cmd.Run(); !errors.As(err, &exit) || exit.ExitCode() != m.Status {
		t.Errorf("it ends with %v, want exit status %d", err, m.Status)
	}
	if fault := fault(filepath.Base(p.path), stderr.String(), m); fault != "" || stdout.Len() > 0 {
		t.Errorf("%s\noutput: %q\nerrors:\n%s", fault, &stdout, &stderr)
	}
}

// fault tells what is wrong with what a program said about a mistake.
func fault(name, text string, m Mistake) string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	hint, ok := strings.CutPrefix(lines[len(lines)-1], "hint: ")
	if !ok || !regexp.MustCompile(m.Hint).MatchString(hint) {
		return "the hint is missing or another one than " + m.Hint
	}
	found := false
	for _, l := range lines[:len(lines)-1] {
		text, ok := strings.CutPrefix(l, name+": error: ")
		if !ok {
			return "a line is neither an error nor the last, a hint"
		}
		found = found || regexp.MustCompile(m.Error).MatchString(text)
	}
	if !found {
		return "there is no error " + m.Error
	}
	return ""
}

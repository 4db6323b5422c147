// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"shim6/internal/cga"
)

// An interrupted search says so, fails, and leaves no file.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := t.TempDir()
	var stdout, stderr bytes.Buffer
	tl := &tool{stdout: &stdout, stderr: &stderr}
	code := tl.run(ctx, []string{"generate", "--new-key", "--bits", "1024", "--sec", "2", "--prefix", "fe80::", "--out", dir})
	if code != exitFail || stdout.Len() > 0 || stderr.String() != "cgatool: error: interrupted, nothing was written\n" {
		t.Errorf("exit status %d, output %q, errors %q", code, &stdout, &stderr)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) > 0 {
		t.Errorf("files %v, %v", files, err)
	}
}

func TestProgressText(t *testing.T) {
	all := cga.Stats{Trials: 3 << 30, Elapsed: 100 * time.Second}
	run := cga.Stats{Trials: 1 << 30, Elapsed: 10 * time.Second}
	got := progressText(all, run, 1<<32)
	want := "3221.2 million tries in 1m40s, 107.4 million/s, 53 % of searches are done by now"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// Off a terminal nothing is shown.
func TestProgressIsSilent(t *testing.T) {
	var b bytes.Buffer
	p := newProgress(&b, 2)
	for n := range uint64(10) {
		s := cga.Stats{Trials: n << 20, Elapsed: time.Second}
		p.show(s, s)
	}
	p.clear()
	if b.Len() > 0 {
		t.Errorf("got %q", &b)
	}
}

// The manual page has each command and, below it, each of its flags; the help says what each is for.
func TestManualIsComplete(t *testing.T) {
	b, err := os.ReadFile("cgatool.1")
	if err != nil {
		t.Fatal(err)
	}
	manual := string(b)
	root := (&tool{}).command()
	flagsIn := func(c *cobra.Command, text string) {
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Name == "help" {
				return
			}
			if !strings.Contains(text, " -"+f.Name) {
				t.Errorf("manual lacks --%s of %s", f.Name, c.Name())
			}
			if f.Usage == "" || c.Short == "" {
				t.Errorf("help lacks --%s of %s", f.Name, c.Name())
			}
		})
	}
	flagsIn(root, manual)
	_, body, _ := strings.Cut(manual, "The commands are:")
	for _, c := range root.Commands() {
		_, section, found := strings.Cut(body, ".It Cm "+c.Name())
		if !found {
			t.Errorf("manual lacks command %s", c.Name())
			continue
		}
		section, _, _ = strings.Cut(section, ".It Cm ")
		flagsIn(c, section)
	}
}

// On a terminal a search shows tries, rate and the chance to be done, and takes the line away at its end.
func TestProgressOnTerminal(t *testing.T) {
	master, terminal := openTerminal(t)
	shown := make(chan string, 1)
	go func() {
		b, _ := io.ReadAll(master) // ends with an error when the terminal is closed
		shown <- string(b)
	}()
	dir := t.TempDir()
	var stdout bytes.Buffer
	tl := &tool{stdout: &stdout, stderr: terminal}
	code := tl.run(t.Context(), []string{
		"generate", "--hba", "--sec", "4", "--allow-unassigned-sec", "--prefix", "fe80::", "--max-time", "700ms", "--out", dir,
	})
	if err := terminal.Close(); err != nil {
		t.Fatal(err)
	}
	got := <-shown
	line := regexp.MustCompile(`\r\d+\.\d million tries in \ds, \d+\.\d million/s, 0 % of searches are done by now\x1b\[K`)
	if n := len(line.FindAllString(got, -1)); n < 1 || n > 3 {
		t.Errorf("%d lines of progress in %q", n, got)
	}
	if !strings.Contains(got, "\r\x1b[Kcgatool: error: nothing found in 700ms") || code != exitFail || stdout.Len() > 0 {
		t.Errorf("exit status %d, output %q, terminal %q", code, &stdout, got)
	}
}

// openTerminal makes a pseudo terminal.
func openTerminal(t *testing.T) (master, terminal *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	return master, terminal
}

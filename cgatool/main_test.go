// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

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
	got := progressText(3<<30, 1<<32, 100*time.Second)
	want := "3221.2 million modifiers in 1m40s, 32.2 million/s, 53 % of searches are done by now"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// Off a terminal nothing is shown.
func TestProgressIsSilent(t *testing.T) {
	var b bytes.Buffer
	p := newProgress(&b, 2)
	for n := range uint64(10) {
		p.show(cga.Stats{Trials: n << 20, Elapsed: time.Second})
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

// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"io"
	"strings"
	"sync"

	"shim6/test/lab/report"
)

// terminal shows one case's progress. Lines of several cases that run at a time are told apart by a prefix.
type terminal struct {
	out    io.Writer
	prefix string
	name   string
	series string
	brief  bool
}

var terminalMutex sync.Mutex

func newTerminal(out io.Writer, name, series string, several, brief bool) *terminal {
	t := &terminal{out: out, name: name, series: series, brief: brief}
	if several {
		t.prefix = fmt.Sprintf("%s/%s: ", name, series)
	}
	return t
}

func (t *terminal) print(format string, args ...any) {
	terminalMutex.Lock()
	defer terminalMutex.Unlock()
	fmt.Fprintf(t.out, t.prefix+format+"\n", args...)
}

// progress shows what a brief report leaves out.
func (t *terminal) progress(format string, args ...any) {
	if !t.brief {
		t.print(format, args...)
	}
}

func (t *terminal) title(about string) {
	t.progress("== %s on Linux %s: %s", t.name, t.series, about)
}

// say shows something that did not come from the guest.
func (t *terminal) say(format string, args ...any) {
	t.print("            "+format, args...)
}

// line shows something that happened in the guest, by the guest's clock.
func (t *terminal) line(l report.Line, format string, args ...any) {
	t.progress("%8.3f s  %s", float64(l.At)/1e9, fmt.Sprintf(format, args...))
}

// check adds a check to the result and shows it.
func (t *terminal) check(r *report.Result, c report.Check) {
	r.Checks = append(r.Checks, c)
	switch {
	case !c.OK && r.Counts(c):
		t.print("      FAIL  %s: %s", c.Name, c.Detail)
		return
	case !c.OK:
		t.progress("      slow  %s: %s", c.Name, c.Detail)
		return
	}
	t.progress("      ok    %s: %s", c.Name, c.Detail)
}

// block shows lines under a title.
func (t *terminal) block(title, lines string) {
	t.progress("  %s", title)
	for line := range strings.Lines(lines) {
		t.progress("  %s", strings.TrimSuffix(line, "\n"))
	}
}

func (t *terminal) verdict(r *report.Result, out string) {
	word := "PASS"
	if !r.OK {
		word = "FAIL"
	}
	again := ""
	if r.Boots > 1 {
		again = fmt.Sprintf(", %d boots", r.Boots)
	}
	t.print("== %s %s on Linux %s: %d of %d checks hold, %.1f s%s, files in %s",
		word, r.Case, r.Kernel, len(r.Checks)-len(r.Failed()), len(r.Checks), r.Seconds, again, out)
}

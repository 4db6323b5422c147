// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"shim6/internal/cga"
)

// A progress is a line on a terminal that tells how a search goes; elsewhere it shows nothing. The number of tries has
// no bound, so it tells the chance to have been done by now and no remaining time.
type progress struct {
	errors   io.Writer
	w        io.Writer // nil when there is no terminal
	expected float64   // tries on average
	shown    bool
}

const progressInterval = 250 * time.Millisecond

func newProgress(w io.Writer, sec uint8) *progress {
	p := &progress{errors: w, expected: math.Ldexp(1, 16*int(sec))}
	if f, ok := w.(*os.File); ok && isTerminal(f) {
		p.w = w
	}
	return p
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// show tells of all runs together, and the rate of this one.
func (p *progress) show(all, run cga.Stats) {
	if p.w != nil {
		p.shown = true
		fmt.Fprintf(p.w, "\r%s\x1b[K", progressText(all, run, p.expected))
	}
}

func (p *progress) clear() {
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

func (p *progress) warn(err error) {
	p.clear()
	fmt.Fprintf(p.errors, "cgatool: warning: %v\n", err)
}

func progressText(all, run cga.Stats, expected float64) string {
	const million = 1e6
	n := float64(all.Trials)
	return fmt.Sprintf("%.1f million tries in %s, %.1f million/s, %.0f %% of searches are done by now",
		n/million, all.Elapsed.Round(time.Second), float64(run.Trials)/million/run.Elapsed.Seconds(), -100*math.Expm1(-n/expected))
}

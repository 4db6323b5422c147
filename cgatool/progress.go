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
	w        io.Writer // nil when there is no terminal
	expected float64   // tries on average
	shown    bool
}

const progressInterval = 250 * time.Millisecond

func newProgress(w io.Writer, sec uint8) *progress {
	p := &progress{expected: math.Ldexp(1, 16*int(sec))}
	if f, ok := w.(*os.File); ok && isTerminal(f) {
		p.w = w
	}
	return p
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// watch shows how a search goes until the function that it gives is called; that one clears the line.
func (p *progress) watch(s *cga.Search) (stop func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(progressInterval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				p.show(s.Stats())
			case <-end:
				return
			}
		}
	}()
	return func() {
		close(end)
		<-ended
		p.clear()
	}
}

func (p *progress) show(s cga.Stats) {
	if p.w != nil {
		p.shown = true
		fmt.Fprintf(p.w, "\r%s\x1b[K", progressText(s.Trials, p.expected, s.Elapsed))
	}
}

func (p *progress) clear() {
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

func progressText(trials uint64, expected float64, elapsed time.Duration) string {
	const million = 1e6
	n := float64(trials)
	return fmt.Sprintf("%.1f million modifiers in %s, %.1f million/s, %.0f %% of searches are done by now",
		n/million, elapsed.Round(time.Second), n/million/elapsed.Seconds(), -100*math.Expm1(-n/expected))
}

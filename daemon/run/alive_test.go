// SPDX-License-Identifier: MIT

package run

import (
	"testing"
	"testing/synctest"
	"time"
)

// The service manager must hear of a loop that works, and of no other.
func TestAliveIsTheLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const every = 10 * time.Second
		p := newPair(t)
		p.a.build(t, p.wires)
		beats := make(chan time.Time, 100)
		p.a.loop.alive, p.a.loop.every = func() { beats <- time.Now() }, every
		p.a.start(t)
		count := func(d time.Duration) int {
			time.Sleep(d)
			synctest.Wait()
			n := len(beats)
			for range n {
				<-beats
			}
			return n
		}
		if n := count(10*every + time.Second); n != 10 {
			t.Errorf("%d calls in ten times %v", n, every)
		}
		release := make(chan struct{})
		go func() { _ = p.a.loop.call(t.Context(), func() { <-release }) }()
		if n := count(10 * every); n != 0 {
			t.Errorf("%d calls of a loop that is stuck", n)
		}
		close(release)
		if n := count(10 * every); n < 9 {
			t.Errorf("%d calls once it goes on", n)
		}
		p.a.stop()
	})
}

// SPDX-License-Identifier: MIT

package engine_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"testing"
	"time"
)

var (
	sequences  = flag.Uint64("n", 2000, "how many sequences of events TestRandomSequences tries")
	firstBatch = flag.Uint64("first", 0, "the first batch of these; -n and -first may continue an earlier run")
)

const (
	batch       = 1000 // sequences with the same random numbers
	leastEvents = 8    // of a sequence that counts
)

// TestRandomSequences is FuzzEngine without coverage and so much quicker: each sequence of events is for a new engine.
func TestRandomSequences(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	var next, done, events, short atomic.Uint64
	begin := time.Now()
	t.Run("all", func(t *testing.T) {
		for worker := range runtime.GOMAXPROCS(0) {
			t.Run(fmt.Sprint(worker), func(t *testing.T) {
				t.Parallel()
				b := make([]byte, 400)
				input := b
				defer func() {
					if t.Failed() {
						t.Logf("go test fuzz v1\n[]byte(%q)", input)
					}
				}()
				for done.Load() < *sequences {
					rng := rand.New(rand.NewPCG(*firstBatch+next.Add(1)-1, 3))
					for range batch {
						input = b[:80+rng.IntN(len(b)-80)]
						for i := range input {
							input[i] = byte(rng.Uint32())
						}
						z := newFuzz(t, input)
						n := 0
						for ; len(z.b) > 0; n++ {
							z.step()
						}
						events.Add(uint64(n))
						if n < leastEvents {
							short.Add(1)
						} else {
							done.Add(1)
						}
					}
				}
			})
		}
	})
	d := time.Since(begin)
	t.Logf("batches %d to %d: %d sequences of %d events or more, %.1f on average, and %d shorter ones in %v, %.0f a second", *firstBatch,
		*firstBatch+next.Load()-1, done.Load(), leastEvents, float64(events.Load())/float64(done.Load()+short.Load()), short.Load(),
		d.Round(time.Second), float64(done.Load())/d.Seconds())
}

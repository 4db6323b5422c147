// SPDX-License-Identifier: MIT

package sim_test

import (
	"flag"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"

	"shim6/test/sim"
)

var (
	seeds = flag.Uint64("seeds", 2000, "how many random scripts TestRandom runs")
	first = flag.Uint64("first", 1, "the seed of its first script")
)

// Whatever happens to hosts and links, no rule is broken on the way, and once all is well again everybody agrees.
func TestRandom(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	var (
		next   atomic.Uint64
		failed atomic.Int32
		wg     sync.WaitGroup
	)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				n := next.Add(1) - 1
				if n >= *seeds || failed.Load() >= 5 {
					return
				}
				if script, err := sim.Try(*first + n); err != nil {
					failed.Add(1)
					t.Errorf("seed %d: %v\n%s", *first+n, err, script)
				}
			}
		})
	}
	wg.Wait()
}

// SPDX-License-Identifier: MIT

package sim_test

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"shim6/daemon/engine"
	"shim6/daemon/wire"
	"shim6/test/sim"
)

var (
	seeds = flag.Uint64("seeds", 2000, "how many random scripts TestRandom runs")
	first = flag.Uint64("first", 1, "the seed of its first script")
	file  = flag.String("script", "", "run the script in this file instead, and show what happens")
)

// Whatever happens to hosts and links, no rule is broken on the way, and once all is well again everybody agrees.
func TestRandom(t *testing.T) {
	if *file != "" {
		script, err := os.ReadFile(*file)
		if err != nil {
			t.Fatal(err)
		}
		trace, err := sim.Replay(string(script))
		if fmt.Print(trace); err != nil {
			t.Error(err)
		}
		return
	}
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
					short := sim.Shrink(script)
					t.Errorf("seed %d: %v\nThis script is enough for %v\n%s", *first+n, err, sim.Check(short), short)
				}
			}
		})
	}
	wg.Wait()
	if !t.Failed() {
		t.Logf("%d scripts from seed %d on: no rule is broken", *seeds, *first)
	}
}

// Rules that are broken are found, and the script that is printed breaks them again, the shortened one too.
func TestPlantedFaultsAreFound(t *testing.T) {
	const most = 300
	for name, fault := range map[string]struct {
		tamper func(*sim.Host, engine.Action) (engine.Action, bool)
		want   string
	}{
		"a context stays in the kernel": {func(_ *sim.Host, a engine.Action) (engine.Action, bool) {
			_, is := a.(engine.RemoveContext)
			return a, !is
		}, "nobody knows the kernel's context"},
		"no Update Acknowledgement": {func(_ *sim.Host, a engine.Action) (engine.Action, bool) {
			p, is := a.(engine.SendPacket)
			return a, !is || p.Payload[2] != byte(wire.TypeUpdateAck)
		}, "is not acknowledged"},
		"the kernel is not told of a new path": {func(_ *sim.Host, a engine.Action) (engine.Action, bool) {
			p, is := a.(engine.ProgramContext)
			if is {
				p.Paths = []engine.LocatorPair{engine.LocatorPair(p.ULIDs)}
				return p, true
			}
			return a, true
		}, "the kernel sends to"},
		"the kernel is told of one path": {func(_ *sim.Host, a engine.Action) (engine.Action, bool) {
			p, is := a.(engine.ProgramContext)
			if is {
				p.Paths = p.Paths[:1]
				return p, true
			}
			return a, true
		}, "the kernel has 1 paths"},
		"epochs are not counted": {func(_ *sim.Host, a engine.Action) (engine.Action, bool) {
			if r, is := a.(engine.SetReap); is {
				r.Epoch = 1
				return r, true
			}
			return a, true
		}, "epoch 1 of"},
		"no probe is answered": {func(h *sim.Host, a engine.Action) (engine.Action, bool) {
			p, is := a.(engine.SendPacket)
			return a, !is || h.Name != "b" || p.Payload[2] != byte(wire.TypeProbe)
		}, "settled: "},
	} {
		t.Run(name, func(t *testing.T) {
			defer sim.Tamper(func(h *sim.Host, acts []engine.Action) (rest []engine.Action) {
				for _, a := range acts {
					if a, keep := fault.tamper(h, a); keep {
						rest = append(rest, a)
					}
				}
				return rest
			})()
			for seed := range uint64(most) {
				script, err := sim.Try(seed)
				if err == nil || !strings.Contains(err.Error(), fault.want) {
					continue
				}
				if again := sim.Check(script); again == nil || again.Error() != err.Error() {
					t.Errorf("%v, and then %v", err, again)
				}
				short := sim.Shrink(script)
				if err := sim.Check(short); err == nil || len(short) > len(script) {
					t.Errorf("%v without fault:\n%s", err, short)
				}
				return
			}
			t.Errorf("not found in %d scripts", most)
		})
	}
}

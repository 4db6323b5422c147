// SPDX-License-Identifier: MIT

package cases

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"shim6/test/lab/fuzzer"
	"shim6/test/lab/kernel"
)

var races = Case{
	Name:     "races",
	About:    "packets both ways while contexts change, are deleted from outside and made anew, on two processors",
	Only:     []string{kernel.DebugSMP},
	Daemons:  true, // for the seeds
	Programs: []string{"nft"},
	Modules:  []kernel.Need{{Module: "tun"}, {Module: "dummy"}, {Module: "nft_ct"}},
	CPUs:     2,
	Limit:    4 * time.Minute,
	Run:      runRaces,
}

const (
	raceTime       = 90 * time.Second
	raceReset      = 500 * time.Millisecond
	raceStateFlush = 130 * time.Millisecond
	racePackets    = 3000 // fewer would mean that hardly anything ran at the same time
	raceRequests   = 300
)

func runRaces(e *Env) error {
	if err := e.loadUnderTest(); err != nil {
		return err
	}
	defer e.unloadUnderTest()
	if err := keepHooksCompiled(); err != nil {
		return err
	}
	control, err := controlMessages()
	if err != nil {
		return err
	}
	target, err := fuzzer.NewTarget()
	if err != nil {
		return err
	}
	defer func() { e.Works("the hosts go away", target.Close()) }()
	seeds := fuzzer.Seeds(target.Requests, control)
	corpus := func(stream uint64) *fuzzer.Corpus {
		return fuzzer.NewCorpus(rand.New(rand.NewPCG(e.Seed, stream)), target.Requests.Family(), seeds)
	}
	var (
		packets, requests, flushes atomic.Int64
		wait                       sync.WaitGroup
		over                       atomic.Bool
		stateErr, resetErr         error
	)
	packetCorpus, requestCorpus := corpus(1), corpus(2)
	wait.Go(func() {
		for !over.Load() {
			_ = target.Run(packetCorpus.NextPacket())
			packets.Add(1)
		}
	})
	wait.Go(func() {
		last := time.Now()
		for !over.Load() && resetErr == nil {
			if time.Since(last) > raceReset {
				// A state may be flushed between the making of a context and the next.
				resetErr = target.Refresh()
				last = time.Now()
			}
			_ = target.Run(requestCorpus.Of(fuzzer.Request))
			requests.Add(1)
		}
	})
	wait.Go(func() {
		for !over.Load() && stateErr == nil {
			stateErr = target.FlushStates()
			flushes.Add(1)
			time.Sleep(raceStateFlush)
		}
	})
	time.Sleep(raceTime)
	over.Store(true)
	wait.Wait()
	e.Works("states are flushed and contexts made again", errors.Join(stateErr, resetErr))
	e.Check("all ran at the same time", packets.Load() >= racePackets && requests.Load() >= raceRequests,
		"%d packets, %d requests, %d flushes of states", packets.Load(), requests.Load(), flushes.Load())
	return nil
}

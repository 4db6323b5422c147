// SPDX-License-Identifier: MIT

package run

import (
	"errors"
	"sync"

	"shim6/daemon/engine"
	"shim6/internal/cga"
)

const (
	// workerCount is how many signatures are made or checked at a time: what a flood of them can cost.
	workerCount = 2
	// workQueue is how many may wait.
	workQueue = 256
)

var (
	errBusy  = errors.New("too many signatures to make and verify")
	errNoKey = errors.New("the private key is not there any more")
)

// workers do the public key operations, which would hold up the loop.
type workers struct {
	jobs    chan func() engine.Event
	results chan engine.Event
	wg      sync.WaitGroup
	stop    chan struct{}
}

func newWorkers() *workers {
	w := &workers{
		jobs: make(chan func() engine.Event, workQueue), results: make(chan engine.Event), stop: make(chan struct{}),
	}
	for range workerCount {
		w.wg.Go(w.run)
	}
	return w
}

// submit queues a job and reports whether there was room for it. Its result comes through results.
func (w *workers) submit(job func() engine.Event) bool {
	select {
	case w.jobs <- job:
		return true
	default:
		return false
	}
}

// close forgets the jobs that wait and the results that nobody took, and waits for those under way.
func (w *workers) close() {
	close(w.stop)
	w.wg.Wait()
}

func (w *workers) run() {
	for {
		select {
		case <-w.stop:
			return
		case job := <-w.jobs:
			select {
			case w.results <- job():
			case <-w.stop:
				return
			}
		}
	}
}

func sign(keys Keys, a engine.Sign) engine.Event {
	key := keys.Key(a.KeyID)
	if key == nil {
		return engine.SignDone{ID: a.ID, Err: errNoKey}
	}
	sig, err := key.Sign(a.Data)
	return engine.SignDone{ID: a.ID, Signature: sig, Err: err}
}

func verify(a engine.Verify) engine.Event {
	if a.List == nil {
		return engine.VerifyDone{ID: a.ID, BadLocator: -1, Err: errors.New("there is no locator list")}
	}
	list := make([]cga.PeerLocator, len(a.List.Locators))
	for i, l := range a.List.Locators {
		list[i] = cga.PeerLocator{Addr: l.Addr, Method: uint8(l.Method)}
	}
	bad, err := cga.VerifyLocators(a.ULID, a.PDS, list, a.List.Generation, a.Signature)
	return engine.VerifyDone{ID: a.ID, BadLocator: bad, Err: err}
}

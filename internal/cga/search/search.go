// SPDX-License-Identifier: MIT

package search

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
)

// ErrExhausted is what a search gives when no candidate of its job is good.
var ErrExhausted = errors.New("no candidate of the search is good")

// Options say how a search runs.
type Options struct {
	Engine  string // one of Engines, empty for the fastest that can
	Threads int    // workers, 0 for one on each processor, no more than processors are used
	From    uint64 // position to start from, that of the progress of an earlier run of the same job
}

// A Progress is how far a search has come.
type Progress struct {
	Trials   uint64 // candidates tried in this run
	Position uint64 // every candidate at a smaller distance is tried and bad; a later run may start from here
}

// A Result is what a search found.
type Result struct {
	Input    []byte // the input with the field that gives the zeros
	Distance uint64 // of the field from its start
	Trials   uint64 // candidates tried in this run
}

// A Search is one run of a job.
type Search struct {
	plan    *plan
	engine  *engine
	threads int
	from    uint64
	unit    uint
	first   *unitScanner // of the goroutine that calls Run
	ledger  *ledger
}

// New prepares the search of a job. It gives ErrJob and ErrEngine.
func New(j Job, o Options) (*Search, error) {
	j, err := j.normal()
	if err != nil {
		return nil, err
	}
	if o.From > j.Limit {
		return nil, fmt.Errorf("%w: position %d of %d", ErrJob, o.From, j.Limit)
	}
	p := newPlan(j)
	e, err := choose(o.Engine, p)
	if err != nil {
		return nil, err
	}
	s := &Search{plan: p, engine: e, threads: o.Threads, from: o.From, unit: e.unit(p)}
	if most := runtime.GOMAXPROCS(0); s.threads <= 0 || s.threads > most {
		s.threads = most
	}
	s.first = newUnitScanner(p, e, s.unit)
	s.ledger = newLedger(s.first.units(o.From, j.Limit))
	return s, nil
}

// Engine gives the name of the engine.
func (s *Search) Engine() string { return s.engine.name }

// Threads gives the number of workers.
func (s *Search) Threads() int { return s.threads }

// Progress may be asked at any time, while Run is busy too.
func (s *Search) Progress() Progress {
	unit, tried := s.ledger.watermark()
	at, _ := s.first.span(unit, s.from, s.plan.Limit)
	return Progress{Trials: tried, Position: at}
}

// Run searches until it has the first good candidate from the position on. A done ctx ends it with its cause within
// milliseconds; Progress then tells where to go on. It gives ErrExhausted at the end of the job and an EngineError on a
// broken machine. It must be called once only. Workers that are in the middle of something when the outcome is certain
// are not waited for; they end within milliseconds.
func (s *Search) Run(ctx context.Context) (*Result, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	defer context.AfterFunc(ctx, s.ledger.stop)()
	for range s.threads - 1 {
		go s.work(nil)
	}
	s.work(s.first)
	return s.outcome(ctx)
}

func (s *Search) outcome(ctx context.Context) (*Result, error) {
	l := s.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.err != nil:
		return nil, l.err
	case l.decided() && l.found:
		return &Result{Input: s.plan.candidate(l.best), Distance: l.best, Trials: l.tried}, nil
	case l.decided():
		return nil, fmt.Errorf("%w: %d tried", ErrExhausted, l.tried)
	}
	return nil, context.Cause(ctx)
}

// work tries units until there are no more. A worker without a scanner makes its own.
func (s *Search) work(u *unitScanner) {
	l := s.ledger
	for {
		n, ok := l.take()
		if !ok {
			return
		}
		if u == nil {
			u = newUnitScanner(s.plan, s.engine, s.unit)
		}
		var hit *uint64
		done, err := u.find(n, s.from, s.plan.Limit, func() bool { return n > l.bound.Load() || l.bound.Load() == 0 }, func(d uint64) {
			if hit == nil || d < *hit {
				hit = &d
			}
		})
		if err != nil {
			l.fail(err)
			return
		}
		if done {
			from, to := u.span(n, s.from, s.plan.Limit)
			l.done(n, to-from, hit)
		}
	}
}

// Hits gives the distances of all good candidates among n from a position on, in order, tried by one engine.
func (j Job) Hits(engine string, from, n uint64) ([]uint64, error) {
	j, err := j.normal()
	if err != nil {
		return nil, err
	}
	if from > j.Limit || n > j.Limit-from {
		return nil, fmt.Errorf("%w: %d candidates from %d on, of %d", ErrJob, n, from, j.Limit)
	}
	p := newPlan(j)
	e, err := choose(engine, p)
	if err != nil {
		return nil, err
	}
	u := newUnitScanner(p, e, e.unit(p))
	var hits []uint64
	first, end := u.units(from, from+n)
	for i := first; i < end; i++ {
		if _, err := u.find(i, from, from+n, func() bool { return false }, func(d uint64) { hits = append(hits, d) }); err != nil {
			return nil, err
		}
	}
	slices.Sort(hits)
	return hits, nil
}

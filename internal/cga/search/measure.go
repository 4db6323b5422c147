// SPDX-License-Identifier: MIT

package search

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Loop is the name of what every rate is compared with: one crypto/sha1.Sum of the whole input for each candidate, counted
// up as the modifier.
const Loop = "crypto/sha1"

// A Contest is one row of what Measure is to compare.
type Contest struct {
	Job     Job
	Engine  string // one of Engines, or Loop
	Threads int    // 1 to the number of processors
}

// A Measurement is the rate of a Contest.
type Measurement struct {
	Contest
	Compressions int // for each trial
	TrialsPerSec float64
	Ratio        float64 // to one thread of Loop on the same input
}

// Measure compares engines in bursts that take turns, so that a clock that changes or other work on the machine meets
// them alike, and takes the fastest burst of each. It repeats the rounds for as long as duration says; half a millisecond
// is a good burst. Set the Zeros of the jobs to 32 or more, so that hits cost nothing.
func Measure(ctx context.Context, contests []Contest, burst, duration time.Duration) ([]Measurement, error) {
	var runners, turns []*runner
	loops := map[string]*runner{}
	for i, c := range contests {
		r, err := newRunner(c)
		if err != nil {
			return nil, fmt.Errorf("contest %d: %w", i, err)
		}
		runners = append(runners, r)
		turns = append(turns, r)
		key := string(c.Job.Input)
		if c.Engine == Loop && c.Threads == 1 {
			loops[key] = r
		}
		if loops[key] == nil {
			if loops[key], err = newRunner(Contest{c.Job, Loop, 1}); err != nil {
				return nil, fmt.Errorf("contest %d: %w", i, err)
			}
			turns = append(turns, loops[key])
		}
	}
	for _, r := range turns {
		r.calibrate(burst)
	}
	for end := time.Now().Add(duration); ; {
		for _, r := range turns {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			r.run()
		}
		if time.Now().After(end) {
			break
		}
	}
	all := make([]Measurement, len(contests))
	for i, c := range contests {
		r, loop := runners[i], loops[string(c.Job.Input)]
		all[i] = Measurement{Contest: c, Compressions: r.compressions, TrialsPerSec: 1e9 / r.best, Ratio: loop.best / r.best}
	}
	return all, nil
}

// A runner makes the bursts of a contest.
type runner struct {
	workers      []*unitScanner
	compressions int
	units        uint64  // in one burst of one worker
	next         uint64  // unit
	best         float64 // nanoseconds for a candidate
}

func newRunner(c Contest) (*runner, error) {
	if c.Threads < 1 || c.Threads > runtime.GOMAXPROCS(0) {
		return nil, fmt.Errorf("%w: %d threads on %d processors", ErrJob, c.Threads, runtime.GOMAXPROCS(0))
	}
	if c.Engine == Loop {
		c.Job.Field = Field{}
		c.Engine = Generic
	}
	j, err := c.Job.normal()
	if err != nil {
		return nil, err
	}
	p := newPlan(j)
	e, err := choose(c.Engine, p)
	if err != nil {
		return nil, err
	}
	r := &runner{compressions: p.compressions(), units: 1}
	if !p.fixed() {
		r.compressions += p.block
	}
	for range c.Threads {
		r.workers = append(r.workers, newUnitScanner(p, e, min(14, e.largest, p.width)))
	}
	return r, nil
}

// calibrate chooses the number of units that fill a burst.
func (r *runner) calibrate(burst time.Duration) {
	for r.run() < burst/2 && r.units < 1<<20 {
		r.units *= 2
	}
	r.best = 1e9
}

// run makes one burst with all workers at once.
func (r *runner) run() time.Duration {
	type span struct{ start, end time.Time }
	var (
		n      = len(r.workers)
		spans  = make([]span, n)
		ready  atomic.Int64
		others sync.WaitGroup
	)
	work := func(i int) {
		// The workers wait for each other awake: the time to wake a sleeper up is not theirs.
		ready.Add(1)
		for ready.Load() < int64(n) {
			runtime.Gosched()
		}
		first := r.next + uint64(i)*r.units
		spans[i].start = time.Now()
		for u := first; u < first+r.units; u++ {
			r.workers[i].find(u, 0, maxDistance, func() bool { return false }, func(uint64) {})
		}
		spans[i].end = time.Now()
	}
	for i := 1; i < n; i++ {
		others.Go(func() { work(i) })
	}
	work(0)
	others.Wait()
	whole := spans[0]
	for _, s := range spans {
		if s.start.Before(whole.start) {
			whole.start = s.start
		}
		if s.end.After(whole.end) {
			whole.end = s.end
		}
	}
	elapsed := whole.end.Sub(whole.start)
	r.next += uint64(n) * r.units
	trials := uint64(n) * r.units << r.workers[0].unit
	if each := float64(elapsed.Nanoseconds()) / float64(trials); r.best == 0 || each < r.best {
		r.best = each
	}
	return elapsed
}

// SPDX-License-Identifier: MIT

package search

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

func run(t *testing.T, j Job, o Options) (*Result, *Search) {
	t.Helper()
	s, err := New(j, o)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r, s
}

// The result is the first good modifier from the start, with any engine and number of threads.
func TestRunFirst(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(8))
	for seed := range byte(6) {
		j := Job{Input: random(seed, 187), Zeros: 10}
		want, err := j.Hits(Generic, 0, 1<<15)
		if err != nil || len(want) < 2 {
			t.Fatalf("%d hits, %v", len(want), err)
		}
		for _, e := range Engines() {
			for _, threads := range []int{1, 2, 8} {
				r, s := run(t, j, Options{Engine: e, Threads: threads})
				if r.Distance != want[0] || s.Threads() != threads || s.Engine() != e {
					t.Errorf("%s, %d threads: %d, want %d", s.Engine(), s.Threads(), r.Distance, want[0])
				}
				in, err := j.Candidate(want[0])
				if err != nil || !bytes.Equal(r.Input, in) || !j.good(r.Input) {
					t.Errorf("%s, %d threads: input %x, want %x, %v", e, threads, r.Input[:16], in[:16], err)
				}
				if r.Trials < r.Distance {
					t.Errorf("%s, %d threads: %d trials for distance %d", e, threads, r.Trials, r.Distance)
				}
				// A later run goes on behind what is found.
				r, _ = run(t, j, Options{Engine: e, Threads: threads, From: want[0] + 1})
				if r.Distance != want[1] {
					t.Errorf("%s, %d threads: second hit %d, want %d", e, threads, r.Distance, want[1])
				}
			}
		}
	}
}

// The end of a field is an end of the search, and so is a limit.
func TestRunExhausted(t *testing.T) {
	for _, tt := range []Job{
		{Input: random(20, 187), Zeros: 60, Limit: 5001},
		{Input: random(20, 187), Zeros: 60, Limit: 1},
	} {
		for _, e := range Engines() {
			s, err := New(tt, Options{Engine: e})
			if err != nil {
				t.Fatal(err)
			}
			if r, err := s.Run(t.Context()); !errors.Is(err, ErrExhausted) {
				t.Errorf("%s: %+v, %v", e, r, err)
			}
			if p := s.Progress(); p.Trials != tt.Limit || p.Position != tt.Limit {
				t.Errorf("%s: %+v, want %d", e, p, tt.Limit)
			}
			s, err = New(tt, Options{Engine: e, From: tt.Limit})
			if err != nil {
				t.Fatal(err)
			}
			if r, err := s.Run(t.Context()); !errors.Is(err, ErrExhausted) {
				t.Errorf("%s from the limit on: %+v, %v", e, r, err)
			}
		}
	}
}

// A search that is cancelled answers at once with the cause of that, and its position lets the next run find what one run
// would have found.
func TestRunCancelResume(t *testing.T) {
	cause := errors.New("enough")
	for _, e := range Engines() {
		j := Job{Input: random(21, 575), Zeros: 60}
		s, err := New(j, Options{Engine: e})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		var at atomic.Int64
		go func() {
			for s.Progress().Position == 0 {
				time.Sleep(time.Millisecond)
			}
			at.Store(time.Now().UnixNano())
			cancel(cause)
		}()
		_, err = s.Run(ctx)
		if took := time.Duration(time.Now().UnixNano() - at.Load()); took > 50*time.Millisecond {
			t.Errorf("%s: the answer took %v", e, took)
		}
		if !errors.Is(err, cause) {
			t.Errorf("%s: %v", e, err)
		}
		p := s.Progress()
		if p.Position == 0 || p.Trials < p.Position {
			t.Errorf("%s: %+v", e, p)
		}
		if _, err := s.Run(ctx); !errors.Is(err, cause) {
			t.Errorf("%s: run with a done context: %v", e, err)
		}
	}
	j := Job{Input: random(22, 187), Zeros: 14}
	want, err := j.Hits(Generic, 0, 1<<18)
	if err != nil || len(want) == 0 {
		t.Fatal(want, err)
	}
	var from uint64
	for i := 0; ; i++ {
		s, err := New(j, Options{From: from, Engine: Generic, Threads: 2})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		r, err := s.Run(ctx)
		cancel()
		if err == nil {
			if r.Distance != want[0] {
				t.Errorf("%d after %d runs, want %d", r.Distance, i, want[0])
			}
			break
		}
		p := s.Progress()
		if p.Position < from || !errors.Is(err, context.DeadlineExceeded) || i > 10000 {
			t.Fatalf("%+v from %d on: %v", p, from, err)
		}
		from = p.Position
	}
}

// The progress may be read while the search runs, and never goes back.
func TestProgress(t *testing.T) {
	s, err := New(Job{Input: random(23, 187), Zeros: 60}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		s.Run(ctx)
		close(ended)
	}()
	var last Progress
	for range 20 {
		time.Sleep(time.Millisecond)
		p := s.Progress()
		if p.Trials < last.Trials || p.Position < last.Position {
			t.Errorf("%+v after %+v", p, last)
		}
		last = p
	}
	cancel()
	<-ended
	if last.Trials == 0 {
		t.Error("no progress")
	}
}

// The shards of a search find what is theirs.
func TestRunShard(t *testing.T) {
	j := Job{Input: random(24, 187), Zeros: 12}
	var found []string
	for i := range 3 {
		part, err := j.Shard(i, 3)
		if err != nil {
			t.Fatal(err)
		}
		r, _ := run(t, part, Options{})
		found = append(found, fmt.Sprintf("%x", r.Input[:modifierSize]))
	}
	if slices.Sort(found); len(slices.Compact(found)) != 3 {
		t.Errorf("modifiers %v", found)
	}
}

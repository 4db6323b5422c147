// SPDX-License-Identifier: MIT

package run

import (
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"shim6/daemon/engine"
	"shim6/daemon/wire"
)

const (
	// saveShare bounds the time that goes into saving to one part in so many. What is not saved when the daemon is killed is
	// lost, so changes to a few contexts are saved soon, while many wait for each other.
	saveShare = 10
	// saveDelay is how long a change waits for others, and leaves the processor to the answer that it came with.
	saveDelay = 20 * time.Millisecond
	// encodedAtOnce is how many contexts are encoded before the writer rests.
	encodedAtOnce = 8
)

// A saver writes the file in a goroutine of its own.
type saver struct {
	file  savedFile
	log   *slog.Logger
	stats *counters
	next  chan saving
	done  chan struct{}
	took  atomic.Int64 // nanoseconds that the last save took, without its rests
	hurry atomic.Bool  // no more rests
}

func newSaver(file savedFile, log *slog.Logger, stats *counters) *saver {
	s := &saver{file: file, log: log, stats: stats, next: make(chan saving, 1), done: make(chan struct{})}
	go s.run()
	return s
}

// A saving is what is to be written, and how long it took to find that out.
type saving struct {
	contexts []engine.Snapshot
	took     time.Duration
}

// put has contexts written next, instead of those that wait.
func (s *saver) put(next saving) {
	select {
	case <-s.next:
	default:
	}
	s.next <- next
}

// interval is how long after the last write the next one may be.
func (s *saver) interval() time.Duration { return saveShare * time.Duration(s.took.Load()) }

// close waits until what was put is written.
func (s *saver) close() {
	s.hurry.Store(true)
	close(s.next)
	<-s.done
}

func (s *saver) run() {
	defer close(s.done)
	for next := range s.next {
		s.stats.saves.Add(1)
		start, worked := time.Now(), next.took
		// It rests as long as it works: where there is but one processor, packets are waiting.
		rest := func() {
			took := time.Since(start)
			worked += took
			if !s.hurry.Load() {
				time.Sleep(took)
			}
			start = time.Now()
		}
		if err := s.file.write(next.contexts, rest); err != nil {
			s.stats.saveErrors.Add(1)
			s.log.Error("contexts not saved: the next daemon will drop them", "error", err)
		}
		s.took.Store(int64(worked + time.Since(start)))
	}
}

// A savePass is the collecting of what is to be written.
type savePass struct {
	left  []wire.ContextTag // not looked at yet
	found []engine.Snapshot
	took  time.Duration
	again bool // something has changed since the pass began
}

// changed makes what is saved follow.
func (l *Loop) changed() {
	if l.pass != nil {
		l.pass.again = true
		return
	}
	if !l.saveAt.IsZero() {
		return
	}
	l.saveAt = l.savedAt.Add(l.saver.interval())
	if soon := l.now.Add(saveDelay); l.saveAt.Before(soon) {
		l.saveAt = soon
	}
}

// save has the contexts that the kernel holds written. It looks at a few of them and stays due while there are more, so
// that many contexts keep no message waiting.
func (l *Loop) save() {
	start := time.Now()
	if l.pass == nil {
		l.pass, l.savedAt = &savePass{left: slices.Collect(maps.Keys(l.held))}, l.now
	}
	p := l.pass
	n := min(contextsAtOnce, len(p.left))
	for _, tag := range p.left[:n] {
		if s, ok := l.engine.Context(tag); ok && l.held[tag] != nil {
			p.found = append(p.found, s)
		}
	}
	p.left = p.left[n:]
	p.took += time.Since(start)
	if len(p.left) > 0 {
		return
	}
	l.pass, l.saveAt = nil, time.Time{}
	l.saver.put(saving{p.found, p.took})
	if p.again {
		l.changed()
	}
}

// saveAll saves once more, in one go.
func (l *Loop) saveAll() {
	l.pass = nil
	for l.save(); l.pass != nil; {
		l.save()
	}
}

// SPDX-License-Identifier: MIT

package run

import (
	"log/slog"
	"sync/atomic"
	"time"

	"shim6/daemon/engine"
)

// saveShare bounds the time that goes into saving to one part in so many. What is not saved when the daemon is killed is
// lost, so changes to a few contexts are saved at once, while many wait for each other.
const saveShare = 10

// A saver writes the file in a goroutine of its own.
type saver struct {
	file  savedFile
	log   *slog.Logger
	stats *counters
	next  chan saving
	done  chan struct{}
	took  atomic.Int64 // nanoseconds that the last save took
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
	close(s.next)
	<-s.done
}

func (s *saver) run() {
	defer close(s.done)
	for next := range s.next {
		s.stats.saves.Add(1)
		start := time.Now()
		if err := s.file.write(next.contexts); err != nil {
			s.stats.saveErrors.Add(1)
			s.log.Error("contexts not saved: the next daemon will drop them", "error", err)
		}
		s.took.Store(int64(next.took + time.Since(start)))
	}
}

// changed makes what is saved follow.
func (l *Loop) changed() {
	if !l.saveAt.IsZero() {
		return
	}
	if l.saveAt = l.savedAt.Add(l.saver.interval()); l.saveAt.Before(l.now) {
		l.saveAt = l.now
	}
}

// save has the contexts that the kernel holds written.
func (l *Loop) save() {
	start := time.Now()
	l.saveAt, l.savedAt = time.Time{}, l.now
	var list []engine.Snapshot
	for _, s := range l.engine.Contexts() {
		if l.held[s.TagLocal] != nil {
			list = append(list, s)
		}
	}
	l.saver.put(saving{list, time.Since(start)})
}

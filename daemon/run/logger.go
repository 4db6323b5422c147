// SPDX-License-Identifier: MIT

package run

import (
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"shim6/daemon/config"
)

// logQueue is how many lines may wait for a slow reader of the log.
const logQueue = 1024

// A LogWriter writes lines in a goroutine of its own, so that a reader that stands still holds up nobody. Lines that do
// not fit its queue are lost and counted.
type LogWriter struct {
	to    io.Writer
	lines chan []byte
	lost  atomic.Uint64
	stop  chan struct{}
	done  chan struct{}
	close func()
}

// NewLogWriter starts a LogWriter.
func NewLogWriter(to io.Writer) *LogWriter {
	w := &LogWriter{to: to, lines: make(chan []byte, logQueue), stop: make(chan struct{}), done: make(chan struct{})}
	w.close = sync.OnceFunc(func() { close(w.stop) })
	go w.run()
	return w
}

// Write queues one line; it never fails and never waits. After Close the line is lost.
func (w *LogWriter) Write(line []byte) (int, error) {
	select {
	case w.lines <- append([]byte(nil), line...):
	default:
		w.lost.Add(1)
	}
	return len(line), nil
}

// Lost is the number of lines that were lost.
func (w *LogWriter) Lost() uint64 { return w.lost.Load() }

// Close waits until the lines are written, at most for the grace.
func (w *LogWriter) Close(grace time.Duration) error {
	w.close()
	select {
	case <-w.done:
		return nil
	case <-time.After(grace):
		return fmt.Errorf("the log took no lines for %v", grace)
	}
}

func (w *LogWriter) run() {
	defer close(w.done)
	for {
		select {
		case line := <-w.lines:
			// There is nobody to tell that the log cannot be written.
			_, _ = w.to.Write(line)
		case <-w.stop:
			for len(w.lines) > 0 {
				_, _ = w.to.Write(<-w.lines)
			}
			return
		}
	}
}

// NewLogger returns a logger that writes lines with RFC 3339 times in nanoseconds to w, and its level, which may change.
func NewLogger(w io.Writer, c config.Log) (*slog.Logger, *slog.LevelVar, error) {
	level := new(slog.LevelVar)
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		return nil, nil, err
	}
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey && len(groups) == 0 {
			a.Value = slog.StringValue(a.Value.Time().Format(time.RFC3339Nano))
		}
		return a
	}}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options)), level, nil
	}
	return slog.New(slog.NewTextHandler(w, options)), level, nil
}

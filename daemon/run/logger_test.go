// SPDX-License-Identifier: MIT

package run

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"shim6/daemon/config"
)

func TestLoggerFormats(t *testing.T) {
	at := time.Date(2030, 1, 2, 3, 4, 5, 123456789, time.UTC)
	for format, want := range map[string]string{
		"text": `time=2030-01-02T03:04:05.123456789Z level=INFO msg="state changed" from=IDLE` + "\n",
		"json": `{"time":"2030-01-02T03:04:05.123456789Z","level":"INFO","msg":"state changed","from":"IDLE"}` + "\n",
	} {
		var b bytes.Buffer
		log, _, err := NewLogger(&b, config.Log{Level: "info", Format: format})
		if err != nil {
			t.Fatal(err)
		}
		rec := slog.NewRecord(at, slog.LevelInfo, "state changed", 0)
		rec.Add("from", "IDLE")
		if err := log.Handler().Handle(t.Context(), rec); err != nil || b.String() != want {
			t.Errorf("%s is %s, want %s", format, b.String(), want)
		}
	}
	if _, _, err := NewLogger(nil, config.Log{Level: "loud"}); err == nil {
		t.Error("an unknown level was taken")
	}
}

func TestLoggerLevels(t *testing.T) {
	for level, want := range map[string]int{"debug": 4, "info": 3, "warn": 2, "error": 1} {
		var b bytes.Buffer
		log, _, err := NewLogger(&b, config.Log{Level: level, Format: "json"})
		if err != nil {
			t.Fatal(err)
		}
		log.Debug("x")
		log.Info("x")
		log.Warn("x")
		log.Error("x")
		if n := strings.Count(b.String(), "\n"); n != want {
			t.Errorf("level %s logs %d of 4 lines, want %d", level, n, want)
		}
	}
}

// A heldWriter stands still until it is let go.
type heldWriter struct {
	bytes.Buffer
	hold chan struct{}
}

func (w *heldWriter) Write(b []byte) (int, error) {
	<-w.hold
	return w.Buffer.Write(b)
}

func TestLogWriterNeverWaits(t *testing.T) {
	to := &heldWriter{hold: make(chan struct{})}
	w := NewLogWriter(to)
	start := time.Now()
	for i := range 2 * logQueue {
		if n, err := fmt.Fprintf(w, "{\"n\":%d}\n", i); n == 0 || err != nil {
			t.Fatalf("line %d: %d, %v", i, n, err)
		}
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("writing took %v", d)
	}
	// The goroutine may hold one line more than the queue.
	if lost := w.Lost(); lost < logQueue-1 || lost > logQueue {
		t.Errorf("%d lines were lost, want %d", lost, logQueue)
	}
	close(to.hold)
	if err := w.Close(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(to.String()), "\n")
	if n := uint64(len(lines)); n != 2*logQueue-w.Lost() {
		t.Errorf("%d lines were written and %d lost, of %d", n, w.Lost(), 2*logQueue)
	}
	for i, line := range lines[:logQueue] {
		var v struct{ N int }
		if err := json.Unmarshal([]byte(line), &v); err != nil || v.N != i {
			t.Fatalf("line %d is %q", i, line)
		}
	}
	if n, err := w.Write([]byte("late\n")); n != 5 || err != nil {
		t.Errorf("a line after the end: %d, %v", n, err)
	}
}

func TestLogWriterCloseDoesNotWaitForever(t *testing.T) {
	to := &heldWriter{hold: make(chan struct{})}
	w := NewLogWriter(to)
	fmt.Fprintln(w, "x")
	if err := w.Close(20 * time.Millisecond); err == nil || err.Error() != "the log took no lines for 20ms" {
		t.Errorf("error %v", err)
	}
	close(to.hold)
}

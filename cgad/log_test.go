// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/coreos/go-systemd/v22/journal"
	"github.com/google/go-cmp/cmp"

	"shim6/cgad/config"
)

func TestJournal(t *testing.T) {
	type entry struct {
		Message  string
		Priority journal.Priority
		Fields   map[string]string
	}
	var got []entry
	var lines bytes.Buffer
	log := slog.New(journalHandler{
		text: slog.NewTextHandler(&lines, &slog.HandlerOptions{Level: slog.LevelInfo}),
		send: func(message string, priority journal.Priority, fields map[string]string) error {
			got = append(got, entry{message, priority, fields})
			return nil
		},
	})
	log.Info("address ready", "name", "eth0", "addr", "2001:db8::1")
	log.With("name", "eth1").Warn("address collision", "tries-left", 2)
	log.Error("reload", "error", errors.New("line 1: a \"b\""))
	log.Debug("not for information")
	want := []entry{
		{"address ready name=eth0 addr=2001:db8::1", journal.PriInfo,
			map[string]string{"CGAD_EVENT": "address_ready", "CGAD_NAME": "eth0", "CGAD_ADDR": "2001:db8::1"}},
		{"address collision name=eth1 tries-left=2", journal.PriWarning,
			map[string]string{"CGAD_EVENT": "address_collision", "CGAD_NAME": "eth1", "CGAD_TRIES_LEFT": "2"}},
		{`reload error="line 1: a \"b\""`, journal.PriErr, map[string]string{"CGAD_EVENT": "reload", "CGAD_ERROR": `line 1: a "b"`}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if lines.Len() > 0 {
		t.Errorf("lines too: %s", &lines)
	}
}

// What the journal does not take is not lost.
func TestJournalThatIsNotThere(t *testing.T) {
	var lines bytes.Buffer
	log := slog.New(journalHandler{
		text: slog.NewTextHandler(&lines, nil),
		send: func(string, journal.Priority, map[string]string) error { return errors.New("no journal") },
	})
	log.With("a", 1).Info("address ready", "name", "eth0")
	if !strings.Contains(lines.String(), `msg="address ready" a=1 name=eth0`) {
		t.Errorf("got %q", &lines)
	}
}

// Without a journal at the standard error there is text.
func TestLogFormats(t *testing.T) {
	for format, want := range map[string]string{"auto": "level=INFO msg=x a=1\n", "text": "level=INFO msg=x a=1\n", "json": `"msg":"x","a":1}`} {
		var lines bytes.Buffer
		newLog(&lines, config.Log{Level: "info", Format: format}).Info("x", "a", 1)
		if !strings.Contains(lines.String(), want) {
			t.Errorf("%s: got %q, want %q", format, &lines, want)
		}
	}
}

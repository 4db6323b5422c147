// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"strings"

	"github.com/coreos/go-systemd/v22/journal"

	"shim6/cgad/config"
)

// newLog writes to w, or to the journal, as the configuration says. The service manager adds the time to lines of text.
func newLog(w io.Writer, c config.Log) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		panic(fmt.Sprintf("log level %q passed the check of the configuration", c.Level))
	}
	o := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	o.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	text := slog.NewTextHandler(w, o)
	if c.Format == "journal" || c.Format == "auto" && stderrIsJournal() {
		return slog.New(journalHandler{text: text, send: journal.Send})
	}
	return slog.New(text)
}

// stderrIsJournal reports whether the service manager has connected the standard error to the journal.
func stderrIsJournal() bool {
	ok, err := journal.StderrIsJournalStream()
	return err == nil && ok
}

// fieldPrefix keeps our fields apart from those of the journal and of other programs.
const fieldPrefix = "CGAD_"

// A journalHandler writes events with a field for each attribute, so that journalctl can select by them. What the journal
// does not take is written as a line of text.
type journalHandler struct {
	text   slog.Handler
	send   func(message string, priority journal.Priority, fields map[string]string) error
	fields map[string]string
	suffix string // the fields as text
}

func (h journalHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.text.Enabled(ctx, level)
}

func (h journalHandler) Handle(ctx context.Context, r slog.Record) error {
	message, fields := r.Message+h.suffix, maps.Clone(h.fields)
	if fields == nil {
		fields = make(map[string]string)
	}
	fields[fieldPrefix+"EVENT"] = strings.ReplaceAll(r.Message, " ", "_")
	r.Attrs(func(a slog.Attr) bool {
		message += add(fields, a)
		return true
	})
	if h.send(message, priority(r.Level), fields) == nil {
		return nil
	}
	return h.text.Handle(ctx, r)
}

// add puts an attribute among the fields and gives it as text.
func add(fields map[string]string, a slog.Attr) string {
	value := a.Value.Resolve().String()
	name := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		case 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
			return r
		}
		return '_'
	}, a.Key)
	fields[fieldPrefix+name] = value
	if strings.ContainsAny(value, " \"\n=") {
		value = fmt.Sprintf("%q", value)
	}
	return " " + a.Key + "=" + value
}

func (h journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	h.text = h.text.WithAttrs(attrs)
	h.fields = maps.Clone(h.fields)
	if h.fields == nil {
		h.fields = make(map[string]string)
	}
	for _, a := range attrs {
		h.suffix += add(h.fields, a)
	}
	return h
}

// WithGroup drops the name of the group: fields have none.
func (h journalHandler) WithGroup(name string) slog.Handler {
	h.text = h.text.WithGroup(name)
	return h
}

func priority(l slog.Level) journal.Priority {
	switch {
	case l >= slog.LevelError:
		return journal.PriErr
	case l >= slog.LevelWarn:
		return journal.PriWarning
	case l >= slog.LevelInfo:
		return journal.PriInfo
	}
	return journal.PriDebug
}

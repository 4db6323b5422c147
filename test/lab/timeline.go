// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// A logLine is what the timeline needs of a line in a daemon's log.
type logLine struct {
	Time    time.Time `json:"time"`
	Message string    `json:"msg"`
	Tag     string    `json:"tag"`
	From    string    `json:"from"`
	To      string    `json:"to"`
	Pair    string    `json:"pair"`
	Reports int       `json:"reports"`
	Sockets int       `json:"sockets"`
}

// plainPrefix starts what shim6d says before its logger runs.
const plainPrefix = "shim6d: "

// readLog reads a log of JSON lines.
func readLog(path string) ([]logLine, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var lines []logLine
	in := bufio.NewScanner(f)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		if strings.HasPrefix(in.Text(), plainPrefix) {
			continue
		}
		var l logLine
		if err := json.Unmarshal(in.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("%s, line %d is no JSON: %q", path, len(lines)+1, in.Text())
		}
		lines = append(lines, l)
	}
	return lines, in.Err()
}

// first returns the first line with a message, at a time or later, that satisfies ok.
func first(lines []logLine, message string, from time.Time, ok func(logLine) bool) (logLine, bool) {
	i := slices.IndexFunc(lines, func(l logLine) bool {
		return l.Message == message && !l.Time.Before(from) && (ok == nil || ok(l))
	})
	if i < 0 {
		return logLine{}, false
	}
	return lines[i], true
}

// A moment is one line of a timeline.
type moment struct {
	at   time.Time
	what string
}

// A timeline tells how a failure was survived.
type timeline struct {
	cut     time.Time
	moments []moment
	missing []string // what should have happened and did not
}

// failoverTimeline reads from host a's log what happened after a failure; firstData is when the stream went on at b.
func failoverTimeline(cut, firstData time.Time, a []logLine) *timeline {
	tl := &timeline{cut: cut}
	tl.add(cut, "provider 1 fails: it drops every packet, silently")
	step := func(name, message string, ok func(logLine) bool, detail func(logLine) string) {
		l, found := first(a, message, cut, ok)
		if !found {
			tl.missing = append(tl.missing, name)
			return
		}
		tl.add(l.Time, name+": "+detail(l))
	}
	step("failure detected", "send timeout", nil, func(logLine) string { return "a has sent and heard nothing for the Send Timeout" })
	step("probe sent", "probe sent", nil, func(l logLine) string { return l.Pair })
	step("probe answered", "probe received", func(l logLine) bool { return l.Reports > 0 },
		func(l logLine) string { return "b reports it, " + l.Pair })
	step("path switched", "path changed", nil, func(l logLine) string { return l.From + " to " + l.To })
	step("TCP kicked", "tcp kick", nil, func(l logLine) string { return fmt.Sprintf("connections of a that retransmit at once: %d", l.Sockets) })
	if firstData.IsZero() {
		tl.missing = append(tl.missing, "first data")
	} else {
		tl.add(firstData, "first data: the stream goes on at b")
	}
	slices.SortStableFunc(tl.moments, func(x, y moment) int { return x.at.Compare(y.at) })
	return tl
}

func (t *timeline) add(at time.Time, what string) {
	t.moments = append(t.moments, moment{at, what})
}

// String returns one line a moment, in milliseconds after the failure.
func (t *timeline) String() string {
	var b strings.Builder
	for _, m := range t.moments {
		fmt.Fprintf(&b, "%10.1f ms  %s\n", float64(m.at.Sub(t.cut).Microseconds())/1000, m.what)
	}
	for _, m := range t.missing {
		fmt.Fprintf(&b, "%10s     %s: not seen\n", "never", m)
	}
	return b.String()
}

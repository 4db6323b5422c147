// SPDX-License-Identifier: MIT

package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const failoverLog = `shim6d: warning: said before the logger runs
{"time":"2026-01-01T00:00:01Z","level":"INFO","msg":"probe sent","pair":"2001:db8:a1::a -> 2001:db8:b1::b"}
{"time":"2026-01-01T00:00:08.0042Z","level":"INFO","msg":"send timeout","tag":"00000000000a"}
{"time":"2026-01-01T00:00:08.0051Z","level":"INFO","msg":"probe sent","pair":"2001:db8:a2::a -> 2001:db8:b1::b"}
{"time":"2026-01-01T00:00:08.01Z","level":"INFO","msg":"probe received","pair":"2001:db8:a1::a -> 2001:db8:b1::b","reports":0}
{"time":"2026-01-01T00:00:08.026Z","level":"INFO","msg":"probe received","pair":"2001:db8:a2::a -> 2001:db8:b1::b","reports":1}
{"time":"2026-01-01T00:00:08.0262Z","level":"INFO","msg":"path changed","from":"2001:db8:a1::a -> 2001:db8:b1::b","to":"2001:db8:a2::a -> 2001:db8:b1::b"}
{"time":"2026-01-01T00:00:08.0265Z","level":"INFO","msg":"tcp kick","sockets":2}
`

var failureTime = time.Date(2026, 1, 1, 0, 0, 5, 0, time.UTC)

func TestTimelineOfAFailover(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte(failoverLog), 0o644); err != nil {
		t.Fatal(err)
	}
	log, err := readLog(path)
	if err != nil {
		t.Fatal(err)
	}
	tl := failoverTimeline(failureTime, failureTime.Add(3040*time.Millisecond), log)
	const want = `       0.0 ms  provider 1 fails: it drops every packet, silently
    3004.2 ms  failure detected: a has sent and heard nothing for the Send Timeout
    3005.1 ms  probe sent: 2001:db8:a2::a -> 2001:db8:b1::b
    3026.0 ms  probe answered: b reports it, 2001:db8:a2::a -> 2001:db8:b1::b
    3026.2 ms  path switched: 2001:db8:a1::a -> 2001:db8:b1::b to 2001:db8:a2::a -> 2001:db8:b1::b
    3026.5 ms  TCP kicked: connections of a that retransmit at once: 2
    3040.0 ms  first data: the stream goes on at b
`
	if diff := cmp.Diff(want, tl.String()); diff != "" {
		t.Errorf("timeline (-want +got):\n%s", diff)
	}
	if len(tl.missing) != 0 {
		t.Errorf("missing %v", tl.missing)
	}
}

func TestTimelineTellsWhatIsMissing(t *testing.T) {
	tl := failoverTimeline(failureTime, time.Time{}, nil)
	want := []string{"failure detected", "probe sent", "probe answered", "path switched", "TCP kicked", "first data"}
	if diff := cmp.Diff(want, tl.missing); diff != "" {
		t.Errorf("missing (-want +got):\n%s", diff)
	}
}

func TestLogThatIsNoJSON(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte("{}\npanic: x\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := readLog(path); err == nil {
		t.Error("a line that is no JSON was read")
	}
}

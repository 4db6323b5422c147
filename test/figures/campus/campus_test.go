// SPDX-License-Identifier: MIT

package campus

import (
	"errors"
	"io"
	"testing"
	"time"

	"shim6/test/figures/trace"
)

func options(seed uint64) Options {
	return Options{Seed: seed, Start: time.Date(2008, 8, 1, 8, 0, 0, 0, time.UTC), Length: 4 * time.Hour, Servers: 5, Rate: 2}
}

func read(t *testing.T, o Options) []trace.Record {
	t.Helper()
	var all []trace.Record
	for in := New(o); ; {
		r, err := in.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
}

func TestEqualSeedsGiveEqualTraces(t *testing.T) {
	a, b, c := read(t, options(1)), read(t, options(1)), read(t, options(2))
	if len(a) != len(b) {
		t.Fatalf("%d and %d records", len(a), len(b))
	}
	for i := range a {
		if a[i] != b[i] {
			t.Fatalf("record %d: %+v and %+v", i, a[i], b[i])
		}
	}
	if len(a) == len(c) && a[0] == c[0] {
		t.Error("another seed gave the same trace")
	}
}

func TestRecords(t *testing.T) {
	o := options(1)
	last := o.Start
	servers := make(map[string]int)
	sessions := 0
	for i, r := range read(t, o) {
		switch {
		case r.Start.Before(last) || !r.Start.Before(o.Start.Add(o.Length)):
			t.Fatalf("record %d starts at %v, after %v", i, r.Start, last)
		case r.End.Before(r.Start) || r.Packets == 0 || r.Bytes < 40*r.Packets:
			t.Fatalf("record %d: %+v", i, r)
		case Network.Contains(r.Src) == Network.Contains(r.Dst):
			t.Fatalf("record %d is from %v to %v", i, r.Src, r.Dst)
		}
		last = r.Start
		if Network.Contains(r.Dst) {
			servers[r.Dst.String()]++
			sessions++
		}
	}
	// The hours from 8 to 12 are at 0.7 to 1 of the rate, and a session has about three flows.
	if expected := 2 * 4 * 3600 * 0.9 * 2.8; float64(sessions) < expected*0.8 || float64(sessions) > expected*1.2 {
		t.Errorf("%d flows, about %.0f expected", sessions, expected)
	}
	if len(servers) != o.Servers || servers[Server(0).String()] < 2*servers[Server(3).String()] {
		t.Errorf("flows by server: %v", servers)
	}
}

func TestNightsAndWeekendsAreQuiet(t *testing.T) {
	day := time.Date(2008, 8, 1, 10, 0, 0, 0, time.UTC) // a Friday
	if n, d := share(day.Add(-7*time.Hour)), share(day); n > d/4 {
		t.Errorf("%g at night, %g by day", n, d)
	}
	if w, d := share(day.AddDate(0, 0, 1)), share(day); w != d/2 {
		t.Errorf("%g on Saturday, %g on Friday", w, d)
	}
}

// SPDX-License-Identifier: MIT

package main

import (
	"testing"
	"time"
)

func rows(n int, change func(i int, r *failoverRow)) *failoverResult {
	f := new(failoverResult)
	for i := range n {
		gap := int64(1040)
		r := failoverRow{
			Name: "run", TSendMS: 1000, GapMS: &gap, BytesSent: 5, BytesReceived: 5, Match: true, Finished: true,
			Before: "a1 -> b1", After: "a2 -> b1",
		}
		if change != nil {
			change(i, &r)
		}
		f.Runs = append(f.Runs, r)
	}
	return f
}

func TestFailoversAreJudged(t *testing.T) {
	only := func(i int, change func(*failoverRow)) func(int, *failoverRow) {
		return func(j int, r *failoverRow) {
			if i == j {
				change(r)
			}
		}
	}
	const rtt = 20 * time.Millisecond
	for name, c := range map[string]struct {
		runs *failoverResult
		ok   bool
	}{
		"all well":           {rows(10, nil), true},
		"nine":               {rows(9, nil), false},
		"none":               {rows(0, nil), false},
		"one at the limit":   {rows(10, only(4, func(r *failoverRow) { *r.GapMS = 1300 })), true},
		"one too slow":       {rows(10, only(4, func(r *failoverRow) { *r.GapMS = 1301 })), false},
		"one never":          {rows(10, only(4, func(r *failoverRow) { r.GapMS = nil })), false},
		"one of them broken": {rows(10, only(4, func(r *failoverRow) { r.Match = false })), false},
		"one cut short":      {rows(10, only(4, func(r *failoverRow) { r.BytesReceived = 4 })), false},
		"one without switch": {rows(10, only(4, func(r *failoverRow) { r.After = r.Before })), false},
		"one of another":     {rows(11, only(4, func(r *failoverRow) { r.TSendMS, r.GapMS = 3000, nil })), true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.runs.judge(time.Second, rtt); got.OK != c.ok {
				t.Errorf("judged %v: %s", got.OK, got.Detail)
			}
		})
	}
}

func TestAllowanceGrowsWithTheRoundTrip(t *testing.T) {
	for rtt, want := range map[time.Duration]time.Duration{
		0:                      300 * time.Millisecond,
		20 * time.Millisecond:  300 * time.Millisecond,
		200 * time.Millisecond: 840 * time.Millisecond,
	} {
		if got := allowance(rtt); got != want {
			t.Errorf("allowance(%v) = %v, want %v", rtt, got, want)
		}
	}
}

// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"shim6/test/lab/report"
)

// A failoverResult is result.json of the failovers.
type failoverResult struct {
	*report.Result
	RTTMS int64         `json:"rtt_ms"`
	Runs  []failoverRow `json:"runs"`
}

type failoverRow struct {
	Name          string `json:"name"`
	TSendMS       int64  `json:"tsend_ms"`
	CutMS         int64  `json:"cut_ms"` // after the start of the transfer
	Provider      int    `json:"provider"`
	GapMS         *int64 `json:"gap_ms"` // null: the transfer never went on
	BytesSent     int64  `json:"bytes_sent"`
	BytesReceived int64  `json:"bytes_received"`
	Match         bool   `json:"match"` // octet by octet
	Finished      bool   `json:"finished"`
	Before        string `json:"locators_before"`
	After         string `json:"locators_after"`
}

// failoversWanted is how many failovers each Send Timeout must see.
const failoversWanted = 10

// judgeFailover measures each failover's gap.
func judgeFailover(s *settings, out string, r *report.Result, t *terminal) (any, error) {
	whole := &failoverResult{Result: r, RTTMS: s.rtt.Milliseconds()}
	var runs []report.FailoverRun
	if err := readJSON(filepath.Join(out, report.FailoverName), &runs); err != nil {
		return whole, err
	}
	for _, run := range runs {
		f, err := readFlow(out, run.Transfer)
		if err != nil {
			return whole, err
		}
		row := failoverRow{
			Name: run.Transfer.Name, TSendMS: run.TSend.Milliseconds(), Provider: run.Provider,
			CutMS:     run.Transfer.Cut.Sub(run.Transfer.Start).Milliseconds(),
			BytesSent: run.Transfer.Sent, BytesReceived: run.Transfer.Received, Match: run.Transfer.Same,
			Finished: run.Transfer.Finished, Before: run.Before, After: run.After,
		}
		if before, after, ok := f.Gap(run.Transfer.Cut, run.Transfer.Sent); ok {
			row.GapMS = milliseconds(after.Time.Sub(before.Time))
		}
		whole.Runs = append(whole.Runs, row)
	}
	for _, tsend := range []time.Duration{time.Second, 3 * time.Second, 15 * time.Second} {
		t.check(r, whole.judge(tsend, s.rtt))
	}
	return whole, nil
}

// judge says how many of the failovers with a Send Timeout were survived in time and whole.
func (f *failoverResult) judge(tsend, rtt time.Duration) report.Check {
	limit := (tsend + allowance(rtt)).Milliseconds()
	var gaps []int64
	var wrong []string
	for _, row := range f.Runs {
		switch {
		case row.TSendMS != tsend.Milliseconds():
		case row.GapMS == nil:
			wrong = append(wrong, row.Name+" never went on")
		case *row.GapMS > limit:
			wrong = append(wrong, fmt.Sprintf("%s took %d ms", row.Name, *row.GapMS))
		case !row.Match || !row.Finished || row.BytesSent != row.BytesReceived:
			wrong = append(wrong, fmt.Sprintf("%s moved %d of %d octets", row.Name, row.BytesReceived, row.BytesSent))
		case row.Before == row.After:
			wrong = append(wrong, row.Name+" kept its path")
		default:
			gaps = append(gaps, *row.GapMS)
		}
	}
	c := report.Check{
		Name: fmt.Sprintf("Send Timeout %v: %d of %d transfers go on within %d ms, whole", tsend, failoversWanted, failoversWanted, limit),
		OK:   len(gaps) == failoversWanted && len(wrong) == 0,
	}
	if len(gaps) == 0 {
		c.Detail = "none; " + strings.Join(wrong, "; ")
		return c
	}
	c.Detail = fmt.Sprintf("%d did, gaps %d to %d ms", len(gaps), slices.Min(gaps), slices.Max(gaps))
	if len(wrong) > 0 {
		c.Detail += "; " + strings.Join(wrong, "; ")
	}
	return c
}

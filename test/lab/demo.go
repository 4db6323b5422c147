// SPDX-License-Identifier: MIT

package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"shim6/test/lab/chart"
	"shim6/test/lab/flow"
	"shim6/test/lab/report"
	"shim6/test/lab/topo"
	"shim6/test/lab/traffic"
)

// allowance returns how long after the Send Timeout data may take to arrive again: 300 ms, and with more than 20 ms of
// round-trip time what three round trips take longer. Two go by until both hosts know that a pair works both ways.
func allowance(rtt time.Duration) time.Duration {
	return 300*time.Millisecond + 3*max(0, rtt-20*time.Millisecond)
}

// A demoResult is result.json of the demonstration.
type demoResult struct {
	*report.Result
	TSendMS        int64  `json:"tsend_ms"`
	RTTMS          int64  `json:"rtt_ms"`
	GapMS          *int64 `json:"gap_ms"`         // null: the transfer never went on
	ControlGapMS   *int64 `json:"control_gap_ms"` // null: never while it was watched
	BytesSent      int64  `json:"bytes_sent"`
	BytesReceived  int64  `json:"bytes_received"`
	SHA256Match    bool   `json:"sha256_match"`
	SHA256Sent     string `json:"sha256_sent"`
	SHA256Received string `json:"sha256_received"`
	ProbesSent     uint64 `json:"probes_sent"`
	Before         string `json:"locators_before"`
	After          string `json:"locators_after"`
	ContextTags    struct {
		A string `json:"a"`
		B string `json:"b"`
	} `json:"context_tags"`
}

// judgeDemo reads what the guest left and judges it.
func judgeDemo(s *settings, out string, r *report.Result, t *terminal) (any, error) {
	d := &demoResult{Result: r, TSendMS: s.tsend.Milliseconds(), RTTMS: s.rtt.Milliseconds()}
	var g report.Demo
	if err := readJSON(filepath.Join(out, report.DemoName), &g); err != nil {
		return d, err
	}
	d.ProbesSent, d.Before, d.After = g.ProbesA+g.ProbesB, g.LocatorsBefore, g.LocatorsAfter
	d.ContextTags.A, d.ContextTags.B = g.TagA, g.TagB
	check := func(name string, ok bool, format string, args ...any) {
		t.check(r, report.Check{Name: name, OK: ok, Detail: fmt.Sprintf(format, args...)})
	}

	control, err := readFlow(out, g.Control)
	if err != nil {
		return d, err
	}
	before, after, ok := control.Gap(g.Control.Cut, g.Control.Sent)
	if ok {
		d.ControlGapMS = milliseconds(after.Time.Sub(before.Time))
	}
	watched := g.Control.End.Sub(g.Control.Cut)
	check("control: the transfer ran before the failure", before.Octets > 0 && !before.Time.Before(g.Control.Cut.Add(-200*time.Millisecond)),
		"%d octets in %v", before.Octets, before.Time.Sub(g.Control.Start).Round(time.Millisecond))
	check("control: without shim6 the transfer stalls", !ok && watched >= time.Minute && before.Time.Before(g.Control.Cut.Add(s.rtt+50*time.Millisecond)),
		"last octet %v after the failure, watched for %v", before.Time.Sub(g.Control.Cut).Round(time.Millisecond), watched.Round(time.Second))

	shim6, err := readFlow(out, g.Shim6)
	if err != nil {
		return d, err
	}
	goesOn := fmt.Sprintf("the transfer goes on within the Send Timeout and %v", allowance(s.rtt))
	before, after, ok = shim6.Gap(g.Shim6.Cut, g.Shim6.Sent)
	if ok {
		d.GapMS = milliseconds(after.Time.Sub(before.Time))
		limit := s.tsend + allowance(s.rtt)
		check(goesOn, after.Time.Sub(before.Time) <= limit,
			"gap %d ms, limit %d ms", *d.GapMS, limit.Milliseconds())
	} else {
		check(goesOn, false, "it stopped for good at octet %d", before.Octets)
	}
	check("the transfer ends well", g.Shim6.Finished, "%s", or(g.Shim6.Trouble, "sender and receiver ended by themselves"))
	if err := d.sums(out, g.Shim6); err != nil {
		return d, err
	}
	check("what arrives is what was sent", d.SHA256Match && d.BytesSent == d.BytesReceived,
		"%d of %d octets, SHA-256 %.16s… and %.16s…", d.BytesReceived, d.BytesSent, d.SHA256Received, d.SHA256Sent)
	if err := judgePackets(out, g, check); err != nil {
		return d, err
	}
	names := topo.Addresses{A1: g.A1, A2: g.A2, B1: g.B1}
	check("the path changed", d.Before != d.After && d.Before != "" && d.After != "", "from %s to %s", names.Short(d.Before), names.Short(d.After))
	check("probes found it", d.ProbesSent > 0, "%d probes sent by both hosts", d.ProbesSent)

	log, err := readLog(filepath.Join(out, report.DaemonLog("a")))
	if err != nil {
		return d, err
	}
	tl := failoverTimeline(g.Shim6.Cut, after.Time, log)
	check("the log of host a tells each step", len(tl.missing) == 0, "%s", or(strings.Join(tl.missing, ", "), "complete"))
	text := names.Short(tl.String())
	t.block("Timeline of the failover", text)
	if err := os.WriteFile(filepath.Join(out, "timeline.txt"), []byte(text), 0o644); err != nil {
		return d, err
	}
	return d, drawDemo(out, s, g, control, shim6)
}

// judgePackets judges what was on the wire.
func judgePackets(out string, g report.Demo, check func(string, bool, string, ...any)) error {
	b, err := readCapture(filepath.Join(out, report.CaptureName(g.Shim6.Name, "b", "p1")))
	if err != nil {
		return err
	}
	plain, tagged, wrong := 0, 0, 0
	for _, p := range b.Packets {
		switch {
		case !p.TCP || p.SrcPort != traffic.Port || p.Data == 0:
		case p.Tag == 0:
			plain++
		case fmt.Sprintf("%012x", p.Tag) == g.TagB:
			tagged++
		default:
			wrong++
		}
	}
	// RFC 5533 section 4.8: the ULIDs need no Payload Extension Header while they are the locators.
	check("data carries the Payload Extension Header with b's tag after the switch, none before", plain > 0 && tagged > 0 && wrong == 0,
		"%d packets without, %d with tag %s, %d with another", plain, tagged, g.TagB, wrong)
	for _, run := range []report.Transfer{g.Control, g.Shim6} {
		errors := 0
		for _, dev := range []string{"p1", "p2"} {
			c, err := readCapture(filepath.Join(out, report.CaptureName(run.Name, "a", dev)))
			if err != nil {
				return err
			}
			errors += len(c.ICMPErrors(run.Start, run.End))
		}
		check(run.Name+": no ICMPv6 error tells host a of the failure", errors == 0, "%d errors", errors)
	}
	return nil
}

// sums hashes what was sent and what was received, and removes both files.
func (d *demoResult) sums(out string, run report.Transfer) error {
	var err error
	if d.BytesSent, d.SHA256Sent, err = takeSum(filepath.Join(out, report.SentName)); err != nil {
		return err
	}
	if d.BytesReceived, d.SHA256Received, err = takeSum(filepath.Join(out, report.ReceivedName(run.Name))); err != nil {
		return err
	}
	d.SHA256Match = d.SHA256Sent == d.SHA256Received
	return nil
}

func takeSum(path string) (int64, string, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, "", err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return 0, "", err
	}
	return n, fmt.Sprintf("%x", h.Sum(nil)), os.Remove(path)
}

// drawDemo draws both runs, aligned at the failure.
func drawDemo(out string, s *settings, g report.Demo, control, shim6 *flow.Flow) error {
	const interval = 100 * time.Millisecond
	before := g.Shim6.Cut.Sub(g.Shim6.Start)
	after := g.Shim6.End.Sub(g.Shim6.Cut)
	rate := func(f *flow.Flow, run report.Transfer) []int64 {
		return f.Rate(run.Cut.Add(-before), run.Cut.Add(after), interval)
	}
	return chart.Throughput(filepath.Join(out, "throughput.png"),
		fmt.Sprintf("A provider fails under a transfer (Send Timeout %v, round-trip time %v)", s.tsend, s.rtt), before,
		chart.Run{Name: "with shim6", Interval: interval, Color: chart.Blue, Octets: rate(shim6, g.Shim6)},
		chart.Run{Name: "without shim6", Interval: interval, Color: chart.Orange, Dashed: true, Octets: rate(control, g.Control)})
}

// readFlow returns the transferred stream as host b saw it.
func readFlow(out string, run report.Transfer) (*flow.Flow, error) {
	c, err := readCapture(filepath.Join(out, report.CaptureName(run.Name, "b", "p1")))
	if err != nil {
		return nil, err
	}
	return c.Largest(traffic.Port)
}

func readCapture(path string) (*flow.Capture, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	c, err := flow.Read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

func readJSON(path string, v any) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func milliseconds(d time.Duration) *int64 {
	ms := d.Round(time.Millisecond).Milliseconds()
	return &ms
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

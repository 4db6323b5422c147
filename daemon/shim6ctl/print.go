// SPDX-License-Identifier: MIT

package main

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"shim6/daemon/ctl"
)

// row prints a name and its values, one below the other, so that two addresses fit 80 columns.
func (e *env) row(indent, name string, values ...string) {
	for _, v := range values {
		fmt.Fprintf(e.stdout, "%s%-*s %s\n", indent, 14-len(indent), name, printable(v))
		name = ""
	}
}

func (e *env) printStatus(s ctl.Status) {
	e.row("", "version", s.Version)
	e.row("", "process", fmt.Sprintf("%d, running for %s", s.PID, e.since(s.Started)))
	e.row("", "configuration", s.Config)
	if s.Server {
		e.row("", "server", "on: contexts are made when peers ask")
	}
	if s.Metrics != "" {
		e.row("", "metrics", "http://"+s.Metrics+"/metrics")
	}
	e.row("", "kernel", onOff(s.Enabled))
	e.row("", "heuristic", fmt.Sprintf("%s (of %s)", s.Heuristic, strings.Join(s.Heuristics, ", ")))
	e.row("", "tcp kick", onOff(s.TCPKick))
	e.row("", "gso", s.GSO)
	e.row("", "mark mask", fmt.Sprintf("%#x", s.MarkMask))
	e.row("", "send timeout", milliseconds(s.SendTimeoutMS))
	after := teardown(s.TeardownMS)
	if s.TeardownMS != 0 {
		after = "after " + after + " without traffic"
	}
	e.row("", "teardown", after)
	e.row("", "contexts", fmt.Sprint(s.Contexts))
	e.row("", "locators", fmt.Sprint(s.Locators))
	e.row("", "monitors", fmt.Sprint(s.Subscribers))
}

func (e *env) printHeuristics(list []ctl.Heuristic) {
	var others []string
	for _, h := range list {
		if !h.Used {
			others = append(others, h.Name)
			continue
		}
		fmt.Fprintln(e.stdout, printable(h.Name))
		if h.Name == "none" {
			continue
		}
		e.row("  ", "decided", fmt.Sprintf("%d triggers, %d vetoes, %d packets not followed", h.Triggers, h.Vetoes, h.Refusals))
		for _, p := range h.Params {
			e.row("  ", p.Name, fmt.Sprintf("%d (at first %d; %d to %d)", p.Value, p.Initial, p.Min, p.Max))
		}
	}
	if len(others) > 0 {
		e.row("", "not in use", strings.Join(others, ", "))
	}
}

func (e *env) printContexts(list []ctl.Context) {
	if len(list) == 0 {
		fmt.Fprintln(e.stdout, "no contexts")
	}
	for i, c := range list {
		if i > 0 {
			fmt.Fprintln(e.stdout)
		}
		e.printSummary(c)
	}
}

// printSummary prints the part of a context that a list shows.
func (e *env) printSummary(c ctl.Context) {
	fmt.Fprintf(e.stdout, "%s  %s for %s\n", c.Tag, c.State, e.since(c.Since))
	e.row("  ", "ulids", c.ULIDLocal.String(), c.ULIDPeer.String())
	if c.Current == (ctl.Pair{Local: c.ULIDLocal, Peer: c.ULIDPeer}) {
		e.row("  ", "current", "the ULIDs")
	} else {
		e.row("  ", "current", c.Current.Local.String(), c.Current.Peer.String())
	}
	e.row("  ", "reap", c.Reap)
	if k := c.Kernel; k != nil {
		e.row("  ", "sent", fmt.Sprintf("%d packets, %d octets", k.TxPackets, k.TxBytes))
		e.row("  ", "received", fmt.Sprintf("%d packets, %d octets, idle for %s", k.RxPackets, k.RxBytes, milliseconds(k.IdleMS)))
	}
}

func (e *env) printContext(c ctl.Context) {
	e.printSummary(c)
	if c.TagPeer != "" {
		e.row("  ", "peer's tag", c.TagPeer)
	}
	if c.FII != 0 {
		e.row("  ", "fii", fmt.Sprint(c.FII))
	}
	e.row("  ", "timeouts", fmt.Sprintf("send %s, keepalive %s every %s",
		milliseconds(c.SendTimeoutMS), milliseconds(c.KeepaliveTimeoutMS), milliseconds(c.KeepaliveIntervalMS)))
	e.row("  ", "teardown", teardown(c.TeardownMS))
	e.row("  ", "probes", fmt.Sprintf("%d sent, %d received", c.ProbesSent, c.ProbesReceived))
	e.row("  ", "keepalives", fmt.Sprintf("%d sent", c.KeepalivesSent))
	if c.RetryAt != nil {
		e.row("  ", "asked again", "in "+max(c.RetryAt.Sub(e.now()), 0).Round(time.Second).String()+" at the earliest")
	}
	for i, p := range c.Ranking {
		e.row("  ", fmt.Sprintf("preferred %d", i+1), p.Local.String(), p.Peer.String())
	}
	for i, p := range c.Paths {
		e.row("  ", fmt.Sprintf("path %d", i), p.Local.String(), p.Peer.String(), pathWords(p))
	}
	e.printReports("sent", c.ReportsSent)
	e.printReports("received", c.ReportsReceived)
	e.printLocatorSet("local", c.GenerationLocal, c.LocatorsLocal)
	e.printLocatorSet("peer", c.GenerationPeer, c.LocatorsPeer)
}

func (e *env) printLocatorSet(whose string, generation uint32, list []ctl.ContextLocator) {
	fmt.Fprintf(e.stdout, "  %s locators, generation %d\n", whose, generation)
	for _, l := range list {
		words := []string{how(l)}
		if l.Probed {
			words = append(words, "probed")
		}
		if l.Broken {
			words = append(words, "broken")
		}
		line := fmt.Sprintf("    %-39s %s", l.Addr, strings.TrimSpace(strings.Join(words, " ")))
		fmt.Fprintln(e.stdout, strings.TrimRight(line, " "))
	}
}

// how tells how a locator was verified.
func how(l ctl.ContextLocator) string {
	switch {
	case !l.Verified:
		return strings.TrimSpace(l.Method + " unverified")
	case l.Method == "":
		return "ULID" // it needs no proof: packets come from it
	}
	return "by " + l.Method
}

func (e *env) printReports(what string, list []ctl.ProbeReport) {
	for i, r := range list {
		name := ""
		if i == 0 {
			name = what
		}
		words := fmt.Sprintf("nonce %08x", r.Nonce)
		if what == "sent" && r.Seen {
			words += ", reported by the peer"
		}
		e.row("  ", name, r.Pair.Local.String(), r.Pair.Peer.String(), words)
	}
}

func (e *env) printLocators(list []ctl.Locator) {
	if len(list) == 0 {
		fmt.Fprintln(e.stdout, "no locators")
	}
	for _, l := range list {
		e.printOneLocator(l)
	}
}

func (e *env) printOneLocator(l ctl.Locator) {
	var words []string
	if l.Deprecated {
		words = append(words, "deprecated")
	}
	if l.Temporary {
		words = append(words, "temporary")
	}
	if !l.Carrier {
		words = append(words, "no carrier")
	}
	if l.Broken {
		words = append(words, "broken")
	}
	fmt.Fprintln(e.stdout, l.Addr)
	e.row("  ", "interface", l.Link)
	switch {
	case l.Proof != "":
		e.row("  ", "proof", fmt.Sprintf("%s, sec %d", l.Proof, l.Sec))
	default:
		e.row("  ", "proof", "none: it is told to no peer")
	}
	if l.KeyID != "" {
		e.row("  ", "key", l.KeyID)
	}
	if l.Priority != 0 || l.Weight != 0 || l.Cost != 0 {
		e.row("  ", "preference", fmt.Sprintf("priority %d, weight %d, cost %d", l.Priority, l.Weight, l.Cost))
	}
	if len(words) > 0 {
		e.row("  ", "but", strings.Join(words, ", "))
	}
}

// printLocator shows one locator with its parameters.
func (e *env) printLocator(l ctl.Locator) {
	e.printOneLocator(l)
	const perLine = 24
	name := "parameters"
	for p := l.Params; len(p) > 0; p = p[min(perLine, len(p)):] {
		e.row("  ", name, hex.EncodeToString(p[:min(perLine, len(p))]))
		name = ""
	}
}

func (e *env) printDevices(list []ctl.Device) {
	whys := map[string]string{
		"gso": "as gso says", "gso_devices": "as gso_devices says", "software": "auto: the kernel cuts up packets for it",
		"hardware": "auto: it cuts up packets, or hands them on whole",
	}
	for _, d := range list {
		why, ok := whys[d.Why]
		if !ok {
			why = d.Why
		}
		fmt.Fprintf(e.stdout, "%-15s  %-7s  %s\n", printable(d.Name), printable(d.GSO), printable(why))
	}
}

func (e *env) printStats(s ctl.Stats) {
	for _, part := range []struct {
		name     string
		counters map[string]uint64
	}{{"kernel", s.Kernel}, {"engine", s.Engine}, {"daemon", s.Daemon}} {
		for _, name := range slices.Sorted(maps.Keys(part.counters)) {
			fmt.Fprintf(e.stdout, "%-6s %-40s %20d\n", part.name, name, part.counters[name])
		}
	}
}

// printable keeps what others chose, such as the name of an interface, from steering the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

func (e *env) since(t time.Time) string {
	return max(e.now().Sub(t), 0).Round(time.Second).String()
}

func milliseconds(ms int64) string { return (time.Duration(ms) * time.Millisecond).String() }

func teardown(ms int64) string {
	if ms == 0 {
		return "never"
	}
	return milliseconds(ms)
}

func onOff(v bool) string {
	if v {
		return "on"
	}
	return "off"
}

// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"shim6/daemon/ctl"
)

// look is what top sees at a time, with so many octets sent on the first context.
func look(at time.Time, octets uint64, more int) seen {
	s := seen{at: at, status: ctl.Status{Version: "1.2", Contexts: 2, Locators: 3}, contexts: []ctl.Context{
		{Tag: "00000000000b", State: "I1-SENT", ULIDPeer: ulidA},
		{Tag: "00000000000a", State: "ESTABLISHED", Reap: "Exploring", ULIDPeer: ulidB, Kernel: &ctl.KernelContext{TxBytes: octets, RxBytes: 7},
			Paths: []ctl.Path{{Current: true, Probes: 4, Answered: 3, RTTMS: 20}}},
	}}
	for i := range more {
		s.contexts = append(s.contexts, ctl.Context{Tag: fmt.Sprintf("%012x", 100+i), State: "ESTABLISHED", Reap: "Operational", ULIDPeer: netip.IPv6Loopback()})
	}
	return s
}

func TestTopShowsTheBusiestFirst(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	v := &view{every: time.Second, width: 80, height: 24}
	if got := v.View(); !strings.Contains(got, "asking") {
		t.Errorf("before the first look: %q", got)
	}
	v.Update(look(now, 1000, 0))
	v.Update(look(now.Add(2*time.Second), 5_001_000, 0))
	lines := strings.Split(v.View(), "\n")
	want := []string{"00000000000a Exploring   20ms         25%      2.5M         0  2001:db8:b1::1", "00000000000b I1-SENT     -              -         0         0  2001:db8:a1:ffff:1234:5678:9abc:def0"}
	for i, w := range want {
		if got := lines[3+i]; got != w[:min(len(w), 80)] {
			t.Errorf("line %d: %q, want %q", i, got, w)
		}
	}
	if !strings.Contains(lines[0], "2 contexts, 1 exploring, 3 locators") {
		t.Errorf("head %q", lines[0])
	}
	for _, l := range lines {
		if len([]rune(l)) > 80 {
			t.Errorf("%d columns: %s", len(l), l)
		}
	}
	// A context that is another one under the same tag has carried nothing.
	v.Update(look(now.Add(3*time.Second), 5, 0))
	if got := v.View(); !strings.Contains(got, "25%         0         0") {
		t.Errorf("after a reset:\n%s", got)
	}
}

func TestTopScrolls(t *testing.T) {
	v := &view{every: time.Second, width: 80, height: 10}
	v.Update(look(time.Now(), 1, 20))
	key := func(k string) tea.Cmd {
		msg := tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(k)}
		if k == "down" {
			msg = tea.KeyMsg{Type: tea.KeyDown}
		}
		_, cmd := v.Update(msg)
		return cmd
	}
	for range 100 {
		key("down")
	}
	if got := v.View(); v.top != 22-6 || strings.Count(got, "\n") > 10 || !strings.Contains(got, fmt.Sprintf("%012x", 100+19)) {
		t.Errorf("at the end, line %d:\n%s", v.top, got)
	}
	for range 100 {
		key("k")
	}
	if v.top != 0 {
		t.Errorf("at the start, line %d", v.top)
	}
	v.Update(tea.WindowSizeMsg{Width: 20, Height: 2})
	for l := range strings.Lines(v.View()) {
		if len(strings.TrimSuffix(l, "\n")) > 20 {
			t.Errorf("too wide: %q", l)
		}
	}
	if cmd := key("q"); cmd == nil {
		t.Error("q does not quit")
	}
}

// What the daemon says last is an error of the command, and the view ends.
func TestTopEndsWithTheDaemon(t *testing.T) {
	v := &view{every: time.Second}
	_, cmd := v.Update(seen{err: errors.New("gone")})
	if cmd == nil || v.err == nil {
		t.Error("it goes on")
	}
}

// SPDX-License-Identifier: MIT

package engine_test

import (
	"slices"
	"testing"
	"time"

	"shim6/daemon/engine"
)

// RFC 5533 section 7.2: "the host MUST verify" before a locator is a destination, and RFC 5534 section 8 that it answers. So the
// kernel is given a path beside the current one when a probe came back on it, and not any more when one does not.
func TestMultipath(t *testing.T) {
	w, a, b := established(t, engine.Config{Multipath: true})
	if p := a.e.Contexts()[0]; len(p.Paths) != 1 {
		t.Errorf("%v before any probe", p.Paths)
	}
	w.advance(30 * time.Second)
	p := lastProgram(t, a.take())
	if len(p.Paths) != 4 || p.Paths[0] != a.only().Current || !slices.Equal(p.Paths, a.only().Paths) {
		t.Errorf("%v", p.Paths)
	}
	dead := engine.LocatorPair{Local: a.addr(1), Peer: b.addr(1)}
	w.lost = func(p engine.SendPacket) bool { return p.Src == dead.Local && p.Dst == dead.Peer }
	w.advance(30 * time.Second)
	if p := lastProgram(t, a.take()); len(p.Paths) != 3 || slices.Contains(p.Paths, dead) {
		t.Errorf("%v with a dead path", p.Paths)
	}
	// What was known of other paths does not outlive the daemon.
	again := w.add("a again", engine.Config{Multipath: true}, a.locs)
	again.handle(engine.AdoptContext{Snapshot: a.only()})
	if p := lastProgram(t, again.take()); len(p.Paths) != 1 || p.Paths[0] != a.only().Current {
		t.Errorf("%v after the restart", p.Paths)
	}
	b.setLocators(b.locs[:1])
	if p := lastProgram(t, a.take()); len(p.Paths) != 2 {
		t.Errorf("%v without a locator of the peer", p.Paths)
	}
}

func TestSinglePath(t *testing.T) {
	w, a, _ := established(t, engine.Config{})
	w.advance(time.Hour)
	if s := sent(t, a.take()); s != "" {
		t.Errorf("sent %s", s)
	}
}

// SPDX-License-Identifier: MIT

package engine_test

import (
	"testing"
	"time"

	"shim6/daemon/engine"
	"shim6/daemon/reap"
	"shim6/daemon/wire"
)

// away makes two hosts whose payload had to leave the pair of the ULIDs, which works again.
func away(t *testing.T, cfg engine.Config) (w *world, a, b *host) {
	t.Helper()
	w, a, b = established(t, cfg)
	w.lost = func(p engine.SendPacket) bool { return p.Src == a.addr(0) || p.Dst == a.addr(0) }
	a.timeout()
	w.advance(15 * time.Second) // and what was reported is forgotten
	w.lost = nil
	for _, h := range []*host{a, b} {
		if s := h.only(); s.Reap != reap.Operational || s.Current == engine.LocatorPair(s.ULIDs) {
			t.Fatalf("%s: %v on %v", h.name, s.Reap, s.Current)
		}
		h.take()
	}
	return w, a, b
}

// Payload returns to the pair of the ULIDs, in each direction by the will of its sender, when the pair was good for the
// configured time. Until then no peer leaves Operational.
func TestFailBack(t *testing.T) {
	w, a, b := away(t, engine.Config{FailBack: 2 * time.Minute})
	w.advance(100 * time.Second)
	for _, h := range []*host{a, b} {
		if n := len(pick[engine.PathChanged](h.acts)) + len(pick[engine.ReapChanged](h.acts)); n != 0 {
			t.Errorf("%s: %d changes", h.name, n)
		}
		if n := len(pick[engine.ProbeSent](h.acts)); n == 0 {
			t.Errorf("%s: no probe", h.name)
		}
	}
	w.advance(4 * time.Minute)
	for _, h := range []*host{a, b} {
		if s := h.only(); s.Current != engine.LocatorPair(s.ULIDs) || s.Reap != reap.Operational {
			t.Errorf("%s: %v on %v", h.name, s.Reap, s.Current)
		}
		if p := lastProgram(t, h.acts); p.Paths[0] != engine.LocatorPair(p.ULIDs) {
			t.Errorf("%s: the kernel sends on %v", h.name, p.Paths[0])
		}
		if n := len(pick[engine.ReapChanged](h.take())); n != 0 {
			t.Errorf("%s: %d changes of the REAP state", h.name, n)
		}
	}
	w.advance(time.Hour)
	for _, h := range []*host{a, b} {
		if n := len(pick[engine.SendPacket](h.take())); n != 0 {
			t.Errorf("%s: %d packets afterwards", h.name, n)
		}
	}
}

// Without a time there is no return, and no probe for it.
func TestNoFailBack(t *testing.T) {
	w, a, _ := away(t, engine.Config{})
	w.advance(time.Hour)
	if s := sent(t, a.take()); s != "" {
		t.Errorf("sent %s", s)
	}
}

// RFC 5533 section 5.15.3: the peer's Locator Preferences are about where payload goes, so they say where it returns to.
func TestFailBackFollowsPreferences(t *testing.T) {
	w, a, b := away(t, engine.Config{FailBack: time.Minute})
	later := b.locs
	later[0].Priority = 9
	b.setLocators(later)
	w.advance(time.Hour)
	if s := a.only(); s.Current.Peer != b.addr(1) {
		t.Errorf("on %v", s.Current)
	}
}

// RFC 5534 section 9: "idle communications do not generate any traffic".
func TestNoFailBackWhileIdle(t *testing.T) {
	w, a, b := away(t, engine.Config{FailBack: time.Minute, Teardown: time.Hour})
	idle := func(d time.Duration) {
		for _, h := range []*host{a, b} {
			h.handle(engine.ContextIdle{Tag: h.only().TagLocal, Idle: d})
		}
	}
	idle(time.Minute)
	w.advance(30 * time.Minute)
	if ps := messages[*wire.Probe](t, a.take()); len(ps) != 0 {
		t.Errorf("%d probes", len(ps))
	}
	idle(time.Second)
	w.advance(10 * time.Minute)
	if s := a.only(); s.Current != engine.LocatorPair(s.ULIDs) {
		t.Errorf("on %v", s.Current)
	}
}

// RFC 5534 section 3.3 leaves it open what upper layers tell. Here it is about the pair that the context's payload goes on, which
// is tested first.
func TestContextHint(t *testing.T) {
	w, a, _ := established(t, engine.Config{})
	if acts := a.handle(engine.ContextHint{Tag: a.only().TagLocal + 1, Why: "timeout"}); len(pick[engine.ProbeSent](acts)) != 0 {
		t.Errorf("without a context: %s", kinds(acts))
	}
	acts := a.handle(engine.ContextHint{Tag: a.only().TagLocal, Why: "timeout"})
	if ps := pick[engine.ProbeSent](acts); len(ps) != 1 || ps[0].Pair != a.only().Current {
		t.Errorf("%s", kinds(acts))
	}
	if cs := pick[engine.ReapChanged](acts); len(cs) != 1 || cs[0].Why != "timeout" {
		t.Errorf("%+v", cs)
	}
	w.settle()
	if s := a.only(); s.Reap != reap.Operational || s.Current != engine.LocatorPair(s.ULIDs) {
		t.Errorf("%v on %v", s.Reap, s.Current)
	}
	if acts := a.handle(engine.ContextHint{Tag: a.only().TagLocal}); len(acts) != 0 {
		t.Errorf("at once again: %s", kinds(acts))
	}
}

// RFC 5534 section 3.3: a hint is about a pair. What uses it is tested at once, and what does not is left alone.
func TestHint(t *testing.T) {
	w, a, b := established(t, engine.Config{})
	for _, p := range []engine.LocatorPair{{Local: a.addr(1)}, {Local: a.addr(0), Peer: b.addr(1)}, {}} {
		if acts := a.handle(engine.Hint{Pair: p, Why: "route lost"}); len(acts) != 0 {
			t.Errorf("%v: %s", p, kinds(acts))
		}
	}
	acts := a.handle(engine.Hint{Pair: engine.LocatorPair{Local: a.addr(0)}, Why: "route lost"})
	if ps := pick[engine.ProbeSent](acts); len(ps) != 1 || ps[0].Pair != a.only().Current {
		t.Errorf("%s", kinds(acts))
	}
	if cs := pick[engine.ReapChanged](acts); len(cs) != 1 || cs[0].Why != "route lost" {
		t.Errorf("%+v", cs)
	}
	w.settle()
	if s := a.only(); s.Reap != reap.Operational || s.Current != engine.LocatorPair(s.ULIDs) {
		t.Errorf("%v on %v", s.Reap, s.Current)
	}
	if acts := a.handle(engine.Hint{Pair: engine.LocatorPair{Local: a.addr(0), Peer: b.addr(0)}}); len(acts) != 0 {
		t.Errorf("at once again: %s", kinds(acts))
	}
	w.advance(2 * time.Second)
	if n := len(pick[engine.ReapChanged](a.take())); n != 4 {
		t.Errorf("%d changes, want 4", n)
	}
}

// RFC 5534 section 3.3 lets ICMP errors be hints. One counts where it quotes payload as this host sent it: on the current pair,
// with the ULIDs or with the peer's context tag.
func TestICMPUnreachable(t *testing.T) {
	quoted := func(protocol byte, p engine.LocatorPair, header []byte) []byte {
		b := make([]byte, 40)
		b[0], b[6] = 6<<4, protocol
		src, dst := p.Local.As16(), p.Peer.As16()
		copy(b[8:], src[:])
		copy(b[24:], dst[:])
		return append(b, header...)
	}
	header := func(tag wire.ContextTag) []byte {
		b, err := wire.PayloadHeader{NextHeader: 6, Tag: tag}.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	icmp := func(b []byte) engine.Event { return engine.ICMPError{Type: 1, Quoted: b} }
	_, a, _ := established(t, engine.Config{})
	s := a.only()
	for _, b := range [][]byte{
		nil, quoted(6, s.Current, nil)[:39], quoted(6, engine.LocatorPair{Local: a.addr(1), Peer: s.ULIDs.Peer}, nil),
		quoted(140, s.Current, nil), quoted(140, s.Current, header(s.TagPeer^1)),
		quoted(140, engine.LocatorPair{Local: a.addr(1), Peer: s.ULIDs.Peer}, header(s.TagPeer)),
	} {
		silent(t, a.handle(icmp(b)), engine.ReasonICMP)
	}
	for _, b := range [][]byte{quoted(6, s.Current, nil), quoted(140, s.Current, header(s.TagPeer))} {
		_, a, _ = established(t, engine.Config{})
		acts := a.handle(icmp(b))
		if ps := pick[engine.ProbeSent](acts); len(ps) != 1 || ps[0].Pair != s.Current {
			t.Errorf("%s", kinds(acts))
		}
		if now := a.only().Current; now != s.Current {
			t.Errorf("payload moved to %v", now)
		}
	}
}

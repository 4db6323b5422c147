// SPDX-License-Identifier: MIT

package engine_test

import (
	"net/netip"
	"testing"
	"time"

	"shim6/daemon/engine"
	"shim6/daemon/shim6"
	"shim6/daemon/wire"
)

// RFC 5533 section 7.8: "it makes sense for the host to remember not to try again to establish a context with that ULID."
// Appendix B: other than that, the context is as good as none.
func TestHolddown(t *testing.T) {
	w, a, b := pair(t, engine.Config{})
	w.lost = func(engine.SendPacket) bool { return true }
	a.trigger(b)
	fail(t, a)
	if s := a.only(); s.TagLocal != 0 {
		t.Fatalf("tag %v", s.TagLocal)
	}
	silent(t, a.trigger(b), engine.ReasonHolddown)
	w.lost = nil
	b.trigger(a)
	w.settle()
	agree(t, a, b)
	silent(t, a.trigger(b), engine.ReasonContextExists)

	w, a, b = pair(t, engine.Config{})
	w.lost = func(engine.SendPacket) bool { return true }
	a.trigger(b)
	fail(t, a)
	w.advance(time.Minute)
	if n := len(a.e.Contexts()); n != 0 || !a.e.Deadline().IsZero() {
		t.Errorf("%d contexts after the hold-down", n)
	}
	a.take()
	w.advance(time.Hour)
	if len(a.take()) != 0 {
		t.Error("tries again though nobody asked") // only traffic may ask
	}
}

// fail waits for the one context of a host to fail.
func fail(t *testing.T, h *host) {
	t.Helper()
	for range 200 {
		if h.only().State == shim6.StateEFailed {
			return
		}
		h.w.advance(time.Second)
	}
	t.Fatalf("still in %v", h.only().State)
}

func TestTriggerThatCannotBe(t *testing.T) {
	_, a, b := pair(t, engine.Config{})
	for want, u := range map[engine.Reason]engine.ULIDPair{
		engine.ReasonNotLocal:   {Local: b.addr(0), Peer: a.addr(0)},
		engine.ReasonSelf:       {Local: a.addr(0), Peer: a.addr(1)},
		engine.ReasonBadAddress: {Local: a.addr(0), Peer: netip.MustParseAddr("ff02::1")},
	} {
		silent(t, a.handle(engine.Trigger{ULIDs: u}), want)
	}
	silent(t, a.handle(engine.Trigger{}), engine.ReasonBadAddress)
}

// RFC 5533 section 7.8: ICMP "Unrecognized Next Header" about our I1 "is a more reliable indication that the peer ULID does
// not implement Shim6".
func TestNoSupport(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(ev *engine.ICMPError)
		ok     bool
	}{
		{"our I1", func(*engine.ICMPError) {}, true},
		{"other type", func(ev *engine.ICMPError) { ev.Type = 1 }, false},
		{"other code", func(ev *engine.ICMPError) { ev.Code = 0 }, false},
		{"other nonce", func(ev *engine.ICMPError) {
			ev.Quoted[40+12]++
			ev.Quoted[40+4]--
		}, false},
		{"other source", func(ev *engine.ICMPError) { ev.Quoted[8]++ }, false},
		{"other header", func(ev *engine.ICMPError) { ev.Quoted[6] = 6 }, false},
		{"cut", func(ev *engine.ICMPError) { ev.Quoted = ev.Quoted[:50] }, false},
		{"nothing", func(ev *engine.ICMPError) { ev.Quoted = nil }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, a, b := pair(t, engine.Config{})
			w.lost = func(engine.SendPacket) bool { return true }
			i1 := pick[engine.SendPacket](a.trigger(b))[0]
			quoted := make([]byte, 40)
			src, dst := i1.Src.As16(), i1.Dst.As16()
			quoted[0], quoted[6] = 0x60, wire.Protocol
			copy(quoted[8:], src[:])
			copy(quoted[24:], dst[:])
			ev := engine.ICMPError{Src: b.addr(0), Type: 4, Code: 1, Quoted: append(quoted, i1.Payload...)}
			tt.change(&ev)
			acts := a.handle(ev)
			if tt.ok {
				if s := a.only(); s.State != shim6.StateNoSupport || s.TagLocal != 0 || sent(t, acts) != "" {
					t.Errorf("%v with tag %v, sent %q", s.State, s.TagLocal, sent(t, acts))
				}
				silent(t, a.trigger(b), engine.ReasonHolddown)
				w.advance(11 * time.Minute)
				if len(a.e.Contexts()) != 0 {
					t.Error("remembered too long")
				}
				return
			}
			silent(t, acts, engine.ReasonICMP)
		})
	}
}

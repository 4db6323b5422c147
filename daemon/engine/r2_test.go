// SPDX-License-Identifier: MIT

package engine_test

import (
	"testing"

	"shim6/daemon/engine"
	"shim6/daemon/shim6"
	"shim6/daemon/wire"
)

// RFC 5533 section 7.16: the R2 must have our nonce and come on the locators of the exchange. "If the STATE is ESTABLISHED,
// the R2 message is silently ignored".
func TestR2ThatIsDropped(t *testing.T) {
	w, a, b := pair(t, engine.Config{})
	b.take()
	w.lost = func(p engine.SendPacket) bool { return p.Payload[2] == byte(wire.TypeR2) }
	a.trigger(b)
	w.settle()
	r2 := messages[*wire.R2](t, b.take())[0]
	change := func(f func(m *wire.R2)) *wire.R2 {
		m := *r2
		f(&m)
		return &m
	}
	silent(t, a.send(b.addr(0), a.addr(0), change(func(m *wire.R2) { m.InitNonce++ })), engine.ReasonNoContext)
	silent(t, a.send(b.addr(1), a.addr(0), r2), engine.ReasonNoContext)
	silent(t, a.send(b.addr(0), a.addr(1), r2), engine.ReasonNoContext)
	silent(t, a.send(b.addr(0), a.addr(0), change(func(m *wire.R2) { m.ResponderTag = 0 })), engine.ReasonBadTag)
	// "If a CGA Parameter Data Structure (PDS) is included in the message, then the host MUST verify that the actual PDS [...]
	// corresponds to the ULID(peer) [...]. If the verification fails, then the message is silently dropped."
	a.take()
	a.send(b.addr(0), a.addr(0), change(func(m *wire.R2) { m.PDS = a.locs[0].PDS }))
	w.settle()
	if acts := a.take(); reasons(acts) != "verify-failed" || sent(t, acts) != "" || a.only().State != shim6.StateI2Sent {
		t.Errorf("%q, sent %q, %v", reasons(acts), sent(t, acts), a.only().State)
	}
	bad := change(func(m *wire.R2) {
		m.Locators = &wire.LocatorList{Generation: 1, Locators: []wire.Locator{{Addr: b.addr(0), Method: 9}}}
	})
	if acts := a.send(b.addr(0), a.addr(0), bad); reasons(acts) != string(shim6.FaultLocatorMethod) || sent(t, acts) != "Error" {
		t.Errorf("%q, sent %q", reasons(acts), sent(t, acts))
	}
	// The true one still does.
	w.lost = nil
	w.queue = nil
	a.send(b.addr(0), a.addr(0), r2)
	w.settle()
	agree(t, a, b)
	silent(t, a.send(b.addr(0), a.addr(0), r2), engine.ReasonNoContext) // ESTABLISHED
}

// RFC 5533 section 7.15: "If either or both are different, then the peer is reusing the Context Tag [...] we are in a context
// confusion situation, and the host MUST NOT use the old context to send any packets. It MAY just discard the old context".
func TestContextConfusion(t *testing.T) {
	w, a, b := established(t, engine.Config{})
	old := b.only()
	// a forgets, and by chance uses the tag again for another ULID pair.
	i1 := &wire.I1{InitiatorTag: old.TagPeer, InitNonce: 1}
	r1 := messages[*wire.R1](t, b.send(a.addr(1), b.addr(1), i1))
	if len(r1) != 1 || len(b.e.Contexts()) != 1 {
		// Section 7.6: "an I1 message with a duplicate Context Tag should not cause the removal of the old context state".
		t.Fatalf("an I1: %d R1, %d contexts", len(r1), len(b.e.Contexts()))
	}
	w.queue = nil
	_, _, _, m := responder(t)
	m.InitiatorTag, m.RespNonce, m.Validator = old.TagPeer, r1[0].RespNonce, r1[0].Validator
	m.PDS = a.locs[1].PDS
	b.take()
	b.send(a.addr(1), b.addr(1), m)
	w.settle()
	acts := b.take()
	if gone := pick[engine.RemoveContext](acts); len(gone) != 1 || gone[0].Tag != old.TagLocal {
		t.Errorf("removed %+v: %s", gone, reasons(acts))
	}
	if s := b.only(); s.ULIDs.Peer != a.addr(1) || s.TagLocal == old.TagLocal {
		t.Errorf("%+v", s)
	}
	// The old one goes before the R2 does.
	removed := false
	for _, act := range acts {
		if _, ok := act.(engine.RemoveContext); ok {
			removed = true
		}
		if p, ok := act.(engine.SendPacket); ok && p.Payload[2] == byte(wire.TypeR2) && !removed {
			t.Error("the R2 went before the old context")
		}
	}
}

// The same tag of another peer is no confusion: 47 bits are each host's own.
func TestEqualTagsOfDifferentPeers(t *testing.T) {
	w, _, b := established(t, engine.Config{})
	c := w.add("c", engine.Config{}, plain("2001:db8:c1::1"))
	r1 := messages[*wire.R1](t, b.send(c.addr(0), b.addr(0), &wire.I1{InitiatorTag: b.only().TagPeer, InitNonce: 1}))[0]
	b.send(c.addr(0), b.addr(0), &wire.I2{
		InitiatorTag: b.only().TagPeer, RespNonce: r1.RespNonce, Options: wire.Options{Validator: r1.Validator},
	})
	if n := len(b.e.Contexts()); n != 2 {
		t.Errorf("%d contexts", n)
	}
}

// An R2 that answers the I1 of an established peer tells it all our locators, so payload to any of them must be taken.
func TestR2OfEstablishedTellsNewLocators(t *testing.T) {
	w, _, b, i1, _, _, _ := exchange(t)
	b.setLocators(locators(t, "b", "2001:db8:b1::/64", "2001:db8:b2::/64", "2001:db8:b3::/64"))
	w.settle()
	acts := b.sendRaw(i1.Src, i1.Dst, i1.Payload)
	p := pick[engine.ProgramContext](acts)
	if len(p) != 1 || len(p[0].LocatorsLocal) != 3 {
		t.Errorf("%s: %+v", kinds(acts), p)
	}
	if r2 := messages[*wire.R2](t, acts); len(r2) != 1 || len(r2[0].Locators.Locators) != 3 {
		t.Errorf("%+v", r2)
	}
	if n := len(b.only().LocatorsLocal); n != 3 {
		t.Errorf("%d local locators", n)
	}
}

// The source of an R2 becomes a destination, so it must still be among the peer's locators when the R2 is verified.
func TestVerifiedR2ThatNoLongerFits(t *testing.T) {
	w, a, b := established(t, engine.Config{})
	// b has an R1 in hand, loses its context, and is asked for it on its second address.
	r1 := messages[*wire.R1](t, a.send(b.addr(0), a.addr(0), &wire.I1{InitiatorTag: 9}))[0]
	lost := b.only().TagLocal
	b.forget()
	w.lost = func(p engine.SendPacket) bool { return p.Payload[2] == byte(wire.TypeR2) }
	b.handle(engine.UnknownTag{Src: a.addr(1), Dst: b.addr(1), Tag: lost})
	w.settle()
	nonce := messages[*wire.I2bis](t, a.acts)[0].InitNonce
	a.noVerify = true
	slow := pick[engine.Verify](a.send(b.addr(1), a.addr(1), &wire.R2{
		ResponderTag: 5, InitNonce: nonce, Options: wire.Options{PDS: b.locs[0].PDS},
	}))
	// Before that R2 is verified, b tells that it has its first address only.
	i2 := &wire.I2{InitiatorTag: 9, RespNonce: r1.RespNonce, Options: signed(t, "b", 7, b.addr(0))}
	i2.Validator, i2.PDS = r1.Validator, b.locs[0].PDS
	fast := pick[engine.Verify](a.send(b.addr(0), a.addr(0), i2))
	if len(slow) != 1 || len(fast) != 1 {
		t.Fatalf("%d and %d verifications: %s", len(slow), len(fast), reasons(a.acts))
	}
	a.handle(verify(fast[0]))
	silent(t, a.handle(verify(slow[0])), engine.ReasonNotALocator)
}

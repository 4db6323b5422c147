// SPDX-License-Identifier: MIT

package engine_test

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"shim6/daemon/engine"
	"shim6/daemon/wire"
)

// RFC 5533 section 7.10: "it copies the Initiator Nonce from the I1 message to the R1 message, generates a Responder Nonce,
// and calculates a Responder Validator option [...]. No state is created on the host in this case."
func TestR1(t *testing.T) {
	w, a, b, i1, r1, _, _ := exchange(t)
	if r1.Src != i1.Dst || r1.Dst != i1.Src {
		t.Errorf("R1 from %v to %v", r1.Src, r1.Dst)
	}
	if m := parse[*wire.R1](t, r1); m.InitNonce != parse[*wire.I1](t, i1).InitNonce || m.Validator == nil {
		t.Errorf("%+v", m)
	}
	fresh := w.add("c", engine.Config{}, b.locs)
	for i := range 100 {
		w.now = w.now.Add(time.Second)
		m := &wire.I1{InitiatorTag: wire.ContextTag(i + 1), InitNonce: uint32(i)}
		if got := kinds(fresh.send(a.addr(0), b.addr(0), m)); got != "SendPacket" {
			t.Fatal(got)
		}
	}
	w.queue = nil
	if n := len(fresh.e.Contexts()); n != 0 || !fresh.e.Deadline().IsZero() {
		t.Errorf("%d contexts after I1s alone", n)
	}
}

// RFC 5533 section 7.9: "If the Context Tags match, then this probably means that the R2 message was lost and this I1 is a
// retransmission. In this case, the host replies with an R2 message". "If the Context Tags do not match, [...] the host
// replies with an R1 message as specified below. This completes the I1 processing, with the context STATE being unchanged."
func TestI1WhenEstablished(t *testing.T) {
	_, a, b, i1, _, _, _ := exchange(t)
	before := b.only()
	m := parse[*wire.I1](t, i1)
	m.InitNonce = 77
	acts := b.send(i1.Src, i1.Dst, m)
	if r2 := messages[*wire.R2](t, acts); len(r2) != 1 || r2[0].InitNonce != 77 || r2[0].ResponderTag != before.TagLocal {
		t.Errorf("same tag: %s", sent(t, acts))
	}
	m.InitiatorTag++
	if acts := b.send(i1.Src, i1.Dst, m); sent(t, acts) != "R1" || kinds(acts) != "SendPacket" {
		t.Errorf("another tag: %s", kinds(acts))
	}
	// "the host verifies that the locator of the initiator is included in Ls(peer). (This check is unnecessary if there is no
	// ULID-pair option in the I1 message.)"
	m.InitiatorTag--
	m.ULIDs = &wire.ULIDPairOption{Sender: i1.Src, Receiver: i1.Dst}
	if acts := b.send(a.addr(1), b.addr(1), m); sent(t, acts) != "R2" {
		t.Errorf("other locators of the context: %s", kinds(acts))
	}
	if acts := b.send(netip.MustParseAddr("2001:db8:666::1"), b.addr(1), m); sent(t, acts) != "R1" || kinds(acts) != "SendPacket" {
		t.Errorf("foreign source: %s", kinds(acts))
	}
	// RFC 5533 section 7.7: another Forked Instance Identifier is another context.
	m.FII = new(uint32(9))
	if acts := b.send(i1.Src, i1.Dst, m); sent(t, acts) != "R1" {
		t.Errorf("another FII: %s", kinds(acts))
	}
	if d := cmp.Diff(before, b.only(), cmp.Comparer(sameAddr)); d != "" {
		t.Errorf("an I1 changed the context: %s", d)
	}
}

// RFC 5533 section 7.9 has an I1 in I1-SENT, I2-SENT and I2BIS-SENT answered with an R2 wherever it comes from. An R2 is
// long, so here only the peer gets one; others get an R1.
func TestI1FromElsewhereGetsNoR2(t *testing.T) {
	w, a, b := pair(t, engine.Config{})
	w.lost = func(engine.SendPacket) bool { return true }
	a.trigger(b)
	m := &wire.I1{InitiatorTag: 5, InitNonce: 6, Options: wire.Options{
		ULIDs: &wire.ULIDPairOption{Sender: b.addr(0), Receiver: a.addr(0)},
	}}
	if acts := a.send(netip.MustParseAddr("2001:db8:666::1"), a.addr(0), m); sent(t, acts) != "R1" {
		t.Errorf("sent %s", sent(t, acts))
	}
	if acts := a.send(b.addr(0), a.addr(0), m); sent(t, acts) != "R2" {
		t.Errorf("sent %s", sent(t, acts))
	}
}

// What cannot be for a context of ours is dropped before anything is spent on it.
func TestI1ThatCannotBeOurs(t *testing.T) {
	_, a, b := pair(t, engine.Config{})
	foreign := netip.MustParseAddr("2001:db8:666::1")
	option := func(sender, receiver netip.Addr) wire.Options {
		return wire.Options{ULIDs: &wire.ULIDPairOption{Sender: sender, Receiver: receiver}}
	}
	for _, tt := range []struct {
		name     string
		src, dst netip.Addr
		m        *wire.I1
		want     engine.Reason
	}{
		{"zero tag", a.addr(0), b.addr(0), &wire.I1{}, engine.ReasonBadTag},
		{"destination not ours", a.addr(0), foreign, &wire.I1{InitiatorTag: 1}, engine.ReasonNotLocal},
		{"ULID not ours", a.addr(0), b.addr(0), &wire.I1{InitiatorTag: 1, Options: option(a.addr(0), foreign)}, engine.ReasonNotLocal},
		{"ULID of the peer is ours", a.addr(0), b.addr(0), &wire.I1{InitiatorTag: 1, Options: option(b.addr(1), b.addr(0))}, engine.ReasonSelf},
		{"source is ours", b.addr(1), b.addr(0), &wire.I1{InitiatorTag: 1}, engine.ReasonSelf},
		{"multicast ULID", a.addr(0), b.addr(0), &wire.I1{InitiatorTag: 1, Options: option(netip.MustParseAddr("ff0e::1"), b.addr(0))}, engine.ReasonBadAddress},
	} {
		t.Run(tt.name, func(t *testing.T) { silent(t, b.send(tt.src, tt.dst, tt.m), tt.want) })
	}
}

// RFC 5533 section 7.11: "the host looks for an existing context that matches the Initiator Nonce and where the locators are
// contained in Ls(peer) and Ls(local), respectively. If no such context is found, then the R1 message is silently
// discarded." "o In any other STATE (I2-SENT, I2BIS-SENT, ESTABLISHED), [...] this R1 message MUST be silently discarded."
func TestR1ThatIsDropped(t *testing.T) {
	w, a, b := pair(t, engine.Config{})
	a.take()
	w.lost = func(engine.SendPacket) bool { return true }
	a.trigger(b)
	nonce := messages[*wire.I1](t, a.acts)[0].InitNonce
	good := &wire.R1{InitNonce: nonce, RespNonce: 3, Options: wire.Options{Validator: []byte{1, 2, 3}}}
	foreign := netip.MustParseAddr("2001:db8:666::1")
	silent(t, a.send(b.addr(0), a.addr(0), &wire.R1{InitNonce: nonce + 1}), engine.ReasonNoContext)
	silent(t, a.send(foreign, a.addr(0), good), engine.ReasonNoContext)
	silent(t, a.send(b.addr(0), a.addr(1), good), engine.ReasonNoContext)
	// "When the host sends an I2 message, it includes the Responder Validator option that was in the R1 message."
	i2 := messages[*wire.I2](t, a.send(b.addr(0), a.addr(0), good))
	if len(i2) != 1 || !bytes.Equal(i2[0].Validator, good.Validator) || i2[0].RespNonce != 3 || i2[0].InitNonce != nonce {
		t.Fatalf("%+v", i2)
	}
	silent(t, a.send(b.addr(0), a.addr(0), good), engine.ReasonWrongState) // I2-SENT
	w.lost = nil
	_, a, _, _, r1, _, _ := exchange(t)
	silent(t, a.sendRaw(r1.Src, r1.Dst, r1.Payload), engine.ReasonNoContext) // ESTABLISHED: its nonce is forgotten
}

// RFC 5533 section 5.5 makes the validator a MUST in R1 and says nothing about a receiver: the I2 goes without.
func TestR1WithoutValidator(t *testing.T) {
	w, a, b := pair(t, engine.Config{})
	w.lost = func(engine.SendPacket) bool { return true }
	a.trigger(b)
	nonce := messages[*wire.I1](t, a.acts)[0].InitNonce
	i2 := messages[*wire.I2](t, a.send(b.addr(0), a.addr(0), &wire.R1{InitNonce: nonce}))
	if len(i2) != 1 || i2[0].Validator != nil {
		t.Errorf("%+v", i2)
	}
}

// A plain ULID is announced alone, so an exchange for it on another address of the host would make a context whose path the
// peer does not know.
func TestExchangeOnUnannouncedAddress(t *testing.T) {
	w := newWorld(t)
	a := w.add("a", engine.Config{}, plain("2001:db8:a1::1"))
	b := w.add("b", engine.Config{}, plain("2001:db8:b1::1", "2001:db8:b2::1"))
	option := wire.Options{ULIDs: &wire.ULIDPairOption{Sender: a.addr(0), Receiver: b.addr(0)}}
	silent(t, b.send(a.addr(0), b.addr(1), &wire.I1{InitiatorTag: 1, Options: option}), engine.ReasonNotLocal)
	if acts := b.send(a.addr(0), b.addr(0), &wire.I1{InitiatorTag: 1, Options: option}); sent(t, acts) != "R1" {
		t.Errorf("%s", kinds(acts))
	}
}

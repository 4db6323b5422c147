// SPDX-License-Identifier: MIT

package engine_test

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"shim6/daemon/engine"
	"shim6/daemon/reap"
	"shim6/daemon/shim6"
	"shim6/daemon/wire"
)

// forget makes a host lose its context.
func (h *host) forget() {
	h.handle(engine.DeleteContext{Tag: h.only().TagLocal})
	h.take()
}

// RFC 5533 section 7.17: "the receiver is to respond with an R1bis message in order to enable a fast re-establishment of the
// lost Shim6 context." Section 7.18: the other side "leaves CT(peer) unchanged in the context state, transitions to I2BIS-SENT
// STATE, and sends an I2bis message". Section 7.20: the first answers with an R2, having picked "a new random Context Tag".
func TestRecoveryByPayload(t *testing.T) {
	w, a, b := established(t, engine.Config{})
	lost := b.only().TagLocal
	b.forget()
	b.handle(engine.UnknownTag{Src: a.addr(0), Dst: b.addr(0), Tag: lost})
	w.settle()
	agree(t, a, b)
	if b.only().TagLocal == lost {
		t.Error("the old tag was used again")
	}
	if got := sent(t, b.acts); got != "R1bis R2" {
		t.Errorf("b sent %s", got)
	}
	if got := sent(t, a.acts); got != "I2bis" {
		t.Errorf("a sent %s", got)
	}
	var states []shim6.State
	for _, s := range pick[engine.StateChanged](a.acts) {
		states = append(states, s.To)
	}
	if len(states) != 2 || states[0] != shim6.StateI2bisSent || states[1] != shim6.StateEstablished {
		t.Errorf("a went through %v", states)
	}
	if len(pick[engine.RemoveContext](a.acts)) != 0 {
		t.Error("the context left the kernel meanwhile")
	}
}

// RFC 5533 section 7.17: "a host is to respond with an R1bis upon receipt of any control messages that have a message type in
// the range 64-127 [...] where the control message refers to a non-existent context."
func TestRecoveryByControl(t *testing.T) {
	for _, m := range []wire.Message{
		&wire.Keepalive{}, &wire.Probe{Sent: []wire.ProbeReport{{Src: netip.IPv6LinkLocalAllNodes(), Dst: netip.IPv6LinkLocalAllNodes()}}},
		&wire.UpdateRequest{}, &wire.UpdateAck{},
	} {
		w, a, b := established(t, engine.Config{})
		lost := b.only().TagLocal
		b.forget()
		switch m := m.(type) {
		case *wire.Keepalive:
			m.ReceiverTag = lost
		case *wire.Probe:
			m.ReceiverTag = lost
		case *wire.UpdateRequest:
			m.ReceiverTag = lost
		case *wire.UpdateAck:
			m.ReceiverTag = lost
		}
		acts := b.send(a.addr(0), b.addr(0), m)
		r := messages[*wire.R1bis](t, acts)
		if len(r) != 1 || r[0].PacketTag != lost || r[0].Validator == nil || len(b.e.Contexts()) != 0 {
			t.Fatalf("%v: %+v", m.Type(), r)
		}
		w.settle()
		agree(t, a, b)
	}
}

// RFC 5533 section 16.2 counts on recovery while pairs are probed: an R1bis on any pair of the context will do, and the
// pair it came on is the one that works.
func TestRecoveryWhileExploring(t *testing.T) {
	w, a, b := established(t, engine.Config{})
	b.forget()
	dead := func(p engine.SendPacket) bool { return p.Src == a.addr(0) || p.Dst == a.addr(0) }
	w.lost = dead
	a.timeout()
	w.advance(5 * time.Second)
	agree(t, a, b)
	if s := a.only(); dead(engine.SendPacket{Src: s.Current.Local, Dst: s.Current.Peer}) || s.Reap != reap.Operational {
		t.Errorf("%v on %v", s.Reap, s.Current)
	}
	// RFC 5533 section 5.9: "ULID pair: When the IPv6 source and destination addresses [...] does not match the ULID pair, this
	// option MUST be included."
	if m := messages[*wire.I2bis](t, a.acts); len(m) == 0 || m[0].ULIDs == nil || m[0].ULIDs.Sender != a.addr(0) {
		t.Errorf("%+v", m)
	}
	if n := len(pick[engine.PathChanged](a.acts)); n != 1 {
		t.Errorf("%d path changes", n)
	}
}

// The R2 of a recovery may get lost as any other.
func TestRecoverySurvivesLoss(t *testing.T) {
	for _, typ := range []wire.MessageType{wire.TypeI2bis, wire.TypeR2} {
		w, a, b := established(t, engine.Config{})
		lost := b.only().TagLocal
		b.forget()
		once := false
		w.lost = func(p engine.SendPacket) bool {
			if !once && p.Payload[2] == byte(typ) {
				once = true
				return true
			}
			return false
		}
		b.handle(engine.UnknownTag{Src: a.addr(0), Dst: b.addr(0), Tag: lost})
		w.settle()
		w.advance(7 * time.Second)
		agree(t, a, b)
	}
}

// RFC 5533 section 7.19: when nobody answers the I2bis, "the initiator SHOULD fall back to retransmitting the I1 message";
// payload is sent unmodified then, so the kernel lets go.
func TestRecoveryFails(t *testing.T) {
	w, a, b := established(t, engine.Config{})
	lost := b.only().TagLocal
	b.forget()
	w.lost = func(p engine.SendPacket) bool { return p.Src == a.addr(0) }
	b.handle(engine.UnknownTag{Src: a.addr(0), Dst: b.addr(0), Tag: lost})
	w.settle()
	if a.only().State != shim6.StateI2bisSent {
		t.Fatalf("%v", a.only().State)
	}
	a.take()
	w.advance(43 * time.Second)
	acts := a.take()
	if got := len(pick[engine.RemoveContext](acts)); a.only().State != shim6.StateI1Sent || got != 1 {
		t.Errorf("%v, removed %d times", a.only().State, got)
	}
	w.lost = nil
	w.advance(time.Minute)
	agree(t, a, b)
}

// RFC 5533 section 7.18: "If no such context is found, i.e., the STATE is IDLE, then the R1bis message is silently discarded."
// "If the STATE is I1-SENT, I2-SENT, or I2BIS-SENT, then the R1bis message is silently discarded."
func TestR1bisThatIsDropped(t *testing.T) {
	w, a, b := established(t, engine.Config{})
	tag := a.only().TagPeer
	foreign := netip.MustParseAddr("2001:db8:666::1")
	good := &wire.R1bis{PacketTag: tag, RespNonce: 1, Options: wire.Options{Validator: []byte{1}}}
	silent(t, a.send(b.addr(0), a.addr(0), &wire.R1bis{PacketTag: tag + 1}), engine.ReasonNoContext)
	silent(t, a.send(foreign, a.addr(0), good), engine.ReasonNoContext)
	w.lost = func(engine.SendPacket) bool { return true }
	acts := a.send(b.addr(1), a.addr(1), good)
	i2bis := messages[*wire.I2bis](t, acts)
	if len(i2bis) != 1 || i2bis[0].RespNonce != 1 || i2bis[0].PacketTag != tag || !bytes.Equal(i2bis[0].Validator, good.Validator) {
		t.Fatalf("%+v", i2bis)
	}
	// It "is sent using the locator pair included in the R1bis message".
	if p := pick[engine.SendPacket](acts)[0]; p.Src != a.addr(1) || p.Dst != b.addr(1) {
		t.Errorf("from %v to %v", p.Src, p.Dst)
	}
	silent(t, a.send(b.addr(1), a.addr(1), good), engine.ReasonWrongState)
}

// RFC 5533 section 7.20: "the Responder Validator option matches the validator the host would have computed for the locators,
// Responder Nonce, and Receiver Context Tag as part of sending an R1bis message. [...] If any of the above verifications fail,
// then the host silently discards the message".
func TestI2bisWithoutGoodValidator(t *testing.T) {
	w, a, b := established(t, engine.Config{})
	lost := b.only().TagLocal
	b.forget()
	b.handle(engine.UnknownTag{Src: a.addr(0), Dst: b.addr(0), Tag: lost})
	w.queue = nil
	r1bis := messages[*wire.R1bis](t, b.take())[0]
	good := func() *wire.I2bis {
		return &wire.I2bis{InitiatorTag: 5, InitNonce: 6, RespNonce: r1bis.RespNonce, PacketTag: lost,
			Options: wire.Options{Validator: bytes.Clone(r1bis.Validator)}}
	}
	for name, tt := range map[string]struct {
		src    netip.Addr
		change func(m *wire.I2bis)
		want   engine.Reason
	}{
		"none":           {a.addr(0), func(m *wire.I2bis) { m.Validator = nil }, engine.ReasonBadValidator},
		"another tag":    {a.addr(0), func(m *wire.I2bis) { m.PacketTag++ }, engine.ReasonBadValidator},
		"another nonce":  {a.addr(0), func(m *wire.I2bis) { m.RespNonce-- }, engine.ReasonStaleNonce},
		"another source": {a.addr(1), func(m *wire.I2bis) {}, engine.ReasonBadValidator},
		"no own tag":     {a.addr(0), func(m *wire.I2bis) { m.InitiatorTag = 0 }, engine.ReasonBadTag},
	} {
		m := good()
		tt.change(m)
		t.Run(name, func(t *testing.T) { silent(t, b.send(tt.src, b.addr(0), m), tt.want) })
	}
	// The validator of an I2 is none for an I2bis, nor the other way round.
	m := good()
	i2 := &wire.I2{InitiatorTag: lost, InitNonce: 6, RespNonce: m.RespNonce, Options: m.Options}
	silent(t, b.send(a.addr(0), b.addr(0), i2), engine.ReasonBadValidator)
	if acts := b.send(a.addr(0), b.addr(0), good()); sent(t, acts) != "R2" {
		t.Errorf("the good one: %s %s", sent(t, acts), reasons(acts))
	}
	w.queue = nil
	b.forget()
	w.now = w.now.Add(46 * time.Second)
	silent(t, b.send(a.addr(0), b.addr(0), good()), engine.ReasonStaleNonce)
}

// R1bis answers anything; RFC 5533 has no limit, but the answer is not to be of use to a flood.
func TestRecoveryIsLimited(t *testing.T) {
	_, a, b := pair(t, engine.Config{Limits: engine.Limits{RecoveryRate: 10}})
	n := 0
	for i := range 100 {
		n += len(pick[engine.SendPacket](b.send(a.addr(0), b.addr(0), &wire.Keepalive{ReceiverTag: wire.ContextTag(i + 1)})))
	}
	if n != 20 {
		t.Errorf("%d R1bis, want 20", n)
	}
	silent(t, b.handle(engine.UnknownTag{Src: a.addr(0), Dst: b.addr(0), Tag: 5}), engine.ReasonRecoveryRate)
	silent(t, b.handle(engine.UnknownTag{Src: a.addr(0), Dst: b.addr(0)}), engine.ReasonBadTag)
	silent(t, b.handle(engine.UnknownTag{Src: a.addr(0), Dst: a.addr(0), Tag: 5}), engine.ReasonNotLocal)
	silent(t, b.handle(engine.UnknownTag{Src: b.addr(1), Dst: b.addr(0), Tag: 5}), engine.ReasonSelf)
	silent(t, b.handle(engine.UnknownTag{Src: netip.MustParseAddr("ff02::1"), Dst: b.addr(0), Tag: 5}), engine.ReasonBadAddress)
}

// A context that is being recovered while paths are explored does not work before the peer has it again: the kernel, which has
// connections retransmit when a path works, is not told so before.
func TestRecoveryIsNoPath(t *testing.T) {
	w, a, b := established(t, engine.Config{})
	b.forget()
	b.noVerify = true
	a.handle(engine.ProbeContext{Tag: a.only().TagLocal})
	w.settle()
	if s := a.only(); s.State != shim6.StateI2bisSent {
		t.Fatalf("%v", s.State)
	}
	operational := func() (n int) {
		for _, r := range pick[engine.SetReap](a.take()) {
			if r.State == reap.Operational {
				n++
			}
		}
		return n
	}
	if n := operational(); n != 0 {
		t.Errorf("the kernel is told %d times that it works", n)
	}
	for _, v := range pick[engine.Verify](b.take()) {
		b.noVerify = false
		b.handle(verify(v))
	}
	w.settle()
	if agree(t, a, b); operational() == 0 {
		t.Error("the kernel is never told that it works")
	}
}

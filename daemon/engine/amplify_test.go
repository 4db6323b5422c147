// SPDX-License-Identifier: MIT

package engine_test

import (
	"testing"
	"time"

	"shim6/daemon/engine"
	"shim6/daemon/shim6"
	"shim6/daemon/wire"
)

// RFC 5533 section 16: a host must be of no use for flooding others. What comes from an address that is not proved is answered
// by one packet at most, less than three times as long with its IPv6 header, to where it came from; and the next ones of the
// same source are answered ever less.
func TestNothingIsAmplified(t *testing.T) {
	const ipv6 = 40
	_, a, b := established(t, engine.Config{})
	tag := b.only().TagLocal
	stranger := plain("2001:db8:99::1")[0].Addr
	validator := wire.Options{Validator: make([]byte, 32)}
	report := []wire.ProbeReport{{Src: stranger, Dst: b.addr(0), Nonce: 1}}
	unknown := append(marshal(t, &wire.I1{InitiatorTag: 1}), 0x80, 1, 0, 4, 1, 2, 3, 4) // a critical option
	kind := marshal(t, &wire.I1{InitiatorTag: 1})
	kind[2] = 99
	for name, tt := range map[string]struct {
		message []byte
		answer  string
	}{
		"I1":                                 {marshal(t, &wire.I1{InitiatorTag: 1}), "R1"},
		"I1 with the tag of a context":       {marshal(t, &wire.I1{InitiatorTag: b.only().TagPeer}), "R1"},
		"R1":                                 {marshal(t, &wire.R1{InitNonce: 1, Options: validator}), ""},
		"I2":                                 {marshal(t, &wire.I2{InitiatorTag: 1, Options: validator}), ""},
		"R2":                                 {marshal(t, &wire.R2{ResponderTag: 1}), ""},
		"R1bis":                              {marshal(t, &wire.R1bis{PacketTag: b.only().TagPeer, Options: validator}), ""},
		"I2bis":                              {marshal(t, &wire.I2bis{InitiatorTag: 1, PacketTag: tag, Options: validator}), ""},
		"Update Request":                     {marshal(t, &wire.UpdateRequest{ReceiverTag: 1}), "R1bis"},
		"Update Request with a known tag":    {marshal(t, &wire.UpdateRequest{ReceiverTag: tag}), "R1bis"},
		"Update Acknowledgement":             {marshal(t, &wire.UpdateAck{ReceiverTag: 1}), "R1bis"},
		"Keepalive":                          {marshal(t, &wire.Keepalive{ReceiverTag: 1}), "R1bis"},
		"Probe":                              {marshal(t, &wire.Probe{ReceiverTag: 1, State: 1, Sent: report}), "R1bis"},
		"Probe with a known tag":             {marshal(t, &wire.Probe{ReceiverTag: tag, State: 1, Sent: report}), "R1bis"},
		"Error":                              {marshal(t, &wire.ErrorMsg{Code: 2, Packet: kind}), ""},
		"a message with a critical option":   {seal(unknown), "Error"},
		"a message of a type that is no one": {seal(kind), "Error"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, b := established(t, engine.Config{})
			answered := 0
			for range 1000 {
				acts := b.sendRaw(stranger, b.addr(0), tt.message)
				ps := pick[engine.SendPacket](acts)
				if len(ps) == 0 {
					continue
				}
				if answered++; len(ps) > 1 || ps[0].Dst != stranger || ipv6+len(ps[0].Payload) >= 3*(ipv6+len(tt.message)) {
					t.Fatalf("%d octets are answered by %d packets, the first of %d to %v", len(tt.message), len(ps), len(ps[0].Payload), ps[0].Dst)
				}
				if got := sent(t, acts); got != tt.answer {
					t.Fatalf("answered by %q, want %q", got, tt.answer)
				}
			}
			if answered > 200 || (answered == 0) != (tt.answer == "") {
				t.Errorf("%d of 1000 are answered", answered)
			}
		})
	}
	// Payload with an unknown tag: its least length is that of the header.
	acts := b.handle(engine.UnknownTag{Src: a.addr(0), Dst: b.addr(0), Tag: 1})
	if ps := pick[engine.SendPacket](acts); len(ps) != 1 || ps[0].Dst != a.addr(0) || ipv6+len(ps[0].Payload) >= 3*(ipv6+8) {
		t.Errorf("payload is answered by %+v", ps)
	}
}

// RFC 5533 section 7.9 has an I1 in I1-SENT, I2-SENT and I2BIS-SENT answered with an R2, which is long. Who sends I1s in the peer's
// name gets the peer no more than that, and one that is lost is made good by the next.
func TestI1InThePeersNameIsNotAmplified(t *testing.T) {
	const ipv6 = 40
	for _, state := range []shim6.State{shim6.StateI1Sent, shim6.StateI2Sent, shim6.StateI2bisSent} {
		s := newStage(t, state)
		in, out, r2 := 0, 0, 0
		for i := range 1000 {
			s.world.now = s.world.now.Add(time.Millisecond)
			m := marshal(t, &wire.I1{InitiatorTag: wire.ContextTag(i + 1), InitNonce: uint32(i)})
			in += ipv6 + len(m)
			acts := s.a.sendRaw(s.b.addr(0), s.a.addr(0), m)
			r2 += len(messages[*wire.R2](t, acts))
			for _, p := range pick[engine.SendPacket](acts) {
				out += ipv6 + len(p.Payload)
			}
		}
		if out >= 3*in || r2 > 2 {
			t.Errorf("%v: %d octets are answered by %d, with %d R2", state, in, out, r2)
		}
		s.a.take()
		s.world.now = s.world.now.Add(time.Second)
		if acts := s.from(s.b.addr(0), &wire.I1{InitiatorTag: stageTag, InitNonce: 6}); sent(t, acts) != "R2" {
			t.Errorf("%v: a second later sent %q", state, sent(t, acts))
		}
	}
	// The peer itself gets along with an R1.
	w, a, b := pair(t, engine.Config{})
	w.lost = func(engine.SendPacket) bool { return true }
	a.trigger(b)
	a.send(b.addr(0), a.addr(0), &wire.I1{InitiatorTag: 9})
	w.lost = nil
	b.trigger(a)
	w.settle()
	agree(t, a, b)
}

// SPDX-License-Identifier: MIT

package engine_test

import (
	"testing"

	"shim6/daemon/engine"
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

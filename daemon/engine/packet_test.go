// SPDX-License-Identifier: MIT

package engine_test

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"shim6/daemon/engine"
	"shim6/daemon/wire"
)

func marshal(t *testing.T, m wire.Message) []byte {
	t.Helper()
	b, err := wire.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// seal fills in the checksum.
func seal(b []byte) []byte {
	b[1] = byte(len(b)/8 - 1)
	binary.BigEndian.PutUint16(b[4:], wire.Checksum(b))
	return b
}

// RFC 5533 section 12.3: "A shim control message has the Checksum field verified. The Shim Header Length field is also
// verified against the length of the IPv6 packet [...]. Finally, it checks that neither the IPv6 Destination field nor the
// IPv6 Source field is a multicast address or an unspecified address. If any of those checks fail, the packet is silently
// dropped."
func TestPacketThatIsDropped(t *testing.T) {
	_, a, b := pair(t, engine.Config{})
	good := marshal(t, &wire.I1{InitiatorTag: 1})
	checksum := bytes.Clone(good)
	checksum[4] ^= 1
	long := bytes.Clone(good)
	long[1]++
	payload, _ := wire.PayloadHeader{NextHeader: 6, Tag: 1}.Marshal()
	for _, tt := range []struct {
		name     string
		src, dst netip.Addr
		b        []byte
		want     engine.Reason
	}{
		{"checksum", a.addr(0), b.addr(0), checksum, engine.Reason(wire.ReasonBadChecksum)},
		{"length", a.addr(0), b.addr(0), long, engine.Reason(wire.ReasonTruncated)},
		{"nothing", a.addr(0), b.addr(0), nil, engine.Reason(wire.ReasonTruncated)},
		{"payload", a.addr(0), b.addr(0), payload, engine.Reason(wire.ReasonNotControl)},
		{"multicast source", netip.MustParseAddr("ff02::1"), b.addr(0), good, engine.ReasonBadAddress},
		{"unspecified source", netip.IPv6Unspecified(), b.addr(0), good, engine.ReasonBadAddress},
		{"multicast destination", a.addr(0), netip.MustParseAddr("ff02::1"), good, engine.ReasonBadAddress},
		{"unspecified destination", a.addr(0), netip.IPv6Unspecified(), good, engine.ReasonBadAddress},
		{"no addresses", netip.Addr{}, netip.Addr{}, good, engine.ReasonBadAddress},
		{"link-local source", netip.MustParseAddr("fe80::1"), b.addr(0), good, engine.ReasonBadAddress},
		{"IPv4 source", netip.MustParseAddr("192.0.2.1"), b.addr(0), good, engine.ReasonBadAddress},
	} {
		t.Run(tt.name, func(t *testing.T) { silent(t, b.sendRaw(tt.src, tt.dst, tt.b), tt.want) })
	}
}

// errorFor gives the one Error that a host answers with.
func errorFor(t *testing.T, h *host, src, dst netip.Addr, b []byte) *wire.ErrorMsg {
	t.Helper()
	acts := h.sendRaw(src, dst, b)
	es := messages[*wire.ErrorMsg](t, acts)
	if len(es) != 1 || kinds(acts) != "Dropped SendPacket" {
		t.Fatalf("%s: %+v", kinds(acts), es)
	}
	if p := pick[engine.SendPacket](acts)[0]; p.Src != dst || p.Dst != src {
		t.Errorf("Error from %v to %v", p.Src, p.Dst)
	}
	return es[0]
}

// RFC 5533 section 12.3: "If the packet contains a shim message type that is unknown to the receiver, then a Shim6 Error
// message with Error Code=0 is generated and sent back. The Pointer field is set to point at the first octet of the shim
// message type." "If there is any option in the message with C=1 that isn't known to the host, then the host MUST send a
// Shim6 Error message with Error Code=1 with the Pointer field referencing the first octet of the Option Type."
func TestErrors(t *testing.T) {
	_, a, b := pair(t, engine.Config{})
	unknown := marshal(t, &wire.Keepalive{ReceiverTag: 1})
	unknown[2] = 69
	seal(unknown)
	e := errorFor(t, b, a.addr(0), b.addr(0), unknown)
	if e.Code != wire.CodeUnknownMessageType || e.Pointer != 42 {
		t.Errorf("%+v", e)
	}
	// RFC 5533 section 5.14: "Packet in error: As much of invoking packet as possible"; its IPv6 header comes first.
	src, dst := a.addr(0).As16(), b.addr(0).As16()
	want := append([]byte{0x60, 0, 0, 0, 0, 16, 140, 64}, src[:]...)
	want = append(append(want, dst[:]...), unknown...)
	if !bytes.Equal(e.Packet, want) {
		t.Errorf("quoted %x\nwant   %x", e.Packet, want)
	}

	critical := seal(append(marshal(t, &wire.I1{InitiatorTag: 1}), 0x80, 0x01, 0, 4, 1, 2, 3, 4))
	if e := errorFor(t, b, a.addr(0), b.addr(0), critical); e.Code != wire.CodeUnknownCriticalOption || e.Pointer != 56 {
		t.Errorf("%+v", e)
	}
	// C=0: "the option is silently ignored, and the rest of the message is processed" (section 5.15).
	critical[17] = 0
	if acts := b.sendRaw(a.addr(0), b.addr(0), seal(critical)); sent(t, acts) != "R1" {
		t.Errorf("sent %s", sent(t, acts))
	}
}

// The Error packet stays within 1280 octets, and the quoted one too.
func TestErrorAboutALongPacket(t *testing.T) {
	_, a, b := pair(t, engine.Config{})
	long := make([]byte, 2048)
	long[2] = 69
	e := errorFor(t, b, a.addr(0), b.addr(0), seal(long))
	if len(e.Packet) != wire.MaxControl-8 {
		t.Errorf("quotes %d octets", len(e.Packet))
	}
}

// Error messages are never answered: RFC 5533 gives no reaction to them, and two hosts could go on for ever.
func TestErrorIsNeverAnswered(t *testing.T) {
	w, a, b := established(t, engine.Config{})
	keepalive := marshal(t, &wire.Keepalive{ReceiverTag: b.only().TagPeer})
	quoted := append(make([]byte, 40), keepalive...)
	for code := range wire.ErrorCode(128) {
		silent(t, b.send(a.addr(0), b.addr(0), &wire.ErrorMsg{Code: code, Packet: quoted}), engine.ReasonErrorMsg)
		w.now = w.now.Add(time.Second)
	}
	short := seal([]byte{59, 0, 68, 0, 0, 0, 0, 0})
	if acts := b.sendRaw(a.addr(0), b.addr(0), short); sent(t, acts) != "" {
		t.Errorf("sent %s", sent(t, acts))
	}
}

func TestErrorsAreLimited(t *testing.T) {
	w, a, b := pair(t, engine.Config{Limits: engine.Limits{ErrorRate: 5}})
	unknown := marshal(t, &wire.Keepalive{ReceiverTag: 1})
	unknown[2] = 69
	seal(unknown)
	flood := func(src netip.Addr) (n int) {
		for range 1000 {
			n += len(pick[engine.SendPacket](b.sendRaw(src, b.addr(0), unknown)))
		}
		return n
	}
	if n := flood(a.addr(0)); n != 10 {
		t.Errorf("%d errors at once, want 10", n)
	}
	// Another address of the same /64 is the same source; another /64 is not.
	neighbour := a.addr(0).Next()
	if n := flood(neighbour); n != 0 {
		t.Errorf("%d errors for a neighbour", n)
	}
	if n := flood(netip.MustParseAddr("2001:db8:77::1")); n != 10 {
		t.Errorf("%d errors for somebody else, want 10", n)
	}
	w.now = w.now.Add(time.Second)
	if n := flood(a.addr(0)); n != 5 {
		t.Errorf("%d errors a second later, want 5", n)
	}
	w.now = w.now.Add(time.Hour)
	if n := flood(a.addr(0)); n != 10 {
		t.Errorf("%d errors an hour later, want 10", n)
	}
}

// RFC 5533 section 5.1: a message never is longer than 1280 octets with its IPv6 header, whoever asks for it.
func TestAnswersAreShort(t *testing.T) {
	_, a, b := pair(t, engine.Config{})
	for _, n := range []int{16, 64, 1024} {
		m := marshal(t, &wire.I1{InitiatorTag: 1})
		for len(m) < n {
			m = append(m, 0x80, 0, 0, 4, 1, 2, 3, 4)
		}
		r1 := pick[engine.SendPacket](b.sendRaw(a.addr(0), b.addr(0), seal(m)))[0]
		if len(r1.Payload) != 56 {
			t.Errorf("I1 of %d octets, R1 of %d", n, len(r1.Payload))
		}
	}
}

func TestCounters(t *testing.T) {
	_, a, b := pair(t, engine.Config{})
	for range 3 {
		b.send(a.addr(0), b.addr(0), &wire.I1{InitiatorTag: 1})
	}
	b.send(a.addr(0), b.addr(0), &wire.I1{})
	c := b.e.Counters()
	if c.Received[wire.TypeI1] != 4 || c.Sent[wire.TypeR1] != 3 || c.Dropped[engine.ReasonBadTag] != 1 {
		t.Errorf("%+v", c)
	}
	c.Sent[wire.TypeR1] = 99
	if b.e.Counters().Sent[wire.TypeR1] != 3 {
		t.Error("the caller can change the counters")
	}
}

func TestReasonsAreNamedOnce(t *testing.T) {
	seen := map[engine.Reason]bool{}
	for _, r := range engine.Reasons() {
		if r.String() == "" || seen[r] {
			t.Errorf("reason %q again", r)
		}
		seen[r] = true
	}
}

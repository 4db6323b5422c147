// SPDX-License-Identifier: MIT

package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"shim6/daemon/wire"
)

// refused parses b and returns its error.
func refused(t testing.TB, b []byte) *wire.ParseError {
	t.Helper()
	m, err := wire.Parse(b)
	var pe *wire.ParseError
	if !errors.As(err, &pe) {
		t.Fatalf("Parse(%x) = %v, %v, want a ParseError", b, m, err)
	}
	if m != nil {
		t.Errorf("message %v beside error %v", m, err)
	}
	if pe.Error() == "" || pe.Detail == "" {
		t.Errorf("error without words: %+v", pe)
	}
	return pe
}

// dropped asserts that b is refused for this reason and without an answer.
func dropped(t testing.TB, b []byte, want wire.Reason) {
	t.Helper()
	if pe := refused(t, b); pe.Reason != want || pe.Reply {
		t.Errorf("Parse(%x): %+v, want a silent %s", b, pe, want)
	}
}

// accepted parses b and asserts that the outcome is want.
func accepted(t testing.TB, b []byte, want wire.Message) {
	t.Helper()
	got, err := wire.Parse(b)
	if err != nil {
		t.Fatalf("Parse(%x): %v", b, err)
	}
	if diff := cmp.Diff(want, got, same()); diff != "" {
		t.Errorf("Parse(%x) (-want +got):\n%s", b, diff)
	}
}

// fix makes Hdr Ext Len and checksum right for the whole of b.
func fix(b []byte) []byte {
	b[1] = byte(len(b)/8 - 1)
	return sign(b)
}

// sign makes the checksum right for the header that Hdr Ext Len tells.
func sign(b []byte) []byte {
	h := b[:min(len(b), (int(b[1])+1)*8)]
	binary.BigEndian.PutUint16(b[4:], wire.Checksum(h))
	return b
}

// RFC 5533 section 12.3: "A shim control message has the Checksum field verified. [...] If any of those checks fail, the
// packet is silently dropped."
func TestWrongChecksumIsDropped(t *testing.T) {
	for name := range messages {
		good := load(t, name)
		for i := range good {
			for bit := range 8 {
				switch {
				case i == 1, i == 2 && bit == 7, i == 3 && bit == 0:
					continue // length, P and S are looked at before
				}
				b := bytes.Clone(good)
				b[i] ^= 1 << bit
				dropped(t, b, wire.ReasonBadChecksum)
			}
		}
	}
}

// RFC 5533 section 5.3: "Note that, unlike protocols like ICMPv6, there is no pseudo-header checksum part of the
// checksum".
func TestChecksumWithPseudoHeaderIsDropped(t *testing.T) {
	b := load(t, "i1")
	pseudo := append(append(append([]byte{}, a1.AsSlice()...), b1.AsSlice()...), 0, 0, 0, byte(len(b)), 0, 0, 0, wire.Protocol)
	b[4], b[5] = 0, 0
	var s uint32
	for w := append(pseudo, b...); len(w) > 0; w = w[2:] {
		s += uint32(binary.BigEndian.Uint16(w))
	}
	s = s&0xffff + s>>16
	binary.BigEndian.PutUint16(b[4:], ^uint16(s+s>>16))
	dropped(t, b, wire.ReasonBadChecksum)
}

// RFC 5533 section 5.3: "The checksum is the 16-bit one's complement of the one's complement sum of the entire Shim6
// header message".
func TestChecksum(t *testing.T) {
	for _, tt := range []struct {
		b    []byte
		want uint16
	}{
		{nil, 0xffff},
		{make([]byte, 8), 0xffff},
		{[]byte{0, 0, 0, 0, 0xab, 0xcd}, 0xffff},                // the field itself counts as zero
		{[]byte{0xff, 0xff, 0, 1, 0x12, 0x34, 0, 0}, 0xfffe},    // carry
		{[]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0xff, 0xff}, 0},   // all ones
		{[]byte{0x12, 0x34, 0, 0, 0, 0, 0x56}, ^uint16(0x6834)}, // odd: a zero octet follows
		{[]byte{0x12}, ^uint16(0x1200)},
	} {
		if got := wire.Checksum(tt.b); got != tt.want {
			t.Errorf("Checksum(%x) = %04x, want %04x", tt.b, got, tt.want)
		}
	}
	for name := range messages {
		b := load(t, name)
		if got, want := wire.Checksum(b), binary.BigEndian.Uint16(b[4:]); got != want {
			t.Errorf("%s: checksum %04x, want %04x", name, got, want)
		}
	}
}

// RFC 5533 section 12.3: "The Shim Header Length field is also verified against the length of the IPv6 packet to make
// sure that the shim message doesn't claim to end past the end of the IPv6 packet."
func TestHeaderPastTheEndIsDropped(t *testing.T) {
	b := load(t, "i1")
	b[1] = 2
	dropped(t, b, wire.ReasonTruncated)
	dropped(t, sign(b), wire.ReasonTruncated)
	for n := range 8 {
		dropped(t, load(t, "i1")[:n], wire.ReasonTruncated)
	}
	dropped(t, nil, wire.ReasonTruncated)
}

// RFC 5533 section 5.3: "Thus, when there is a payload following the Shim6 header, the payload is NOT included in the
// Shim6 checksum."
func TestDataBehindTheHeaderIsIgnored(t *testing.T) {
	for name, want := range messages {
		accepted(t, append(load(t, name), "what follows"...), want)
	}
	b := load(t, "i1")
	b[0] = 6
	accepted(t, append(sign(b), 1, 2, 3), messages["i1"])
}

// RFC 5533 section 12.3: "If the packet contains a shim message type that is unknown to the receiver, then a Shim6 Error
// message with Error Code=0 is generated and sent back. The Pointer field is set to point at the first octet of the shim
// message type."
func TestUnknownTypeIsAnswered(t *testing.T) {
	known := map[byte]bool{1: true, 2: true, 3: true, 4: true, 5: true, 6: true, 64: true, 65: true, 66: true, 67: true, 68: true}
	for typ := range byte(128) {
		b := load(t, "i1")
		b[2] = typ
		for _, b := range [][]byte{sign(b), fix(b[:8])} {
			if known[typ] {
				if _, err := wire.Parse(b); err != nil {
					if pe := refused(t, b); pe.Reply {
						t.Errorf("type %d: %+v", typ, pe)
					}
				}
				continue
			}
			pe := refused(t, b)
			if pe.Reason != wire.ReasonUnknownType || !pe.Reply || pe.Code != 0 || pe.Pointer != 2 {
				t.Errorf("type %d: %+v", typ, pe)
			}
		}
	}
}

// RFC 5533 section 5.3: "S: A single bit set to zero that allows Shim6 and HIP to have a common header format yet still
// distinguishes between Shim6 and HIP messages."
func TestHIPIsDropped(t *testing.T) {
	for name := range messages {
		b := load(t, name)
		b[3] |= 1
		dropped(t, b, wire.ReasonHIP)
		dropped(t, sign(b), wire.ReasonHIP)
	}
	b := load(t, "i1")
	b[2], b[3] = 100, 1
	dropped(t, sign(b), wire.ReasonHIP)
}

// RFC 5533 section 5.2: "P: Set to one. A single bit to distinguish this from the Shim6 control messages."
func TestPayloadHeader(t *testing.T) {
	b := load(t, "payload")
	want := wire.PayloadHeader{NextHeader: 6, Tag: tagResp}
	if wire.IsControl(b) {
		t.Error("a payload extension header taken for a control message")
	}
	got, err := wire.ParsePayloadHeader(append(bytes.Clone(b), "tcp"...))
	if err != nil || got != want {
		t.Errorf("ParsePayloadHeader = %v, %v, want %v", got, err, want)
	}
	out, err := want.Marshal()
	if err != nil || !bytes.Equal(out, b) {
		t.Errorf("Marshal = %x, %v, want %x", out, err, b)
	}
	dropped(t, b, wire.ReasonNotControl)

	if _, err := (wire.PayloadHeader{Tag: 1 << 47}).Marshal(); err == nil {
		t.Error("a tag of 48 bits marshals")
	}
	all := wire.PayloadHeader{NextHeader: 255, Tag: 1<<47 - 1}
	if out, err := all.Marshal(); err != nil || !bytes.Equal(out, []byte{255, 0, 255, 255, 255, 255, 255, 255}) {
		t.Errorf("Marshal(%v) = %x, %v", all, out, err)
	}
}

func TestBadPayloadHeader(t *testing.T) {
	long := load(t, "payload")
	long[1] = 1
	for _, tt := range []struct {
		b    []byte
		want wire.Reason
	}{
		{nil, wire.ReasonTruncated},
		{load(t, "payload")[:7], wire.ReasonTruncated},
		{load(t, "i1"), wire.ReasonNotPayload},
		{long, wire.ReasonBadLength}, // RFC 5533 section 5.2: "Hdr Ext Len: 0 (since the header is 8 octets)."
	} {
		_, err := wire.ParsePayloadHeader(tt.b)
		var pe *wire.ParseError
		if !errors.As(err, &pe) || pe.Reason != tt.want || pe.Reply {
			t.Errorf("ParsePayloadHeader(%x): %v, want a silent %s", tt.b, err, tt.want)
		}
	}
}

func TestIsControl(t *testing.T) {
	if !wire.IsControl(load(t, "keepalive")) || wire.IsControl([]byte{59, 0}) || wire.IsControl(nil) {
		t.Error("the P bit is misread")
	}
}

func TestContextTag(t *testing.T) {
	for _, tt := range []struct {
		tag   wire.ContextTag
		valid bool
		s     string
	}{
		{0, false, "000000000000"},
		{1, true, "000000000001"},
		{1<<47 - 1, true, "7fffffffffff"},
		{1 << 47, false, "800000000000"},
	} {
		if tt.tag.Valid() != tt.valid || tt.tag.String() != tt.s {
			t.Errorf("tag %x: %v %s, want %v %s", uint64(tt.tag), tt.tag.Valid(), tt.tag, tt.valid, tt.s)
		}
	}
}

func TestNames(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{wire.TypeI2bis.String(), "I2bis"},
		{wire.MessageType(7).String(), "type 7"},
		{wire.VerifyHBA.String(), "HBA"},
		{wire.VerifyCGA.String(), "CGA"},
		{wire.VerificationMethod(3).String(), "method 3"},
		{wire.CodeVerificationFailed.String(), "locator verification method failed"},
		{wire.ErrorCode(120).String(), "code 120"},
		{wire.ReasonHIP.String(), "hip"},
	} {
		if tt.got != tt.want {
			t.Errorf("%q, want %q", tt.got, tt.want)
		}
	}
	seen := map[wire.Reason]bool{}
	for _, r := range wire.AllReasons {
		if r == "" || seen[r] {
			t.Errorf("reason %q is empty or listed twice", r)
		}
		seen[r] = true
	}
}

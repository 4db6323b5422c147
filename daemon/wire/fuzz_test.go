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

// FuzzParse holds three things against any input: Parse gives a message or a ParseError; what was parsed, marshalled and
// parsed again is the same; and it is the same octets where the input was as a sender has to make it.
func FuzzParse(f *testing.F) {
	for name := range messages {
		f.Add(load(f, name))
	}
	f.Add(load(f, "payload"))
	f.Fuzz(func(t *testing.T, b []byte) {
		roundTrip(t, b)
		if len(b) >= 8 {
			b = bytes.Clone(b)
			b[1] = min(b[1], byte(min(len(b)/8-1, 255)))
			roundTrip(t, sign(b))
		}
	})
}

func roundTrip(t *testing.T, b []byte) {
	buf := bytes.Clone(b)
	m, err := wire.Parse(buf)
	if err != nil {
		var pe *wire.ParseError
		if !errors.As(err, &pe) || m != nil || pe.Pointer < 0 || pe.Pointer > len(b) {
			t.Fatalf("Parse(%x) = %v, %v", b, m, err)
		}
		if pe.Reply && pe.Code != wire.CodeUnknownMessageType && pe.Code != wire.CodeUnknownCriticalOption {
			t.Fatalf("Parse(%x): answered with code %d", b, pe.Code)
		}
		return
	}
	clear(buf)
	b = b[:(int(b[1])+1)*8]
	out, err := wire.Marshal(m)
	if err != nil {
		if len(b) > wire.MaxControl {
			return
		}
		t.Fatalf("Marshal(Parse(%x)): %v", b, err)
	}
	if len(out) > len(b) {
		t.Fatalf("%x grew to %x", b, out)
	}
	if e, ok := m.(*wire.ErrorMsg); ok {
		e.Packet = e.Packet[:min(len(e.Packet), wire.MaxControl-8)]
	}
	again, err := wire.Parse(out)
	if err != nil {
		t.Fatalf("Parse(%x), which was %x: %v", out, b, err)
	}
	if diff := cmp.Diff(m, again, same()); diff != "" {
		t.Fatalf("%x came back as %x (-first +second):\n%s", b, out, diff)
	}
	if len(b) <= wire.MaxControl && canonical(b) && !bytes.Equal(out, b) {
		t.Fatalf("%x came back as %x", b, out)
	}
}

// canonical tells whether the valid message b has reserved bits and padding zero, and its options known, without C bit
// and in the order of Marshal.
func canonical(b []byte) bool {
	typ := wire.MessageType(b[2])
	if b[0] != 59 || binary.BigEndian.Uint16(b[4:]) != wire.Checksum(b) {
		return false
	}
	if typ == wire.TypeError {
		return true
	}
	first := 16
	reserved := []int{}
	switch typ {
	case wire.TypeR1:
		reserved = []int{6, 7}
	case wire.TypeI2:
		first, reserved = 24, []int{20, 21, 22, 23}
	case wire.TypeI2bis:
		first, reserved = 32, []int{20, 21, 22, 23, 24, 25}
		if b[26]&0x80 != 0 {
			return false
		}
	case wire.TypeKeepalive:
		reserved = []int{12, 13, 14, 15}
	case wire.TypeProbe:
		first, reserved = 16+40*int(b[12]>>4+b[12]&15), []int{14, 15}
		if b[13]&0x3f != 0 {
			return false
		}
	}
	for _, i := range reserved {
		if b[i] != 0 {
			return false
		}
	}
	if b[3] != 0 || typ != wire.TypeR1 && b[6]&0x80 != 0 {
		return false
	}
	return canonicalOptions(typ, b[first:])
}

func canonicalOptions(typ wire.MessageType, b []byte) bool {
	order := []string{
		"Responder Validator", "ULID Pair", "Forked Instance Identifier", "Locator List", "Locator Preferences", "CGA PDS",
		"CGA Signature", "Keepalive Timeout",
	}
	wireType := []uint16{0x02, 0x0c, 0x0e, 0x04, 0x06, 0x08, 0x0a, 0x14}
	rank := 0
	for _, o := range options(b, 0) {
		for rank < len(order) && wireType[rank] != binary.BigEndian.Uint16(o) {
			rank++
		}
		if rank == len(order) || !listed(typ, order[rank]) {
			return false
		}
		end := 4 + int(binary.BigEndian.Uint16(o[2:]))
		zero := append([]byte{}, o[end:]...)
		switch order[rank] {
		case "ULID Pair":
			zero = append(zero, o[4:8]...)
		case "Keepalive Timeout":
			zero = append(zero, o[4:6]...)
		case "Locator List":
			n := int(o[8])
			zero = append(zero, o[9+n:end-16*n]...)
		case "Locator Preferences":
			if size := int(o[8]); end > 9 && (size == 0 || (end-9)%size != 0) {
				return false
			}
		}
		if len(bytes.Trim(zero, "\x00")) > 0 {
			return false
		}
		rank++
	}
	return true
}

func TestVectorsAreCanonical(t *testing.T) {
	for name := range messages {
		if !canonical(load(t, name)) {
			t.Errorf("%s is not canonical", name)
		}
	}
}

// SPDX-License-Identifier: MIT

package wire_test

import (
	"bytes"
	"testing"

	"shim6/daemon/wire"
)

// RFC 5533 section 5.14: "Packet in error: As much of invoking packet as possible without the Error message packet
// exceeding the minimum IPv6 MTU."
func TestPacketInErrorIsCut(t *testing.T) {
	for _, tt := range []struct{ n, want int }{
		{8, 8}, {15, 8}, {56, 56}, {61, 56}, {1232, 1232}, {1233, 1232}, {65575, 1232},
	} {
		packet := octets(0, tt.n)
		b, err := wire.Marshal(&wire.ErrorMsg{Code: 127, Pointer: 65535, Packet: packet})
		if err != nil {
			t.Fatal(err)
		}
		if len(b) != 8+tt.want || len(b) > wire.MaxControl {
			t.Errorf("packet of %d octets makes a message of %d", tt.n, len(b))
		}
		accepted(t, b, &wire.ErrorMsg{Code: 127, Pointer: 65535, Packet: packet[:tt.want]})
	}
}

// RFC 5533 section 5.14: the message has a packet in error where others have options, so nothing in it is critical.
func TestErrorIsNeverAnswered(t *testing.T) {
	b := bytes.Repeat([]byte{0xff}, 64)
	copy(b, []byte{59, 0, byte(wire.TypeError), 0xfe})
	accepted(t, fix(b), &wire.ErrorMsg{Code: 127, Pointer: 65535, Packet: bytes.Repeat([]byte{0xff}, 56)})
	for n := 8; n <= 64; n += 8 {
		if _, err := wire.Parse(fix(b[:n])); err != nil && refused(t, fix(b[:n])).Reply {
			t.Errorf("error message of %d octets asks for an answer", n)
		}
	}
}

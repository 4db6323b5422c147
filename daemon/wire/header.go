// SPDX-License-Identifier: MIT

// Package wire is the codec of Shim6 messages and options (RFC 5533, RFC 5534). It holds no state and reads no clock.
package wire

import (
	"encoding/binary"
	"fmt"
)

const (
	// Protocol is the IPv6 Next Header number of Shim6.
	Protocol = 140
	// MaxControl is the most octets that Marshal gives a control message: 1280 less the IPv6 header (RFC 5533 section 5.1).
	MaxControl = 1240
)

const (
	noNextHeader = 59
	headerLen    = 8 // the least a Shim6 header has, and the unit of Hdr Ext Len
	payloadBit   = 0x80
	hipBit       = 0x01
	maxTag       = 1<<47 - 1
)

var be = binary.BigEndian

// A ContextTag names a context at the host that allocated it. It has 47 bits.
type ContextTag uint64

// String gives the tag as 12 hexadecimal digits.
func (t ContextTag) String() string { return fmt.Sprintf("%012x", uint64(t)) }

// Valid tells whether the tag can name a context: 0 < t < 1<<47.
func (t ContextTag) Valid() bool { return t > 0 && t <= maxTag }

// tagAt reads the low 47 bits of the six octets at off; the bit in front of them is reserved.
func tagAt(b []byte, off int) ContextTag {
	return ContextTag(uint64(be.Uint16(b[off:]))<<32|uint64(be.Uint32(b[off+2:]))) & maxTag
}

// A MessageType is the 7-bit type of a control message (RFC 5533 section 5.3).
type MessageType uint8

// The message types of RFC 5533 and RFC 5534.
const (
	TypeI1            MessageType = 1
	TypeR1            MessageType = 2
	TypeI2            MessageType = 3
	TypeR2            MessageType = 4
	TypeR1bis         MessageType = 5
	TypeI2bis         MessageType = 6
	TypeUpdateRequest MessageType = 64
	TypeUpdateAck     MessageType = 65
	TypeKeepalive     MessageType = 66
	TypeProbe         MessageType = 67
	TypeError         MessageType = 68
)

// String gives the name that the RFC uses, without blanks, or "type N".
func (t MessageType) String() string {
	if l, ok := layouts[t]; ok {
		return l.name
	}
	return fmt.Sprintf("type %d", uint8(t))
}

// IsControl tells whether b, starting at the Shim6 header, is a control message, not a Payload Extension Header.
func IsControl(b []byte) bool { return len(b) > 2 && b[2]&payloadBit == 0 }

// Checksum is the Internet checksum over b with the checksum field, octets 4 and 5, taken as zero. There is no
// pseudo-header; b is the Shim6 header alone, as long as Hdr Ext Len says (RFC 5533 section 5.3).
func Checksum(b []byte) uint16 {
	if len(b) < 6 {
		return ^sum(b[:min(len(b), 4)])
	}
	return ^fold(uint32(sum(b[:4])) + uint32(sum(b[6:])))
}

// sum is the one's complement sum of b's 16-bit words.
func sum(b []byte) uint16 {
	var s uint32
	for ; len(b) > 1; b = b[2:] {
		s += uint32(be.Uint16(b))
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
	}
	return fold(s)
}

func fold(s uint32) uint16 {
	for s > 0xffff {
		s = s&0xffff + s>>16
	}
	return uint16(s)
}

// A PayloadHeader is the Payload Extension Header in front of a rewritten packet's payload (RFC 5533 section 5.2).
type PayloadHeader struct {
	NextHeader uint8
	Tag        ContextTag // the receiver's
}

// ParsePayloadHeader reads the 8-octet header at the start of b. An error is a *ParseError.
func ParsePayloadHeader(b []byte) (PayloadHeader, error) {
	switch {
	case len(b) < headerLen:
		return PayloadHeader{}, silent(ReasonTruncated, 0, "%d octets", len(b))
	case b[2]&payloadBit == 0:
		return PayloadHeader{}, silent(ReasonNotPayload, 2, "P bit is 0")
	case b[1] != 0:
		return PayloadHeader{}, silent(ReasonBadLength, 1, "header length %d in a payload extension header", b[1])
	}
	return PayloadHeader{NextHeader: b[0], Tag: tagAt(b, 2)}, nil
}

// Marshal gives the 8 octets of the header. It fails for a tag of more than 47 bits.
func (h PayloadHeader) Marshal() ([]byte, error) {
	e := encoder{b: []byte{h.NextHeader, 0}}
	e.tag("receiver context tag", h.Tag)
	if e.err != nil {
		return nil, fmt.Errorf("marshal payload extension header: %w", e.err)
	}
	e.b[2] |= payloadBit
	return e.b, nil
}

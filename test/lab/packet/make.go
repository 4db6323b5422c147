// SPDX-License-Identifier: MIT

package packet

import (
	"encoding/binary"
	"net/netip"
)

// A Header is an extension header to come; the octets are all but the Next Header field.
type Header struct {
	Kind uint8
	Rest []byte
}

// Payload is a Payload Extension Header (RFC 5533 section 5.2).
func Payload(tag uint64) Header {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], tag&tagMask|pBit<<40)
	return Header{Shim6, b[1:]}
}

// FragmentOf is a Fragment header; offset is in octets, of which eight make one unit.
func FragmentOf(id uint32, offset int, more bool) Header {
	word := uint16(offset)
	if more {
		word |= 1
	}
	b := binary.BigEndian.AppendUint16([]byte{0}, word)
	return Header{Fragment, binary.BigEndian.AppendUint32(b, id)}
}

// Options is an options header of 8 times units octets with one option, which who does not know it is to skip (RFC 4727).
func Options(kind uint8, units int) Header {
	const experimental = 0x1e
	b := make([]byte, units*8-1)
	b[0] = byte(units - 1)
	b[1], b[2] = experimental, byte(len(b)-3)
	return Header{kind, b}
}

// RoutingDone is a routing header of a type that nobody knows, with no segment left: to be ignored (RFC 8200 section 4.4).
func RoutingDone() Header { return Header{Routing, []byte{0, 252, 0, 0, 0, 0, 0}} }

// Make makes a packet of hop limit 64 from addresses, extension headers in their order, and what follows them.
func Make(src, dst netip.Addr, upper uint8, payload []byte, headers ...Header) []byte {
	b := make([]byte, headerLen)
	b[0], b[7] = 6<<4, 64
	from, to := src.As16(), dst.As16()
	copy(b[offSrc:], from[:])
	copy(b[offDst:], to[:])
	next := offNext
	for _, h := range headers {
		b[next] = h.Kind
		next = len(b)
		b = append(append(b, 0), h.Rest...)
	}
	b[next] = upper
	b = append(b, payload...)
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)-headerLen))
	return b
}

// Datagram is a UDP header with a checksum over the addresses, and data.
func Datagram(src, dst netip.AddrPort, data []byte) []byte {
	b := make([]byte, 8, 8+len(data))
	binary.BigEndian.PutUint16(b, src.Port())
	binary.BigEndian.PutUint16(b[2:], dst.Port())
	binary.BigEndian.PutUint16(b[4:], uint16(8+len(data)))
	b = append(b, data...)
	binary.BigEndian.PutUint16(b[6:], Sum(src.Addr(), dst.Addr(), UDP, b))
	return b
}

// ICMP is an ICMPv6 message with its checksum; word is what follows that, body the rest.
func ICMP(src, dst netip.Addr, kind, code uint8, word uint32, body []byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte{kind, code, 0, 0}, word)
	b = append(b, body...)
	binary.BigEndian.PutUint16(b[2:], Sum(src, dst, ICMPv6, b))
	return b
}

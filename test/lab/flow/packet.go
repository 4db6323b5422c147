// SPDX-License-Identifier: MIT

// Package flow finds out from a capture at the receiver how a TCP transfer went.
package flow

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// Protocol numbers and flag bits that occur in the headers.
const (
	protocolTCP    = 6
	protocolICMPv6 = 58
	protocolShim6  = 140
	pBit           = 0x80 // RFC 5533 section 5.1
	flagSYN        = 0x02
)

// A Packet is what the headers of an IPv6 packet say.
type Packet struct {
	Time     time.Time
	Src, Dst netip.Addr
	// Tag is the context tag of a Payload Extension Header, zero without one (RFC 5533 section 5.1).
	Tag uint64
	// Control is the type of a Shim6 control message, zero for other packets (RFC 5533 section 5.3).
	Control uint8
	// ICMPError is the type of an ICMPv6 error, zero for other packets.
	ICMPError        uint8
	TCP              bool
	SrcPort, DstPort uint16
	SYN              bool
	Seq              uint32
	Data             int // octets of TCP payload
}

// parse reads the headers in an Ethernet frame. It is false for what is no IPv6 packet or too short.
func parse(frame []byte) (Packet, bool) {
	const ethernet, ipv6 = 14, 40
	if len(frame) < ethernet+ipv6 || binary.BigEndian.Uint16(frame[12:]) != 0x86dd {
		return Packet{}, false
	}
	ip := frame[ethernet:]
	p := Packet{
		Src: netip.AddrFrom16([16]byte(ip[8:24])),
		Dst: netip.AddrFrom16([16]byte(ip[24:40])),
	}
	next, length, rest := ip[6], int(binary.BigEndian.Uint16(ip[4:])), ip[ipv6:]
	if next == protocolShim6 {
		if len(rest) < 8 {
			return p, false
		}
		if rest[2]&pBit == 0 {
			p.Control = rest[2]
			return p, true
		}
		// The tag is the 47 bits after the P bit.
		p.Tag = binary.BigEndian.Uint64(rest) & (1<<47 - 1)
		next, length, rest = rest[0], length-8, rest[8:]
	}
	switch {
	case next == protocolICMPv6 && len(rest) >= 1 && rest[0] < 128:
		p.ICMPError = rest[0]
	case next == protocolTCP && len(rest) >= 20:
		p.TCP = true
		p.SrcPort, p.DstPort = binary.BigEndian.Uint16(rest), binary.BigEndian.Uint16(rest[2:])
		p.Seq = binary.BigEndian.Uint32(rest[4:])
		p.SYN = rest[13]&flagSYN != 0
		p.Data = max(0, length-int(rest[12]>>4)*4)
	}
	return p, true
}

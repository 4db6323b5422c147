// SPDX-License-Identifier: MIT

// Package packet reads and makes IPv6 packets header by header, as they are on the wire.
package packet

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// Next Header values.
const (
	HopByHop    = 0
	TCP         = 6
	UDP         = 17
	DCCP        = 33
	Routing     = 43
	Fragment    = 44
	ESP         = 50
	ICMPv6      = 58
	DestOptions = 60
	SCTP        = 132
	UDPLite     = 136
	Shim6       = 140
	Test        = 253 // RFC 3692
)

const (
	headerLen = 40
	offNext   = 6
	offSrc    = 8
	offDst    = 24
	pBit      = 0x80 // RFC 5533 section 5.1
	tagMask   = 1<<47 - 1
)

// A Packet is what the headers of an IPv6 packet say, in the order found.
type Packet struct {
	Src, Dst netip.Addr
	// Chain has the Next Header values from the IPv6 header on; the last is that of Payload.
	Chain []uint8
	// Tag is that of a Payload Extension Header, which Chain then has as 140 (RFC 5533 section 5.1).
	Tag uint64
	// Offset, in octets, More and ID are those of a Fragment header (RFC 8200 section 4.5).
	Offset  int
	More    bool
	ID      uint32
	Payload []byte
	Octets  []byte // all of it
}

// Parse reads a packet. A Shim6 control message, and what follows a Fragment header of a later fragment, is payload.
func Parse(b []byte) (*Packet, error) {
	if len(b) < headerLen || b[0]>>4 != 6 {
		return nil, fmt.Errorf("%d octets are no IPv6 packet", len(b))
	}
	if n := headerLen + int(binary.BigEndian.Uint16(b[4:])); n < len(b) {
		b = b[:n] // what the link padded
	}
	p := &Packet{Src: addrAt(b, offSrc), Dst: addrAt(b, offDst), Octets: b}
	next, at := b[offNext], headerLen
	for {
		p.Chain = append(p.Chain, next)
		p.Payload = b[at:]
		length, more := p.header(next)
		if !more {
			return p, nil
		}
		if length > len(p.Payload) {
			return nil, fmt.Errorf("header %d at %d is cut off", next, at)
		}
		next = p.Payload[0]
		at += length
		if p.Offset > 0 {
			p.Chain = append(p.Chain, next)
			p.Payload = b[at:]
			return p, nil
		}
	}
}

// header reads what starts the payload. It is false for what is no extension header.
func (p *Packet) header(kind uint8) (length int, ok bool) {
	b := p.Payload
	if len(b) < 8 {
		return 8, kind == HopByHop || kind == Routing || kind == DestOptions || kind == Fragment
	}
	switch kind {
	case HopByHop, Routing, DestOptions:
		return (int(b[1]) + 1) * 8, true
	case Fragment:
		word := binary.BigEndian.Uint16(b[2:])
		p.Offset, p.More, p.ID = int(word&^7), word&1 != 0, binary.BigEndian.Uint32(b[4:])
		return 8, true
	case Shim6:
		if b[2]&pBit == 0 {
			return 0, false
		}
		p.Tag = binary.BigEndian.Uint64(b) & tagMask
		return 8, true
	}
	return 0, false
}

// Upper returns what the payload is.
func (p *Packet) Upper() uint8 { return p.Chain[len(p.Chain)-1] }

// Has tells whether the chain has a header.
func (p *Packet) Has(kind uint8) bool {
	for _, c := range p.Chain {
		if c == kind {
			return true
		}
	}
	return false
}

// IsND tells whether the packet is of neighbour discovery or multicast listener discovery (RFC 4861, RFC 3810).
func (p *Packet) IsND() bool {
	if p.Upper() != ICMPv6 || len(p.Payload) == 0 {
		return false
	}
	kind := p.Payload[0]
	return kind >= 130 && kind <= 137 || kind == 143
}

// String shows addresses, headers and length.
func (p *Packet) String() string {
	text := fmt.Sprintf("%v > %v %v %d octets", p.Src, p.Dst, p.Chain, len(p.Octets))
	if p.Tag != 0 {
		text += fmt.Sprintf(" tag %012x", p.Tag)
	}
	if p.Has(Fragment) {
		text += fmt.Sprintf(" offset %d more %v", p.Offset, p.More)
	}
	return text
}

func addrAt(b []byte, at int) netip.Addr { return netip.AddrFrom16([16]byte(b[at : at+16])) }

// SPDX-License-Identifier: MIT

package fuzzer

import (
	"encoding/binary"
	"math/rand/v2"

	"shim6/test/lab/genl"
	"shim6/test/lab/packet"
)

const (
	// maxOctets is what an input may grow to.
	maxOctets           = 4000
	virtioLen           = 10 // struct virtio_net_hdr
	ipv6Len             = 40
	netlinkLen, genlLen = 16, 4
)

// words are values at which length, offset and type fields tend to be handled wrongly.
var words = []uint16{0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 39, 40, 0x7f, 0x80, 0xff, 0x100, 0x4ff, 0x500, 0x7fff, 0x8000, 0xfff8, 0xffff}

// protocols are values of Next Header fields.
var protocols = []uint8{
	packet.HopByHop, packet.TCP, packet.UDP, packet.DCCP, packet.Routing, packet.Fragment, packet.ESP, 51, packet.ICMPv6, 59,
	packet.DestOptions, packet.SCTP, 135, packet.UDPLite, packet.Shim6, packet.Test, 4, 41,
}

// A Mutator changes inputs at random.
type Mutator struct {
	Rand   *rand.Rand
	Family uint16 // of generic netlink
}

// Mutate returns a changed copy of an input; other is one to take parts of.
func (m *Mutator) Mutate(in, other Input) Input {
	r := m.Rand
	in = in.clone()
	for range 1 + r.IntN(4) {
		in.Octets = mutateOnce(r, in.Octets, other.Octets)
	}
	m.repair(&in)
	return in
}

func mutateOnce(r *rand.Rand, b, other []byte) []byte {
	if len(b) == 0 {
		return []byte{byte(r.Uint32())}
	}
	at := r.IntN(len(b))
	if r.IntN(2) == 0 {
		at = r.IntN(min(len(b), 96)) // headers come first
	}
	switch r.IntN(11) {
	case 0:
		b[at] ^= 1 << r.IntN(8)
	case 1:
		b[at] = byte(r.Uint32())
	case 2:
		b[at] = protocols[r.IntN(len(protocols))]
	case 3:
		if at+2 <= len(b) {
			binary.BigEndian.PutUint16(b[at:], words[r.IntN(len(words))])
		}
	case 4:
		if at+2 <= len(b) {
			binary.NativeEndian.PutUint16(b[at:], words[r.IntN(len(words))])
		}
	case 5:
		b = b[:at]
	case 6: // cut out
		end := at + min(len(b)-at, 1+r.IntN(24))
		b = append(b[:at], b[end:]...)
	case 7: // twice, as headers and options may be
		end := at + min(len(b)-at, 8*(1+r.IntN(4)))
		b = insert(b, at, b[at:end])
	case 8: // of another input
		if len(other) > 0 {
			from := r.IntN(len(other))
			b = insert(b, at, other[from:from+min(len(other)-from, 1+r.IntN(64))])
		}
	case 9: // a new header in front of an old one: its type goes where the old one's is
		if len(b) > ipv6Len {
			b = insertHeader(r, b)
		}
	case 10:
		b = append(b, make([]byte, r.IntN(1500))...)
	}
	return b[:min(len(b), maxOctets)]
}

func insert(b []byte, at int, part []byte) []byte {
	all := append(append([]byte(nil), b[:at]...), part...)
	return append(all, b[at:]...)
}

// insertHeader puts an extension header of eight octets behind the IPv6 header.
func insertHeader(r *rand.Rand, b []byte) []byte {
	kind := []uint8{packet.HopByHop, packet.DestOptions, packet.Routing, packet.Fragment, packet.Shim6}[r.IntN(5)]
	header := []byte{b[6], 0, 1, 4, 0, 0, 0, 0} // an option PadN
	switch kind {
	case packet.Fragment:
		binary.BigEndian.PutUint16(header[2:], words[r.IntN(len(words))])
	case packet.Shim6:
		binary.BigEndian.PutUint64(header, 0x8000<<32|TagLocal)
		header[0] = b[6]
	}
	b = insert(b, ipv6Len, header)
	b[6] = kind
	return b
}

// repair makes most mutants right in what every receiver checks first, for else few would get any further.
func (m *Mutator) repair(in *Input) {
	r := m.Rand
	switch in.Kind {
	case Frame, Merged, Raw:
		repairPacket(r, in.Octets)
	case Offloaded:
		if len(in.Octets) > virtioLen {
			if r.IntN(4) > 0 {
				clear(in.Octets[:virtioLen])
			}
			repairPacket(r, in.Octets[virtioLen:])
		}
	case Request:
		m.repairRequest(in.Octets)
	}
}

func repairPacket(r *rand.Rand, b []byte) {
	if len(b) < ipv6Len || r.IntN(16) == 0 {
		return
	}
	b[0] = 6<<4 | b[0]&0xf
	if b[7] == 0 {
		b[7] = 64
	}
	if r.IntN(8) > 0 {
		binary.BigEndian.PutUint16(b[4:], uint16(len(b)-ipv6Len))
	}
	if r.IntN(8) > 0 {
		repairSum(b)
	}
}

// repairSum makes the checksum of the upper layer right, over ULIDs behind a Payload Extension Header.
func repairSum(b []byte) {
	p, err := packet.Parse(b)
	if err != nil || p.Offset > 0 || p.More {
		return
	}
	at := map[uint8]int{packet.TCP: 16, packet.UDP: 6, packet.ICMPv6: 2}
	offset, ok := at[p.Upper()]
	if !ok || len(p.Payload) < offset+2 {
		return
	}
	src, dst := p.Src, p.Dst
	if p.Tag != 0 && p.Tag == TagLocal {
		src, dst = B1, A1
	}
	sum := p.Payload[offset : offset+2]
	clear(sum)
	binary.BigEndian.PutUint16(sum, packet.Sum(src, dst, p.Upper(), p.Payload))
}

// repairRequest makes a message one for the family: others are not under test. A flush waits for the kernel's garbage collector:
// most are made something else.
func (m *Mutator) repairRequest(b []byte) {
	if len(b) < netlinkLen+genlLen {
		return
	}
	binary.NativeEndian.PutUint16(b[4:], m.Family)
	if m.Rand.IntN(16) == 0 {
		return
	}
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	b[6] |= 1 // NLM_F_REQUEST
	if b[netlinkLen] == genl.CtxFlush && m.Rand.IntN(32) > 0 {
		b[netlinkLen] = uint8(1 + m.Rand.IntN(genl.HeurSet))
	}
}

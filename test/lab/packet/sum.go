// SPDX-License-Identifier: MIT

package packet

import (
	"encoding/binary"
	"hash/crc32"
	"net/netip"
)

// Sum returns the Internet checksum over the pseudo-header (RFC 8200 section 8.1) and an upper-layer packet. Over a packet
// whose checksum is right it is zero.
func Sum(src, dst netip.Addr, proto uint8, upper []byte) uint16 {
	return sum(src, dst, proto, upper, len(upper))
}

// sum covers the first octets of upper only.
func sum(src, dst netip.Addr, proto uint8, upper []byte, covered int) uint16 {
	from, to := src.As16(), dst.As16()
	total := uint32(proto) + uint32(len(upper))
	for _, b := range [][]byte{from[:], to[:], upper[:covered]} {
		for i := 0; i < len(b); i += 2 {
			total += uint32(b[i]) << 8
			if i+1 < len(b) {
				total += uint32(b[i+1])
			}
		}
	}
	for total > 0xffff {
		total = total>>16 + total&0xffff
	}
	return ^uint16(total)
}

// SumRight tells whether the checksum of a packet that is no fragment is right when it was made for the given addresses. It is
// true for protocols without one.
func (p *Packet) SumRight(src, dst netip.Addr) bool {
	b := p.Payload
	switch p.Upper() {
	case TCP, UDP, ICMPv6:
		return Sum(src, dst, p.Upper(), b) == 0
	case UDPLite: // RFC 3828 section 3.1: the length field says how much is covered, 0 is all
		if len(b) < 8 {
			return false
		}
		covered := int(binary.BigEndian.Uint16(b[4:]))
		if covered == 0 {
			covered = len(b)
		}
		return covered <= len(b) && sum(src, dst, UDPLite, b, covered) == 0
	case DCCP: // RFC 4340 section 9.2: CsCov 1 is the header alone, n the header and (n-1)*4 octets, 0 is all
		if len(b) < 12 {
			return false
		}
		covered := len(b)
		if n := int(b[5] & 0xf); n > 0 {
			covered = min(covered, int(b[4])*4+(n-1)*4)
		}
		return sum(src, dst, DCCP, b, covered) == 0
	case SCTP: // RFC 9260 section 6.8: CRC32c, of the packet alone
		if len(b) < 12 {
			return false
		}
		have := binary.LittleEndian.Uint32(b[8:])
		zeroed := append([]byte(nil), b...)
		clear(zeroed[8:12])
		return crc32.Checksum(zeroed, crc32.MakeTable(crc32.Castagnoli)) == have
	}
	return true
}

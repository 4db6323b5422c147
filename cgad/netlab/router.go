// SPDX-License-Identifier: MIT

package netlab

import (
	"encoding/binary"
	"net/netip"
	"testing"
)

// Flags of a Prefix Information option.
const (
	OnLink     = 0x80
	Autonomous = 0x40
)

// An Advertisement is a Router Advertisement as a router writes it; lifetimes are seconds.
type Advertisement struct {
	Lifetime   uint16
	Preference uint8 // the two bits of RFC 4191
	Prefixes   []Prefix
	Routes     []Route
	Options    []byte // put before the others
}

// A Prefix is a Prefix Information option.
type Prefix struct {
	Prefix           string
	Flags            uint8 // 0 stands for both
	Valid, Preferred uint32
}

// A Route is a Route Information option.
type Route struct {
	Prefix     string
	Preference uint8
	Lifetime   uint32
}

// Marshal encodes the message, the checksum zero.
func (a Advertisement) Marshal() []byte {
	b := []byte{134, 0, 0, 0, 64, a.Preference << 3}
	b = binary.BigEndian.AppendUint16(b, a.Lifetime)
	b = append(b, make([]byte, 8)...)
	b = append(b, a.Options...)
	for _, p := range a.Prefixes {
		prefix := netip.MustParsePrefix(p.Prefix)
		flags := p.Flags
		if flags == 0 {
			flags = OnLink | Autonomous
		}
		addr := prefix.Addr().As16()
		b = append(b, 3, 4, byte(prefix.Bits()), flags)
		b = binary.BigEndian.AppendUint32(b, p.Valid)
		b = binary.BigEndian.AppendUint32(b, p.Preferred)
		b = append(append(b, 0, 0, 0, 0), addr[:]...)
	}
	for _, r := range a.Routes {
		prefix := netip.MustParsePrefix(r.Prefix)
		addr := prefix.Addr().As16()
		b = append(b, 24, 3, byte(prefix.Bits()), r.Preference<<3)
		b = binary.BigEndian.AppendUint32(b, r.Lifetime)
		b = append(b, addr[:]...)
	}
	return b
}

// Advertise sends a to all nodes of the link.
func (l *Link) Advertise(t testing.TB, router string, a Advertisement) {
	t.Helper()
	l.Send(t, Packet{Source: router, HopLimit: 255, Body: a.Marshal()})
}

// Claim tells all nodes that a stranger has the address, which fails its duplicate address detection (RFC 4862 section
// 5.4.4).
func (l *Link) Claim(t testing.TB, addr string) {
	t.Helper()
	a := addr16(addr)
	body := append([]byte{136, 0, 0, 0, 0x20, 0, 0, 0}, a[:]...)
	body = append(append(body, 2, 1), l.Far.Attrs().HardwareAddr...)
	l.Send(t, Packet{Source: addr, HopLimit: 255, Body: body})
}

// SPDX-License-Identifier: MIT

package ra

import (
	"fmt"
	"net/netip"
)

// Types of options (RFC 4861 section 4.6, RFC 4191 section 2.3).
const (
	optionSourceLinkLayer = 1
	optionPrefix          = 3
	optionRoute           = 24
)

const prefixOptionLen = 32

// option reads one whole option. It returns what is wrong with it, or nothing. Those that are not for us, RDNSS and PREF64
// among them, are of no concern here, whatever they hold.
func (a *Advertisement) option(b []byte) string {
	switch b[0] {
	case optionPrefix:
		return a.prefix(b)
	case optionRoute:
		return a.route(b)
	}
	return ""
}

func (a *Advertisement) prefix(b []byte) string {
	if len(b) != prefixOptionLen {
		return fmt.Sprintf("has %d octets, a prefix information option has %d", len(b), prefixOptionLen)
	}
	if b[2] > 128 {
		return fmt.Sprintf("has prefix length %d", b[2])
	}
	a.Prefixes = append(a.Prefixes, Prefix{
		Prefix:     netip.PrefixFrom(netip.AddrFrom16([16]byte(b[16:])), int(b[2])).Masked(),
		OnLink:     b[3]&0x80 != 0,
		Autonomous: b[3]&0x40 != 0,
		Valid:      lifetime(b[4:]),
		Preferred:  lifetime(b[8:]),
	})
	return ""
}

func (a *Advertisement) route(b []byte) string {
	bits := int(b[2])
	// RFC 4191 section 2.3: the length is 1, 2 or 3 units as the prefix needs no octets, eight or sixteen.
	if len(b) > 24 || bits > 128 || bits > 8*(len(b)-8) {
		return fmt.Sprintf("has %d octets with prefix length %d", len(b), bits)
	}
	// RFC 4191 section 2.3: "If the Reserved (10) value is received, the Route Information Option MUST be ignored."
	p, ok := preference(b[3])
	if !ok {
		return "has the reserved preference"
	}
	var addr [16]byte
	copy(addr[:], b[8:])
	a.Routes = append(a.Routes, Route{
		Prefix:     netip.PrefixFrom(netip.AddrFrom16(addr), bits).Masked(),
		Preference: p,
		Lifetime:   lifetime(b[4:]),
	})
	return ""
}

// Solicitation encodes a Router Solicitation with the link-layer address of its sender, which may be empty (RFC 4861
// section 4.1). The checksum is left to the kernel.
func Solicitation(linkLayer []byte) []byte {
	b := []byte{TypeRouterSolicitation, 7: 0}
	if n := len(linkLayer); n > 0 {
		units := (2 + n + optionUnit - 1) / optionUnit
		b = append(b, optionSourceLinkLayer, byte(units))
		b = append(b, linkLayer...)
		b = append(b, make([]byte, units*optionUnit-2-n)...)
	}
	return b
}

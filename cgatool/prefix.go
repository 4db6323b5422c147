// SPDX-License-Identifier: MIT

package main

import (
	"net/netip"
	"strings"
)

// parsePrefix reads a subnet prefix, "2001:db8:1:2::/64" or "2001:db8:1:2::". The interface identifier must be zero.
func parsePrefix(s string) ([8]byte, error) {
	text := s
	if !strings.Contains(s, "/") {
		text += "/64"
	}
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil || !p.Addr().Is6():
		return [8]byte{}, usagef("%q is not an IPv6 prefix", s)
	case p.Bits() != 64:
		return [8]byte{}, usagef("prefix %s has %d bits, a subnet prefix has 64", s, p.Bits())
	case p.Masked() != p:
		return [8]byte{}, usagef("prefix %s has bits set behind the first 64", s)
	}
	a := p.Addr().As16()
	return [8]byte(a[:8]), nil
}

func prefixText(prefix [8]byte) string {
	var a [16]byte
	copy(a[:], prefix[:])
	return netip.PrefixFrom(netip.AddrFrom16(a), 64).String()
}

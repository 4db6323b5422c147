// SPDX-License-Identifier: MIT

package shim6_test

import (
	"net/netip"
	"testing"

	"shim6/daemon/shim6"
	"shim6/internal/cga"
)

// RFC 5533 section 10.1: a new list has a new, random generation. It tells neither how many lists there were before, nor what that
// of another host is.
func TestGenerationsAreRandom(t *testing.T) {
	x := address(t, cga.Params{PublicKey: spki(1024)}, "2001:db8:1::/64", "k")
	seen := map[uint32]bool{}
	high := 0
	const hosts, lists = 20, 20
	for host := range byte(hosts) {
		anns := shim6.NewAnnouncements(newRand(host))
		var last uint32
		for i := range lists {
			y := shim6.LocalLocator{Addr: netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(i + 1)})}
			anns.Update([]shim6.LocalLocator{x, y}, nil)
			g := anns.For(x.Addr).Set.Generation
			if seen[g] || g == last+1 {
				t.Fatalf("host %d, list %d: generation %08x after %08x", host, i, g, last)
			}
			if g>>31 == 1 {
				high++
			}
			seen[g], last = true, g
		}
	}
	if high < hosts*lists*4/10 || high > hosts*lists*6/10 {
		t.Errorf("%d of %d are in the upper half", high, hosts*lists)
	}
}

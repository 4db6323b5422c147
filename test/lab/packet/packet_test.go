// SPDX-License-Identifier: MIT

package packet

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	a = netip.MustParseAddr("2001:db8:a::1")
	b = netip.MustParseAddr("2001:db8:b::2")
)

func TestMadePacketsAreReadAgain(t *testing.T) {
	data := []byte("some data")
	raw := Make(a, b, UDP, data, Options(HopByHop, 2), RoutingDone(), Payload(0x123456789abc), FragmentOf(77, 1232, true))
	p, err := Parse(append(raw, 0, 0, 0)) // padded by the link
	if err != nil {
		t.Fatal(err)
	}
	want := &Packet{
		Src: a, Dst: b, Chain: []uint8{HopByHop, Routing, Shim6, Fragment, UDP}, Tag: 0x123456789abc,
		Offset: 1232, More: true, ID: 77, Payload: data, Octets: raw,
	}
	if diff := cmp.Diff(want, p, cmp.Comparer(func(x, y netip.Addr) bool { return x == y })); diff != "" {
		t.Errorf("packet (-want +got):\n%s", diff)
	}
}

func TestWhatFollowsALaterFragmentIsPayload(t *testing.T) {
	raw := Make(a, b, DestOptions, []byte{1, 2, 3}, FragmentOf(1, 8, false))
	p, err := Parse(raw)
	if err != nil || p.Upper() != DestOptions || !bytes.Equal(p.Payload, []byte{1, 2, 3}) {
		t.Errorf("%v, %v", p, err)
	}
}

func TestShortPacketsAreRefused(t *testing.T) {
	raw := Make(a, b, UDP, nil, Options(DestOptions, 4))
	for n := range len(raw) {
		if p, err := Parse(raw[:n]); err == nil {
			t.Errorf("%d octets were read as %v", n, p)
		}
	}
}

// The checksum of RFC 1071 section 3's octets is 0xddf2 before the complement; addresses here add to it.
func TestSum(t *testing.T) {
	zero := netip.IPv6Unspecified()
	if got, want := Sum(zero, zero, 0, []byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}), ^uint16(0xddf2+8); got != want {
		t.Errorf("sum %#04x, want %#04x", got, want)
	}
	p, err := Parse(Make(a, b, UDP, Datagram(netip.AddrPortFrom(a, 1), netip.AddrPortFrom(b, 2), []byte("odd"))))
	if err != nil {
		t.Fatal(err)
	}
	if !p.SumRight(a, b) {
		t.Error("the checksum of a datagram is wrong")
	}
	if p.SumRight(a, a) {
		t.Error("a checksum is right for other addresses")
	}
}

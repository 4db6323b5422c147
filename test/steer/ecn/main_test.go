// SPDX-License-Identifier: MIT

package main

import (
	"net/netip"
	"testing"

	"shim6/daemon/ctl"
)

var (
	a1, a2 = netip.MustParseAddr("2001:db8:a1::1"), netip.MustParseAddr("2001:db8:a2::1")
	b1, b2 = netip.MustParseAddr("2001:db8:b1::1"), netip.MustParseAddr("2001:db8:b2::1")
)

// packet makes one that goes from b1 to a1, with a Payload Extension Header where there is a tag.
func packet(tag []byte, flags byte) []byte {
	b := make([]byte, ipv6Header)
	b[0], b[6] = 0x60, protocolTCP
	copy(b[8:], b1.AsSlice())
	copy(b[24:], a1.AsSlice())
	if tag != nil {
		b[6] = protocolShim6
		b = append(b, protocolTCP, 0)
		b = append(b, tag...)
	}
	tcp := make([]byte, tcpHeader)
	tcp[flagsOffset] = flags
	return append(b, tcp...)
}

func TestParse(t *testing.T) {
	tag := []byte{0x80 | 0x11, 0x22, 0x33, 0x44, 0x55, 0x66}
	for name, tc := range map[string]struct {
		b    []byte
		want segment
		ok   bool
	}{
		"plain":             {packet(nil, 0x10), segment{flow{"", a1, b1}, false}, true},
		"with an echo":      {packet(nil, 0x50), segment{flow{"", a1, b1}, true}, true},
		"of another path":   {packet(tag, 0x50), segment{flow{"112233445566", a1, b1}, true}, true},
		"SYN":               {packet(nil, 0xc2), segment{}, false},
		"reset":             {packet(nil, 0x44), segment{}, false},
		"control message":   {packet([]byte{0x11, 0, 0, 0, 0, 0}, 0x50), segment{}, false},
		"cut in TCP":        {packet(nil, 0x50)[:ipv6Header+5], segment{}, false},
		"cut in the header": {packet(tag, 0x50)[:ipv6Header+7], segment{}, false},
		"IPv4":              {make([]byte, 60), segment{}, false},
		"nothing":           {nil, segment{}, false},
	} {
		if got, ok := parse(tc.b); ok != tc.ok || ok && got != tc.want {
			t.Errorf("%s: %+v, %v", name, got, ok)
		}
	}
}

func TestOther(t *testing.T) {
	c := ctl.Context{
		Tag: "1", Current: ctl.Pair{Local: a1, Peer: b1}, LocatorsLocal: []ctl.ContextLocator{{Addr: a1}, {Addr: a2}},
		LocatorsPeer: []ctl.ContextLocator{{Addr: b1, Verified: true}, {Addr: b2, Verified: true}},
	}
	w := &watcher{left: map[string]ctl.Pair{}}
	if p, ok := w.other(c); !ok || p != (ctl.Pair{Local: a2, Peer: b2}) {
		t.Errorf("%v", p)
	}
	c.LocatorsPeer[1].Verified = false
	if p, ok := w.other(c); !ok || p != (ctl.Pair{Local: a2, Peer: b1}) {
		t.Errorf("without a verified locator: %v", p)
	}
	w.left["1"] = ctl.Pair{Local: a2, Peer: b1}
	if p, ok := w.other(c); ok {
		t.Errorf("back to what was left: %v", p)
	}
}

func TestFlowOf(t *testing.T) {
	c := ctl.Context{Tag: "00000000000a", ULIDLocal: a1, ULIDPeer: b1}
	for f, want := range map[flow]bool{
		{"", a1, b1}: true, {"", a2, b1}: false, {"00000000000a", a2, b2}: true, {"00000000000b", a1, b1}: false,
	} {
		if f.of(c) != want {
			t.Errorf("%v", f)
		}
	}
}

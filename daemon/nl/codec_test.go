// SPDX-License-Identifier: MIT

package nl

import (
	"encoding/binary"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	ulidA = netip.MustParseAddr("2001:db8:a1::1")
	locA  = netip.MustParseAddr("2001:db8:a2::1")
	ulidB = netip.MustParseAddr("2001:db8:b1::1")
	locB  = netip.MustParseAddr("2001:db8:b2::1")
)

// full is a message with every attribute.
func full() *message {
	m := new(message)
	for a, k := range kinds {
		switch k {
		case kindFlag:
			m.set(a, 1)
		case kindU8:
			m.set(a, uint64(a))
		case kindU32:
			m.set(a, 0x01020300|uint64(a))
		case kindU64:
			m.set(a, 0x0102030405060700|uint64(a))
		case kindAddr:
			m.setAddr(a, netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(a)}))
		case kindString, kindNested:
			m.mark(a)
		case kindNone:
		}
	}
	m.str = "default"
	m.names = []string{"none", "default", "eui64"}
	m.paths = []Path{{ulidA, ulidB}, {locA, locB}}
	m.carried = []PathCounters{{1, 2, 3, 4}, {5, 6, 7, math.MaxUint64}}
	m.locators = []netip.Addr{ulidA, locA}
	m.stats = Stats{StatTxRewritten: 1, StatEventsLost: math.MaxUint64}
	m.stack = []Heuristic{
		{Name: "default", Refusals: 1, Triggers: 2, Vetoes: 3, Params: []Param{{"bytes", 4096, 2048, 0, math.MaxUint64}, {"age_ms", 0, 60000, 0, 1 << 32}}},
		{Name: "eui64", Refusals: math.MaxUint64},
	}
	m.param = Param{Name: "bytes", Value: 4096}
	m.rules = []Device{{Name: "eth0", GSO: GSOWhole}, {Name: "*", GSO: GSOAuto}}
	m.device = Device{Name: "wg0", GSO: GSOSegment}
	return m
}

var messages = cmp.AllowUnexported(message{}, Path{})
var addrs = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

func TestMarshalUnmarshal(t *testing.T) {
	want := full()
	b, err := want.marshal()
	if err != nil {
		t.Fatal(err)
	}
	got, err := unmarshal(b)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got, messages, addrs); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// attr builds one attribute as the kernel writes it: length, type, value, padding to four octets.
func attr(typ uint16, value ...byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = append(b, value...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

const nested = 1 << 15

func u32(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }
func u64(v uint64) []byte { return binary.NativeEndian.AppendUint64(nil, v) }

func TestMarshalBytes(t *testing.T) {
	c := Context{
		ULIDLocal: ulidA, ULIDPeer: ulidB, FII: 7, TagLocal: 0x112233445566, TagPeer: 0x665544332211,
		Paths: []Path{{locA, locB}}, LocatorsLocal: []netip.Addr{ulidA, locA},
		SendTimeout: 15 * time.Second, KeepaliveTimeout: 10 * time.Second, KeepaliveInterval: 3 * time.Second,
	}
	got, err := c.message().marshal()
	if err != nil {
		t.Fatal(err)
	}
	want := slices.Concat(
		attr(2, ulidA.AsSlice()...),
		attr(3, ulidB.AsSlice()...),
		attr(4, u32(7)...),
		attr(5, u64(0x112233445566)...),
		attr(6, u64(0x665544332211)...),
		attr(7|nested, attr(8|nested, slices.Concat(attr(1, locA.AsSlice()...), attr(2, locB.AsSlice()...))...)...),
		attr(9|nested, slices.Concat(attr(10, ulidA.AsSlice()...), attr(10, locA.AsSlice()...))...),
		attr(11, u32(15000)...),
		attr(12, u32(10000)...),
		attr(13, u32(3000)...),
	)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestMarshalRefuses(t *testing.T) {
	v4 := netip.MustParseAddr("192.0.2.1")
	for name, tc := range map[string]struct {
		m    *message
		want string
	}{
		"IPv4 ULID":          {(&Context{ULIDLocal: v4}).message(), "is not an IPv6 address"},
		"mapped ULID":        {(&Context{ULIDLocal: netip.AddrFrom16(v4.As16())}).message(), "is not an IPv6 address"},
		"zone":               {(&Context{ULIDLocal: netip.MustParseAddr("fe80::1%eth0")}).message(), "is not an IPv6 address"},
		"path without peer":  {(&Context{Paths: []Path{{Local: ulidA}}}).message(), "is not an IPv6 address"},
		"9 paths":            {(&Context{Paths: make([]Path, 9)}).message(), "9 paths, at most 8"},
		"33 locators":        {(&Context{LocatorsLocal: make([]netip.Addr, 33)}).message(), "33 local locators, at most 32"},
		"invalid locator":    {(&Context{LocatorsLocal: make([]netip.Addr, 1)}).message(), "is not an IPv6 address"},
		"timeout of 50 days": {(&Context{SendTimeout: 50 * 24 * time.Hour}).message(), "does not fit 32 bits"},
		"long heuristic":     {(&Settings{Heuristic: ptr(strings.Repeat("x", 128))}).message(), "is not a name"},
		"empty heuristic":    {(&Settings{Heuristic: ptr("")}).message(), "is not a name"},
		"zero in heuristic":  {(&Settings{Heuristic: ptr("a\x00b")}).message(), "is not a name"},
		"33 device rules":    {(&Settings{GSODevices: make([]Device, 33)}).message(), "33 rules for devices, at most 32"},
		"long device":        {(&Settings{GSODevices: []Device{{Name: "abcdefghijklmnop"}}}).message(), "is not a name of 1 to 15"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tc.m.marshal()
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
}

func ptr[T any](v T) *T { return &v }

func TestUnmarshalRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		b    []byte
		want string
	}{
		"attribute of 3 octets":       {[]byte{3, 0, 2, 0}, "attribute"},
		"attribute longer than input": {attr(4, 0, 0, 0, 0)[:6], "attribute"},
		"address of 15 octets":        {attr(2, make([]byte, 15)...), "attribute 2: 15 octets, not 16"},
		"mapped address":              {attr(3, netip.MustParseAddr("::ffff:192.0.2.1").AsSlice()...), "IPv4-mapped"},
		"u64 of 4 octets":             {attr(5, u32(1)...), "attribute 5: 4 octets, not 8"},
		"u32 of 8 octets":             {attr(4, u64(1)...), "attribute 4: 8 octets, not 4"},
		"u8 of 4 octets":              {attr(14, u32(1)...), "attribute 14: 4 octets, not 1"},
		"flag with a value":           {attr(18, 1), "attribute 18: 1 octets, not 0"},
		"path without peer":           {attr(7, attr(8, attr(1, locA.AsSlice()...)...)...), "lacks an address"},
		"9 paths":                     {attr(7, repeat(9, attr(8, slices.Concat(attr(1, locA.AsSlice()...), attr(2, locB.AsSlice()...))...))...), "more than 8"},
		"33 locators":                 {attr(9, repeat(33, attr(10, locA.AsSlice()...))...), "more than 32"},
		"65 heuristics":               {attr(34, repeat(65, attr(33, 'x', 0))...), "more than 64"},
		"heuristic without a name":    {attr(33, 0), "is not a name"},
		"counter of 4 octets":         {attr(38, attr(1, u32(1)...)...), "attribute 38: 4 octets, not 8"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := unmarshal(tc.b)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
}

func repeat(n int, b []byte) []byte { return slices.Repeat(b, n) }

// A module newer than this program may send more; padding may come anywhere.
func TestUnmarshalSkipsWhatItDoesNotKnow(t *testing.T) {
	b := slices.Concat(
		attr(1), attr(5, u64(9)...), attr(200, 1, 2, 3), attr(38, slices.Concat(attr(0), attr(1, u64(5)...), attr(99, u64(6)...))...))
	m, err := unmarshal(b)
	if err != nil {
		t.Fatal(err)
	}
	want := new(message)
	want.set(attrTagLocal, 9)
	want.mark(attrStats)
	want.stats = Stats{StatTxRewritten: 5}
	if d := cmp.Diff(want, m, messages, addrs); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestMillisDoesNotOverflow(t *testing.T) {
	for n, want := range map[uint64]time.Duration{
		0: 0, 1: time.Millisecond, math.MaxUint64: math.MaxInt64, math.MaxInt64/1000000 + 1: math.MaxInt64,
	} {
		if got := millis(n); got != want {
			t.Errorf("millis(%d) = %d, want %d", n, got, want)
		}
	}
}

func FuzzUnmarshal(f *testing.F) {
	b, err := full().marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint8(cmdEvCtxGone), b)
	f.Add(uint8(cmdEvTrigger), attr(7|nested, attr(8|nested)...))
	f.Add(uint8(cmdEvUnknownTag), attr(38|nested, attr(1, u64(5)...)...))
	f.Fuzz(func(t *testing.T, cmd uint8, b []byte) {
		decodeEvent(cmd, b)
		m, err := unmarshal(b)
		if err != nil {
			return
		}
		again, err := m.marshal()
		if err != nil {
			t.Fatalf("what was decoded cannot be encoded: %v", err)
		}
		m2, err := unmarshal(again)
		if err != nil {
			t.Fatalf("what was encoded cannot be decoded: %v", err)
		}
		if d := cmp.Diff(m, m2, messages, addrs); d != "" {
			t.Errorf("(-first +second):\n%s", d)
		}
	})
}

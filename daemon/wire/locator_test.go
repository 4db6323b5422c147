// SPDX-License-Identifier: MIT

package wire_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"

	"shim6/daemon/wire"
)

func locatorList(n int) *wire.LocatorList {
	l := &wire.LocatorList{Generation: 0x01020304}
	for i := range n {
		a := a1.As16()
		a[15] = byte(i)
		l.Locators = append(l.Locators, wire.Locator{Addr: netip.AddrFrom16(a), Method: wire.VerificationMethod(i % 3)})
	}
	return l
}

// RFC 5533 section 5.15.2: "Padding, 0-7 bytes, added if needed so that the Locators start on a multiple-of-8-octet
// boundary. Note that for this option, there is never a need to pad at the end [...]. This internal padding is included in
// the Length field."
func TestLocatorListLengths(t *testing.T) {
	lengths := map[int]int{0: 12, 1: 28, 2: 44, 3: 60, 7: 124, 8: 148, 16: 284}
	for n := range 70 {
		m := &wire.UpdateRequest{ReceiverTag: tagResp, Options: wire.Options{Locators: locatorList(n)}}
		b, err := wire.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		o := b[16:]
		length := int(binary.BigEndian.Uint16(o[2:]))
		if want, ok := lengths[n]; ok && length != want {
			t.Errorf("%d locators: length %d, want %d", n, length, want)
		}
		if len(o) != length+4 || (len(o)-16*n)%8 != 0 || len(o)-16*n-9-n > 7 {
			t.Errorf("%d locators: length %d, %d octets", n, length, len(o))
		}
		for _, p := range o[9+n : len(o)-16*n] {
			if p != 0 {
				t.Errorf("%d locators: padding %x", n, o[9+n:len(o)-16*n])
			}
		}
		accepted(t, b, m)
		for i := 9 + n; i < len(o)-16*n; i++ {
			o[i] = 0xff
		}
		accepted(t, sign(b), m)
	}
}

func TestMalformedLocatorListIsDropped(t *testing.T) {
	body := "cafe babe 0201 0100 0000 0000 2001 0db8 000a 0001 0000 0000 0000 0001 2001 0db8 000a 0002 0000 0000 0000 0001"
	for _, tt := range []struct{ what, option string }{
		{"empty", "0004 0000 0000 0000"},
		{"no count", "0004 0004 cafe babe"},
		{"nothing behind the count", "0004 0005 cafe babe 0000 0000 0000 0000"},
		{"count too high", "0004 002c" + "cafe babe 03" + body[12:]},
		{"count too low", "0004 002c" + "cafe babe 01" + body[12:]},
		{"count zero", "0004 002c" + "cafe babe 00" + body[12:]},
		{"count 255", "0004 002c" + "cafe babe ff" + body[12:]},
		{"half a locator missing", "0004 0024" + body[:len(body)-20]},
		{"one octet short", "0004 002b" + body},
		{"padding not counted", "0004 0027" + body},
		{"padding left out", "0004 0027 cafe babe 0201 01 2001 0db8 000a 0001 0000 0000 0000 0001 2001 0db8 000a 0002 0000 0000 0000 0001 0000 0000 00"},
		{"one octet more", "0004 002d" + body + "0000 0000 0000 0000"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			dropped(t, withOptions(t, "r2", tt.option), wire.ReasonBadOptionLength)
		})
	}
	if _, err := wire.Parse(withOptions(t, "r2", "0004 002c"+body)); err != nil {
		t.Error(err)
	}
}

// Whether a method or an address is good is not for the codec to say.
func TestLocatorListOfAnythingParses(t *testing.T) {
	want := &wire.R2{ResponderTag: tagResp, InitNonce: 0x11223344, Options: wire.Options{Locators: &wire.LocatorList{
		Generation: 0xffffffff,
		Locators: []wire.Locator{
			{Addr: netip.IPv6Unspecified(), Method: 0},
			{Addr: addr("ff02::1"), Method: 255},
			{Addr: addr("::ffff:192.0.2.1"), Method: wire.VerifyCGA},
			{Addr: addr("fe80::1"), Method: wire.VerifyHBA},
		},
	}}}
	b, err := wire.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	accepted(t, b, want)
	accepted(t, withOptions(t, "r2", "0004 000c 0000 0001 00 ff ff ff ff ff ff ff"), &wire.R2{
		ResponderTag: tagResp, InitNonce: 0x11223344, Options: wire.Options{Locators: &wire.LocatorList{Generation: 1}},
	})
}

// RFC 5533 section 10.4: a bad locator is told with the Pointer at its verification method octet, a wrong generation with
// the Pointer at the first octet of the generation, a wrong count with the Pointer at the first octet of the Length.
func TestOffsets(t *testing.T) {
	b := load(t, "update-request")
	m, err := wire.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	ur := m.(*wire.UpdateRequest)
	for i, want := range []int{25, 26} {
		if got := ur.Locators.MethodOffset(i); got != want || b[got] != byte(wire.VerifyHBA) {
			t.Errorf("method %d at %d, want %d", i, got, want)
		}
	}
	if got := ur.Preferences.LengthOffset(); got != 66 || !bytes.Equal(b[got:got+2], []byte{0, 7}) {
		t.Errorf("length at %d, want 66", got)
	}
	if got := ur.Preferences.GenerationOffset(); got != 68 || !bytes.Equal(b[got:got+4], []byte{0xca, 0xfe, 0xba, 0xbe}) {
		t.Errorf("generation at %d, want 68", got)
	}

	// The same options behind another one.
	b = append(append(bytes.Clone(b[:16]), 0x80, 0, 0, 4, 1, 2, 3, 4), b[16:]...)
	m, err = wire.Parse(fix(b))
	if err != nil {
		t.Fatal(err)
	}
	ur = m.(*wire.UpdateRequest)
	if l, p := ur.Locators, ur.Preferences; l.MethodOffset(0) != 33 || p.LengthOffset() != 74 || p.GenerationOffset() != 76 {
		t.Errorf("offsets %d, %d, %d, want 33, 74, 76", l.MethodOffset(0), p.LengthOffset(), p.GenerationOffset())
	}
}

// RFC 5533 section 5.15.3: "When the Element length equals one, then the element consists of only a one-octet Flags
// field." "When the Element length equals two, then the element consists of a one-octet Flags field followed by a one-octet
// Priority field." "When the Element length equals three, [...] and a one-octet Weight field." "This document doesn't
// specify the format when the Element length is more than three, except that [...] the first three octets are the same".
func TestPreferenceElements(t *testing.T) {
	for _, tt := range []struct {
		option string
		want   wire.LocatorPreferences
	}{
		{"0006 0007 cafe babe 01 01 02 00 00 00 00 00", wire.LocatorPreferences{
			ElementLen: 1, Elements: []wire.Preference{{Flags: wire.FlagBroken}, {Flags: wire.FlagTransient}},
		}},
		{"0006 0009 cafe babe 02 01 0a 00 14 00 00 00", wire.LocatorPreferences{
			ElementLen: 2, Elements: []wire.Preference{{Flags: 1, Priority: 10}, {Priority: 20}},
		}},
		{"0006 000b cafe babe 03 01 0a 64 00 14 32 00", wire.LocatorPreferences{
			ElementLen: 3, Elements: []wire.Preference{{Flags: 1, Priority: 10, Weight: 100}, {Priority: 20, Weight: 50}},
		}},
		{"0006 000f cafe babe 05 01 0a 64 aa bb 00 14 32 cc dd 00 00 00 00 00", wire.LocatorPreferences{
			ElementLen: 5, Elements: []wire.Preference{
				{Flags: 1, Priority: 10, Weight: 100, Extra: []byte{0xaa, 0xbb}},
				{Priority: 20, Weight: 50, Extra: []byte{0xcc, 0xdd}},
			},
		}},
		{"0006 0005 cafe babe 03 00 00 00 00 00 00 00", wire.LocatorPreferences{ElementLen: 3}},
	} {
		tt.want.Generation = 0xcafebabe
		want := &wire.UpdateRequest{ReceiverTag: tagResp, ReqNonce: 1, Options: wire.Options{Preferences: &tt.want}}
		b := append(unhex(t, "3b00 4000 0000 5a5a 5a5a 5a5a 0000 0001"), unhex(t, tt.option)...)
		accepted(t, fix(b), want)
		if out, err := wire.Marshal(want); err != nil || !bytes.Equal(out, b) {
			t.Errorf("marshalled as %x, %v, want %x", out, err, b)
		}
	}
}

// Elements that cannot be told apart are none, a number that no locator list has.
func TestPreferencesOfNoElements(t *testing.T) {
	for _, tt := range []struct {
		option string
		size   uint8
	}{
		{"0006 0007 cafe babe 00 01 02 00 00 00 00 00", 0},
		{"0006 0005 cafe babe 00 00 00 00 00 00 00 00", 0},
		{"0006 0008 cafe babe 02 01 02 03 00 00 00 00", 2},
		{"0006 0007 cafe babe 03 01 02 00 00 00 00 00", 3},
		{"0006 0007 cafe babe ff 01 02 00 00 00 00 00", 255},
	} {
		want := &wire.R2{ResponderTag: tagResp, InitNonce: 0x11223344, Options: wire.Options{
			Preferences: &wire.LocatorPreferences{Generation: 0xcafebabe, ElementLen: tt.size},
		}}
		accepted(t, withOptions(t, "r2", tt.option), want)
	}
}

func TestShortPreferencesAreDropped(t *testing.T) {
	for n := range 5 {
		dropped(t, withOptions(t, "r2", fmt.Sprintf("0006 %04x cafe babe", n)), wire.ReasonBadOptionLength)
	}
}

func TestMarshalRefusesPreferencesThatDoNotFit(t *testing.T) {
	for name, p := range map[string]wire.LocatorPreferences{
		"elements of no octets":     {Elements: []wire.Preference{{}}},
		"priority in one octet":     {ElementLen: 1, Elements: []wire.Preference{{Priority: 1}}},
		"weight in two octets":      {ElementLen: 2, Elements: []wire.Preference{{Weight: 1}}},
		"extra in three octets":     {ElementLen: 3, Elements: []wire.Preference{{Extra: []byte{1}}}},
		"extra missing":             {ElementLen: 5, Elements: []wire.Preference{{Extra: []byte{1}}}},
		"second element of another": {ElementLen: 1, Elements: []wire.Preference{{}, {Weight: 1}}},
	} {
		m := &wire.R2{ResponderTag: tagResp, Options: wire.Options{Preferences: &p}}
		if b, err := wire.Marshal(m); err == nil {
			t.Errorf("%s: marshalled as %x", name, b)
		}
	}
}

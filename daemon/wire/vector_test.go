// SPDX-License-Identifier: MIT

package wire_test

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"shim6/daemon/wire"
)

const (
	tagInit = wire.ContextTag(0x123456789abc)
	tagResp = wire.ContextTag(0x5a5a5a5a5a5a)
)

var (
	a1, a2, a3 = addr("2001:db8:a:1::1"), addr("2001:db8:a:2::1"), addr("2001:db8:a:3::1")
	b1         = addr("2001:db8:b:1::1")
	validator  = octets(0xa0, 20)
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// octets counts up from first.
func octets(first byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = first + byte(i)
	}
	return b
}

// unhex reads hexadecimal digits with blanks and, after #, comments.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	var digits strings.Builder
	for line := range strings.Lines(s) {
		line, _, _ = strings.Cut(line, "#")
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// load reads testdata/name.hex.
func load(t testing.TB, name string) []byte {
	t.Helper()
	s, err := os.ReadFile(filepath.Join("testdata", name+".hex"))
	if err != nil {
		t.Fatal(err)
	}
	return unhex(t, string(s))
}

// messages are the control messages of testdata.
var messages = map[string]wire.Message{
	"i1": &wire.I1{InitiatorTag: tagInit, InitNonce: 0x11223344},
	"i1-forked": &wire.I1{InitiatorTag: tagInit, InitNonce: 0x11223344, Options: wire.Options{
		ULIDs: &wire.ULIDPairOption{Sender: a1, Receiver: b1}, FII: new(uint32(7)),
	}},
	"r1": &wire.R1{InitNonce: 0x11223344, RespNonce: 0x102, Options: wire.Options{Validator: validator}},
	"i2": &wire.I2{
		InitiatorTag: tagInit, InitNonce: 0x11223344, RespNonce: 0x102, Options: wire.Options{Validator: validator},
	},
	"i2-all-options": &wire.I2{InitiatorTag: tagInit, InitNonce: 0x11223344, RespNonce: 0x102, Options: wire.Options{
		Validator: validator,
		ULIDs:     &wire.ULIDPairOption{Sender: a1, Receiver: b1},
		FII:       new(uint32(7)),
		Locators: &wire.LocatorList{Generation: 0xcafebabe, Locators: []wire.Locator{
			{Addr: a1, Method: wire.VerifyCGA}, {Addr: a2, Method: wire.VerifyHBA}, {Addr: a3, Method: wire.VerifyHBA},
		}},
		Preferences: &wire.LocatorPreferences{Generation: 0xcafebabe, ElementLen: 3, Elements: []wire.Preference{
			{Priority: 10, Weight: 5}, {Flags: wire.FlagBroken}, {Flags: wire.FlagTransient, Priority: 20, Weight: 1},
		}},
		PDS:              octets(1, 25),
		Signature:        octets(0x30, 18),
		KeepaliveTimeout: new(uint16(20)),
	}},
	"r2":    &wire.R2{ResponderTag: tagResp, InitNonce: 0x11223344},
	"r1bis": &wire.R1bis{PacketTag: tagResp, RespNonce: 0x102, Options: wire.Options{Validator: validator}},
	"i2bis": &wire.I2bis{
		InitiatorTag: tagInit, InitNonce: 0x11223344, RespNonce: 0x102, PacketTag: tagResp,
		Options: wire.Options{Validator: validator},
	},
	"update-request": &wire.UpdateRequest{ReceiverTag: tagResp, ReqNonce: 0x55667788, Options: wire.Options{
		Locators: &wire.LocatorList{Generation: 0xcafebabe, Locators: []wire.Locator{
			{Addr: a1, Method: wire.VerifyHBA}, {Addr: a2, Method: wire.VerifyHBA},
		}},
		Preferences: &wire.LocatorPreferences{
			Generation: 0xcafebabe, ElementLen: 1, Elements: []wire.Preference{{Flags: wire.FlagBroken}, {}},
		},
	}},
	"update-ack":          &wire.UpdateAck{ReceiverTag: tagInit, ReqNonce: 0x55667788},
	"keepalive":           &wire.Keepalive{ReceiverTag: tagResp},
	"keepalive-other-tag": &wire.Keepalive{ReceiverTag: tagInit},
	"probe":               &wire.Probe{ReceiverTag: tagResp, State: 1, Sent: []wire.ProbeReport{{Src: a1, Dst: b1, Nonce: 0xdeadbeef}}},
	"probe-exploring": &wire.Probe{ReceiverTag: tagInit, State: 1, Sent: []wire.ProbeReport{
		{Src: addr("2001:db8:b1::1"), Dst: addr("2001:db8:a::1"), Nonce: 0x0a0b0c0d},
	}},
	"probe-inboundok": &wire.Probe{
		ReceiverTag: 1<<47 - 1,
		State:       2,
		Sent: []wire.ProbeReport{
			{Src: addr("2001:db8:a::1"), Dst: addr("2001:db8:b2::1"), Nonce: 0xdeadbeef, Data: 0x11223344},
		},
		Received: []wire.ProbeReport{
			{Src: addr("2001:db8:b2::1"), Dst: addr("2001:db8:a::1"), Nonce: 0x01020304, Data: 0x55667788},
		},
	},
	"error-unknown-type": &wire.ErrorMsg{
		Code: wire.CodeUnknownMessageType, Pointer: 42, Packet: quote("3b014500 70ef5a5a 5a5a5a5a 00000000"),
	},
	"error-critical-option": &wire.ErrorMsg{
		Code: wire.CodeUnknownCriticalOption, Pointer: 56,
		Packet: quote("3b020100 f8221234 56789abc 11223344 80010004 01020304"),
	},
}

// quote puts an IPv6 header from a1 to b1 in front of a message.
func quote(s string) []byte {
	m, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	p := []byte{0x60, 0, 0, 0, 0, byte(len(m)), 140, 64}
	return append(append(append(p, a1.AsSlice()...), b1.AsSlice()...), m...)
}

// same compares messages; where an option stood in a packet does not count.
func same() cmp.Option {
	return cmp.Options{
		cmpopts.EquateComparable(netip.Addr{}),
		cmpopts.IgnoreUnexported(wire.LocatorList{}, wire.LocatorPreferences{}),
	}
}

func TestVectors(t *testing.T) {
	for name, want := range messages {
		t.Run(name, func(t *testing.T) {
			b := load(t, name)
			got, err := wire.Parse(b)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, same()); diff != "" {
				t.Errorf("parsed (-want +got):\n%s", diff)
			}
			m, err := wire.Marshal(want)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(m, b) {
				t.Errorf("marshalled\n%x, want\n%x", m, b)
			}
		})
	}
}

func TestEveryVectorIsTested(t *testing.T) {
	files, err := filepath.Glob("testdata/*.hex")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".hex")
		if messages[name] == nil && name != "payload" {
			t.Errorf("%s has no expectation", f)
		}
	}
	if want := len(messages) + 1; len(files) != want {
		t.Errorf("%d vectors, want %d", len(files), want)
	}
}

func TestParsedMessageKeepsNothingOfItsInput(t *testing.T) {
	for name, want := range messages {
		b := load(t, name)
		got, err := wire.Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		clear(b)
		if diff := cmp.Diff(want, got, same()); diff != "" {
			t.Errorf("%s after its buffer was reused (-want +got):\n%s", name, diff)
		}
	}
}

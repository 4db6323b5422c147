// SPDX-License-Identifier: MIT

package wire_test

import (
	"bytes"
	"net/netip"
	"testing"

	"shim6/daemon/wire"
)

// RFC 5533 sections 5.4 to 5.11: "Hdr Ext Len: At least 1, since the header is 16 octets when there are no options.", for
// I2 "At least 2, since the header is 24 octets", for I2bis "At least 3, since the header is 32 octets". RFC 5534 section
// 5.2: the first report "MUST be present".
func TestShortMessageIsDropped(t *testing.T) {
	for name, least := range map[string]int{
		"i1": 16, "r1": 16, "i2": 24, "r2": 16, "r1bis": 16, "i2bis": 32, "update-request": 16, "update-ack": 16,
		"keepalive": 16, "probe": 56, "error-unknown-type": 16,
	} {
		for n := 8; n < least; n += 8 {
			dropped(t, fix(load(t, name)[:n]), wire.ReasonBadLength)
		}
		if name == "probe" || name == "error-unknown-type" {
			continue
		}
		if _, err := wire.Parse(fix(load(t, name)[:least])); err != nil {
			t.Errorf("%s of %d octets: %v", name, least, err)
		}
	}
}

func TestTruncatedMessage(t *testing.T) {
	for name := range messages {
		whole := load(t, name)
		for n := range whole {
			dropped(t, bytes.Clone(whole[:n]), wire.ReasonTruncated)
			if n < 8 {
				continue
			}
			// With the length made to fit, what is left is either a message of its own or refused.
			m, err := wire.Parse(fix(bytes.Clone(whole[:n])))
			if err != nil {
				refused(t, fix(bytes.Clone(whole[:n])))
				continue
			}
			if _, err := wire.Marshal(m); err != nil {
				t.Errorf("%s of %d octets: %v", name, n, err)
			}
		}
	}
}

// RFC 5533 sections 5.4 to 5.11: "Reserved for future use. Zero on transmit. MUST be ignored on receipt."
func TestReservedBitsAreIgnored(t *testing.T) {
	reserved := map[string][]int{ // octets of Reserved2
		"i1": nil, "r1": {6, 7}, "i2": {20, 21, 22, 23}, "r2": nil, "r1bis": nil, "i2bis": {20, 21, 22, 23, 24, 25},
		"update-request": nil, "update-ack": nil, "keepalive": {12, 13, 14, 15}, "probe": {14, 15},
	}
	for name, rs := range reserved {
		b := load(t, name)
		b[3] |= 0xfe
		if name != "r1" {
			b[6] |= 0x80
		}
		for _, i := range rs {
			b[i] = 0xff
		}
		switch name {
		case "i2bis":
			b[26] |= 0x80
		case "probe":
			b[13] |= 0x3f
		}
		accepted(t, sign(b), messages[name])
	}
}

// RFC 5533 section 5.1: "Shim6 signaling packets may not be larger than 1280 bytes, including the IPv6 header".
func TestMarshalKeepsTo1280(t *testing.T) {
	m := &wire.R1{Options: wire.Options{Validator: make([]byte, wire.MaxControl-16-4)}}
	b, err := wire.Marshal(m)
	if err != nil || len(b) != wire.MaxControl {
		t.Fatalf("%d octets, %v, want %d", len(b), err, wire.MaxControl)
	}
	accepted(t, b, m)
	for _, n := range []int{len(m.Validator) + 1, 1 << 16, 1 << 20} {
		if b, err := wire.Marshal(&wire.R1{Options: wire.Options{Validator: make([]byte, n)}}); err == nil {
			t.Errorf("a validator of %d octets gives %d octets", n, len(b))
		}
	}
}

func TestLongestMessageParses(t *testing.T) {
	b := make([]byte, 2048)
	b[0], b[2] = 59, byte(wire.TypeR1)
	b[17] = 2                    // Responder Validator
	b[18], b[19] = 2028>>8, 0xec // to the end
	accepted(t, fix(b), &wire.R1{Options: wire.Options{Validator: make([]byte, 2028)}})
}

// RFC 5533 section 5.3: "Normally set to NO_NXT_HDR (59)."; section 5.4 and others: "Zero on transmit."
func TestMarshalledHeader(t *testing.T) {
	for name, m := range messages {
		b, err := wire.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if b[0] != 59 || len(b) != (int(b[1])+1)*8 || b[2] != byte(m.Type()) || b[3]&1 != 0 {
			t.Errorf("%s: header %x of %d octets", name, b[:4], len(b))
		}
	}
}

func TestZeroTagParses(t *testing.T) {
	m := &wire.I1{InitNonce: 1}
	b, err := wire.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	accepted(t, b, m)
}

func TestMarshalRefusesWhatDoesNotFit(t *testing.T) {
	const wide = wire.ContextTag(1 << 47)
	v4, zoned := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("fe80::1%eth0")
	report := wire.ProbeReport{Src: a1, Dst: b1}
	for name, m := range map[string]wire.Message{
		"i1 tag":              &wire.I1{InitiatorTag: wide},
		"i2 tag":              &wire.I2{InitiatorTag: wide},
		"r2 tag":              &wire.R2{ResponderTag: wide},
		"r1bis tag":           &wire.R1bis{PacketTag: wide},
		"i2bis initiator tag": &wire.I2bis{InitiatorTag: wide},
		"i2bis packet tag":    &wire.I2bis{PacketTag: wide},
		"update request tag":  &wire.UpdateRequest{ReceiverTag: wide},
		"update ack tag":      &wire.UpdateAck{ReceiverTag: wide},
		"keepalive tag":       &wire.Keepalive{ReceiverTag: wide},
		"probe tag":           &wire.Probe{ReceiverTag: wide, Sent: []wire.ProbeReport{report}},
		"no sent report":      &wire.Probe{},
		"16 sent reports":     &wire.Probe{Sent: make([]wire.ProbeReport, 16)},
		"16 received reports": &wire.Probe{Sent: []wire.ProbeReport{report}, Received: make([]wire.ProbeReport, 16)},
		"probe state 3":       &wire.Probe{State: 3, Sent: []wire.ProbeReport{report}},
		"report without src":  &wire.Probe{Sent: []wire.ProbeReport{{Dst: b1}}},
		"report to IPv4":      &wire.Probe{Sent: []wire.ProbeReport{{Src: a1, Dst: v4}}},
		"zoned ULID":          &wire.I1{Options: wire.Options{ULIDs: &wire.ULIDPairOption{Sender: zoned, Receiver: b1}}},
		"missing ULID":        &wire.I1{Options: wire.Options{ULIDs: &wire.ULIDPairOption{Sender: a1}}},
		"IPv4 locator":        &wire.R2{Options: wire.Options{Locators: &wire.LocatorList{Locators: []wire.Locator{{Addr: v4}}}}},
		"256 locators":        &wire.R2{Options: wire.Options{Locators: &wire.LocatorList{Locators: make([]wire.Locator, 256)}}},
		"error code 128":      &wire.ErrorMsg{Code: 128, Packet: make([]byte, 40)},
		"error without quote": &wire.ErrorMsg{Packet: make([]byte, 7)},
	} {
		if b, err := wire.Marshal(m); err == nil {
			t.Errorf("%s: marshalled as %x", name, b)
		}
	}
}

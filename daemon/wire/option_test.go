// SPDX-License-Identifier: MIT

package wire_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"shim6/daemon/wire"
)

// withOptions appends options, in hexadecimal and padded, to a vector.
func withOptions(t testing.TB, name string, options ...string) []byte {
	t.Helper()
	b := load(t, name)
	for _, o := range options {
		b = append(b, unhex(t, o)...)
	}
	return fix(b)
}

// options cuts what follows the first n octets of a message into its options.
func options(b []byte, n int) [][]byte {
	var os [][]byte
	for b = b[n:]; len(b) > 0; {
		size := (int(binary.BigEndian.Uint16(b[2:])) + 4 + 7) &^ 7
		os = append(os, b[:size])
		b = b[size:]
	}
	return os
}

// RFC 5533 section 5.15: "If C=0, then the option is silently ignored, and the rest of the message is processed."
// Section 12.3: "All the control messages can contain any options with C=0."
func TestUnknownOptionIsIgnored(t *testing.T) {
	for name, want := range messages {
		if want.Type() == wire.TypeError {
			continue
		}
		for _, o := range []string{
			"0000 0000 0000 0000",                     // type 0, reserved
			"0010 0004 0102 0304",                     // type 8
			"0016 0005 0102 0304 0500 0000 0000 0000", // type 11
			"0020 0001 0100 0000",                     // type 16
			"8000 0004 0102 0304",                     // type 16384
			"fffe 0004 0102 0304",                     // type 32767
		} {
			accepted(t, withOptions(t, name, o), want)
			accepted(t, withOptions(t, name, o, o), want) // twice is no fault in what is ignored
		}
	}
}

// RFC 5533 section 5.15: "Type: 15-bit identifier of the type of option."
func TestTypesOfUnknownOptions(t *testing.T) {
	for typ := range uint16(1 << 15) {
		if 1 <= typ && typ <= 7 || typ == 10 {
			continue
		}
		b := append(load(t, "i2"), byte(typ>>7), byte(typ<<1), 0, 4, 1, 2, 3, 4)
		if m, err := wire.Parse(fix(b)); err != nil || m.(*wire.I2).InitiatorTag != tagInit {
			t.Fatalf("option %d: %v, %v", typ, m, err)
		}
		b[49] |= 1
		if pe := refused(t, sign(b)); !pe.Reply || pe.Pointer != 48 {
			t.Fatalf("critical option %d: %+v", typ, pe)
		}
	}
}

// RFC 5533 section 5.15: "If C=1, then the host SHOULD send back a Shim6 Error message with Error Code=1, with the Pointer
// field referencing the first octet in the Option Type field. When C=1, the rest of the message MUST NOT be processed."
// Section 12.3: "the host MUST send a Shim6 Error message".
func TestUnknownCriticalOptionIsAnswered(t *testing.T) {
	for name, m := range messages {
		if m.Type() == wire.TypeError {
			continue
		}
		at := len(load(t, name))
		for _, o := range []string{
			"0001 0000 0000 0000", "0011 0004 0102 0304", "0017 0005 0102 0304 0500 0000 0000 0000",
			"0021 0001 0100 0000", "8001 0004 0102 0304", "ffff 0004 0102 0304",
		} {
			// Nothing behind it is looked at, be it never so wrong.
			for _, tail := range [][]string{{o}, {o, "0002 ffff 0000 0000"}, {o, o}} {
				pe := refused(t, withOptions(t, name, tail...))
				if pe.Reason != wire.ReasonUnknownCriticalOption || !pe.Reply || pe.Code != 1 || pe.Pointer != at {
					t.Errorf("%s with option %s: %+v", name, o, pe)
				}
			}
			// Ignored options in front move the pointer.
			pe := refused(t, withOptions(t, name, "8000 0009 0102 0304 0506 0708 0900 0000", o))
			if !pe.Reply || pe.Pointer != at+16 {
				t.Errorf("%s with option %s behind another: %+v", name, o, pe)
			}
		}
	}
}

// TestPointersOfErrors takes the vector of a critical option and follows its packet in error and pointer.
func TestPointersOfErrors(t *testing.T) {
	quoted := messages["error-critical-option"].(*wire.ErrorMsg)
	pe := refused(t, quoted.Packet[40:])
	if pe.Code != quoted.Code || 40+pe.Pointer != int(quoted.Pointer) {
		t.Errorf("%+v, want code %d and pointer %d", pe, quoted.Code, quoted.Pointer-40)
	}
	b := bytes.Clone(quoted.Packet[40:])
	b[17] = 0 // C=0
	accepted(t, sign(b), messages["i1"])

	quoted = messages["error-unknown-type"].(*wire.ErrorMsg)
	pe = refused(t, quoted.Packet[40:])
	if pe.Code != quoted.Code || 40+pe.Pointer != int(quoted.Pointer) {
		t.Errorf("%+v, want code %d and pointer %d", pe, quoted.Code, quoted.Pointer-40)
	}
}

// wellFormed has one good option of each known type, C=0.
var wellFormed = map[string]string{
	"Responder Validator": "0002 0002 a0a1 0000",
	"Locator List":        "0004 001c cafe babe 0101 0000 0000 0000 2001 0db8 000a 0001 0000 0000 0000 0001",
	"Locator Preferences": "0006 0006 cafe babe 0101 0000 0000 0000",
	"CGA PDS":             "0008 0001 0100 0000",
	"CGA Signature":       "000a 0004 0102 0304",
	"ULID Pair": `000c 0024 0000 0000 2001 0db8 000a 0001 0000 0000 0000 0001
	              2001 0db8 000b 0001 0000 0000 0000 0001`,
	"Forked Instance Identifier": "000e 0004 0000 0007",
	"Keepalive Timeout":          "0014 0004 0000 0014",
}

// listed tells which options the RFC lists for a message.
func listed(typ wire.MessageType, option string) bool {
	switch option {
	case "Responder Validator": // RFC 5533 sections 5.5, 5.6, 5.8, 5.9
		return typ == wire.TypeR1 || typ == wire.TypeI2 || typ == wire.TypeR1bis || typ == wire.TypeI2bis
	case "ULID Pair", "Forked Instance Identifier": // RFC 5533 sections 5.4, 5.6, 5.9
		return typ == wire.TypeI1 || typ == wire.TypeI2 || typ == wire.TypeI2bis
	}
	// RFC 5533 sections 5.6, 5.7, 5.9, 5.10; RFC 5534 section 5.3: "This option MAY be sent in the I2, I2bis, R2, or
	// UPDATE messages."
	return typ == wire.TypeI2 || typ == wire.TypeR2 || typ == wire.TypeI2bis || typ == wire.TypeUpdateRequest
}

// bare cuts a vector's options off.
func bare(t testing.TB, name string) []byte {
	n := map[string]int{"i2": 24, "i2bis": 32, "probe": 56}[name]
	if n == 0 {
		n = 16
	}
	return load(t, name)[:n:n]
}

var optionCarriers = []string{
	"i1", "r1", "i2", "r2", "r1bis", "i2bis", "update-request", "update-ack", "keepalive", "probe",
}

// RFC 5533 section 5.15: "or that is not listed as a valid option for the different message types above, then the Critical
// bit in the option determines the outcome."
func TestOptionsListedForEachMessage(t *testing.T) {
	for _, name := range optionCarriers {
		plain, err := wire.Parse(fix(bare(t, name)))
		if err != nil {
			t.Fatal(err)
		}
		for option, text := range wellFormed {
			b := fix(append(bare(t, name), unhex(t, text)...))
			critical := bytes.Clone(b)
			at := len(bare(t, name))
			critical[at+1] |= 1
			sign(critical)

			got, err := wire.Parse(b)
			if err != nil {
				t.Fatalf("%s with %s: %v", name, option, err)
			}
			if !listed(plain.Type(), option) {
				accepted(t, b, plain)
				if pe := refused(t, critical); !pe.Reply || pe.Code != 1 || pe.Pointer != at {
					t.Errorf("%s with critical %s: %+v", name, option, pe)
				}
				continue
			}
			if out, err := wire.Marshal(got); err != nil || !bytes.Equal(out, b) {
				t.Errorf("%s with %s: marshalled as %x, %v, want %x", name, option, out, err, b)
			}
			accepted(t, critical, got) // C=1 asks for what is done anyway
		}
	}
}

// An option that is not listed for a message is not looked into.
func TestUnlistedOptionIsNotChecked(t *testing.T) {
	for _, o := range []string{"000e 0001 0000 0000", "0004 0000 0000 0000", "000c 0003 0000 0000"} {
		accepted(t, withOptions(t, "update-ack", o), messages["update-ack"])
	}
}

func TestMarshalRefusesUnlistedOption(t *testing.T) {
	for name, m := range map[string]wire.Message{
		"i1 with validator":        &wire.I1{Options: wire.Options{Validator: validator}},
		"r1 with ulids":            &wire.R1{Options: wire.Options{ULIDs: &wire.ULIDPairOption{Sender: a1, Receiver: b1}}},
		"r2 with fii":              &wire.R2{Options: wire.Options{FII: new(uint32(1))}},
		"r1bis with pds":           &wire.R1bis{Options: wire.Options{PDS: []byte{1}}},
		"update ack with locators": &wire.UpdateAck{Options: wire.Options{Locators: &wire.LocatorList{}}},
		"keepalive with timeout":   &wire.Keepalive{Options: wire.Options{KeepaliveTimeout: new(uint16(1))}},
		"probe with preferences": &wire.Probe{
			Sent: reports(1, 1), Options: wire.Options{Preferences: &wire.LocatorPreferences{}},
		},
	} {
		if b, err := wire.Marshal(m); err == nil {
			t.Errorf("%s: marshalled as %x", name, b)
		}
	}
}

func TestOptionOrderIsFree(t *testing.T) {
	whole := load(t, "i2-all-options")
	os := options(whole, 24)
	if len(os) != 8 {
		t.Fatalf("%d options, want 8", len(os))
	}
	for shift := range os {
		b := bytes.Clone(whole[:24])
		back := bytes.Clone(whole[:24])
		for i := range os {
			b = append(b, os[(i+shift)%len(os)]...)
			back = append(back, os[(2*len(os)-1-i-shift)%len(os)]...)
		}
		accepted(t, fix(b), messages["i2-all-options"])
		accepted(t, fix(back), messages["i2-all-options"])
	}
}

func TestDuplicateOptionIsDropped(t *testing.T) {
	whole := load(t, "i2-all-options")
	for _, o := range options(whole, 24) {
		dropped(t, fix(append(bytes.Clone(whole), o...)), wire.ReasonDuplicateOption)
		critical := bytes.Clone(o)
		critical[1] |= 1
		dropped(t, fix(append(bytes.Clone(whole), critical...)), wire.ReasonDuplicateOption)
	}
}

// RFC 5533 section 5.15.6: "Length = 36"; section 5.15.7: "Length = 4"; RFC 5534 section 5.3: "Length = 4".
func TestFixedLengthOptionOfAnotherLengthIsDropped(t *testing.T) {
	for typ, length := range map[uint16]int{6: 36, 7: 4, 10: 4} {
		for n := range 100 {
			o := make([]byte, (4+n+7)&^7)
			binary.BigEndian.PutUint16(o, typ<<1)
			binary.BigEndian.PutUint16(o[2:], uint16(n))
			b := fix(append(load(t, "i2"), o...))
			if n != length {
				dropped(t, b, wire.ReasonBadOptionLength)
			} else if _, err := wire.Parse(b); err != nil {
				t.Errorf("option %d of %d octets: %v", typ, n, err)
			}
		}
	}
}

func TestOverlongOptionIsDropped(t *testing.T) {
	for _, typ := range []string{"0002", "0004", "0006", "0008", "000a", "000c", "000e", "0014", "8000", "8001"} {
		for _, length := range []string{"0005", "000c", "0104", "fff8", "ffff"} {
			dropped(t, withOptions(t, "i2", typ+length+"00000000"), wire.ReasonOptionOverrun)
		}
	}
}

// RFC 5533 section 5.15: "Any added padding bytes MUST be zeroed by the sender, and their values SHOULD NOT be checked by
// the receiver."
func TestPaddingIsNotChecked(t *testing.T) {
	b := load(t, "i2-all-options")
	for _, o := range options(b, 24) {
		for i := 4 + int(binary.BigEndian.Uint16(o[2:])); i < len(o); i++ {
			if o[i] != 0 {
				t.Errorf("padding %x", o[i])
			}
			o[i] = 0xff
		}
	}
	if bytes.Equal(b, load(t, "i2-all-options")) {
		t.Fatal("the vector has no padding")
	}
	accepted(t, sign(b), messages["i2-all-options"])
}

// RFC 5533 section 5.15: "padding = 7 - ((Length + 3) mod 8)"; "If padding is added, the Length field MUST NOT include the
// padding."; section 5.15.1: the validator is a "Variable length content whose interpretation is local to the responder."
func TestValidatorOfAnyLength(t *testing.T) {
	for n := range 70 {
		m := &wire.R1{Options: wire.Options{Validator: octets(1, n)}}
		b, err := wire.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		o := b[16:]
		if got := int(binary.BigEndian.Uint16(o[2:])); got != n {
			t.Errorf("length %d, want %d", got, n)
		}
		if want := 4 + n + 7 - (n+3)%8; len(o) != want {
			t.Errorf("%d octets take %d, want %d", n, len(o), want)
		}
		accepted(t, b, m)
	}
}

func TestEmptyOptionIsPresent(t *testing.T) {
	got, err := wire.Parse(withOptions(t, "r2", "0008 0000 0000 0000", "000a 0000 0000 0000"))
	if err != nil {
		t.Fatal(err)
	}
	r2 := got.(*wire.R2)
	if r2.PDS == nil || len(r2.PDS) != 0 || r2.Signature == nil || len(r2.Signature) != 0 || r2.Validator != nil {
		t.Errorf("%#v", r2)
	}
}

// RFC 5533 section 5.15.6: "Reserved2: 32-bit field. Reserved for future use. Zero on transmit. MUST be ignored on
// receipt."
func TestULIDPairReservedIsIgnored(t *testing.T) {
	b := load(t, "i1-forked")
	copy(b[20:24], []byte{255, 255, 255, 255})
	accepted(t, sign(b), messages["i1-forked"])
}

func TestForkedInstanceZeroIsPresent(t *testing.T) {
	want := &wire.I1{InitiatorTag: tagInit, InitNonce: 0x11223344, Options: wire.Options{FII: new(uint32(0))}}
	accepted(t, withOptions(t, "i1", "000e 0004 0000 0000"), want)
}

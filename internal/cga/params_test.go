// SPDX-License-Identifier: MIT

package cga

import (
	"bytes"
	"encoding/asn1"
	"errors"
	"strings"
	"testing"
)

func TestParseRFC3972Example(t *testing.T) {
	p := mustParse(t, rfcParams)
	if p.Modifier != *modifier(rfcModifier) || p.Prefix != prefix("fe80::") || p.CollisionCount != 0 {
		t.Errorf("got %+v", p)
	}
	wantOctets(t, "public key", p.PublicKey, rfcKeyHex)
	if len(p.Extensions) != 0 {
		t.Errorf("got extensions %v", p.Extensions)
	}
	wantOctets(t, "marshalled structure", p.Marshal(), rfcParams)
}

func TestParsedParamsShareNoMemory(t *testing.T) {
	b := unhex(rfcParams + "fffd0001aa")
	p, err := ParseParams(b)
	if err != nil {
		t.Fatal(err)
	}
	clear(b)
	wantOctets(t, "structure", p.Marshal(), rfcParams+"fffd0001aa")
}

// header is a structure up to the public key.
const header = rfcModifier + "fe80000000000000" + "00"

func TestParseParams(t *testing.T) {
	long := strings.Repeat("00", 300)
	for _, tt := range []struct {
		name   string
		octets string
		offset int    // of the error
		detail string // part of the error, empty when it parses
	}{
		{"empty", "", 0, "before the public key"},
		{"ends in the header", header[:2*24], 24, "before the public key"},
		{"header alone", header, 25, "DER header"},
		{"one octet of key", header + "30", 25, "DER header"},
		{"key is no sequence", header + "0200", 25, "tag 0x02"},
		{"key is a primitive sequence", header + "1000", 25, "tag 0x10"},
		{"empty key", header + "3000", 0, ""},
		{"key beyond the end", header + "300401", 25, "only 1 octets"},
		{"long length beyond the end", header + "308180" + "00", 25, "only 1 octets"},
		{"indefinite length", header + "30800000", 25, "indefinite"},
		{"length of length 5", header + "30850000000001ff", 25, "at most 2"},
		{"length of length 127", header + "30ff", 25, "at most 2"},
		{"four octets of length", header + "3084ffffffff", 25, "at most 2"},
		{"ends in the length", header + "308201", 25, "inside its DER length"},
		{"0x81 with a short length", header + "30817f" + strings.Repeat("00", 127), 25, "shortest"},
		{"0x82 with a one-octet length", header + "308200ff" + strings.Repeat("00", 255), 25, "shortest"},
		{"0x81", header + "308180" + strings.Repeat("00", 128), 0, ""},
		{"0x82", header + "30820100" + strings.Repeat("00", 256), 0, ""},
		{"one octet after the key", header + "3000" + "ff", 27, "1 octets left"},
		{"three octets after the key", header + "3000" + "fffd00", 27, "3 octets left"},
		{"empty extension", header + "3000" + "fffd0000", 0, ""},
		{"extension beyond the end", header + "3000" + "fffd0002aa", 27, "2 octets of data, 1 are left"},
		{"second extension beyond the end", header + "3000" + "fffd0001aa" + "fffeffff", 32, "65535 octets of data, 0 are left"},
		{"several extensions", header + "3000" + "fffd0001aa" + "001200020000" + "fffe012c" + long, 0, ""},
		{"collision count 255", rfcModifier + "fe80000000000000" + "ff" + rfcKeyHex, 0, ""},
		{"largest", header + "3000" + "fffdffe0" + strings.Repeat("00", 65504-60) + strings.Repeat("00", 60), 0, ""},
		{"too large", header + "3000" + "fffdffe1" + strings.Repeat("00", 65505), 65535, "at most 65535"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := unhex(tt.octets)
			p, err := ParseParams(b)
			if tt.detail == "" {
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(p.Marshal(), b) {
					t.Errorf("marshals to %x", p.Marshal())
				}
				return
			}
			var pe *ParseError
			if !errors.As(err, &pe) {
				t.Fatalf("got %v, want a parse error with %q", err, tt.detail)
			}
			if pe.Offset != tt.offset || !strings.Contains(pe.Detail, tt.detail) {
				t.Errorf("got octet %d, %q; want octet %d, %q", pe.Offset, pe.Detail, tt.offset, tt.detail)
			}
		})
	}
}

// Every proper prefix of a structure with an extension is malformed, save the one that ends with the key.
func TestParseParamsCutShort(t *testing.T) {
	b := unhex(rfcParams + "fffd0003aabbcc")
	for n := range b {
		_, err := ParseParams(b[:n])
		if want := n == len(b)-7; (err == nil) != want {
			t.Errorf("%d of %d octets: %v", n, len(b), err)
		}
	}
}

// RFC 3972 section 3: the public key is a DER structure; encoding/asn1 is the second opinion about where it ends.
func TestSequenceLenAgreesWithASN1(t *testing.T) {
	body := make([]byte, 70000)
	for _, size := range []int{0, 1, 127, 128, 129, 255, 256, 257, 65000, 65530, 65531, 65535} {
		der, err := asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: body[:size]})
		if err != nil {
			t.Fatal(err)
		}
		n, err := sequenceLen(append(der, 0x30, 0))
		if err != nil || n != len(der) {
			t.Errorf("size %d: got %d, %v; want %d", size, n, err, len(der))
		}
	}
}

func FuzzParseParams(f *testing.F) {
	for _, s := range []string{
		"", header, rfcParams, rfcParams + "fffd0001aa",
		header + nonceKeyHex + "0012000c00000000fe80000000000000",
		header + rawKeyHex, header + "308200ff", header + "3084ffffffff", header + "3000fffdffff",
	} {
		f.Add(unhex(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParseParams(b)
		if len(b) > offKey {
			var raw asn1.RawValue
			rest, derr := asn1.Unmarshal(b[offKey:], &raw)
			sequence := derr == nil && raw.FullBytes[0] == tagSequence
			n, serr := sequenceLen(b[offKey:])
			if (serr == nil) != sequence || sequence && n != len(b)-offKey-len(rest) {
				t.Fatalf("key of %d octets, %v; encoding/asn1 says %d, %v", n, serr, len(raw.FullBytes), derr)
			}
		}
		if err != nil {
			return
		}
		if got := p.Marshal(); !bytes.Equal(got, b) {
			t.Fatalf("marshals to %x", got)
		}
		if err := p.check(); err != nil {
			t.Fatalf("parses, but does not pass the check for writing: %v", err)
		}
		p.Strength()
		if a, err := p.Address(0); err == nil {
			if err := Verify(a, p); err != nil {
				t.Fatalf("its own address %v: %v", a, err)
			}
		}
	})
}

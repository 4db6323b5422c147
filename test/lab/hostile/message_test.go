// SPDX-License-Identifier: MIT

package hostile

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

// keepalive is a Keepalive as RFC 5534 section 5.1 draws it.
const keepalive = `3b 01 # next header, length
42 00 0000 # Keepalive, checksum
1234 5678 9abc 00000000
`

func parse(t *testing.T) Message {
	t.Helper()
	m, err := ParseHex("keepalive", keepalive)
	if err != nil {
		t.Fatal(err)
	}
	return Message{m.Name, sum(m.Octets)}
}

func TestWithTag(t *testing.T) {
	got := parse(t).WithTag(0x0102030405).Octets
	// 0x3b01 + 0x4200 + 0x0001 + 0x0203 + 0x0405 = 0x830a, its complement is 0x7cf5.
	want := "3b0142007cf500010203040500000000"
	if hex.EncodeToString(got) != want {
		t.Errorf("with tag = %x, want %s", got, want)
	}
}

func TestVariantsDiffer(t *testing.T) {
	m := parse(t)
	refusable := m.Refusable()
	if want := len(m.Octets) + 16 + 1; len(refusable) != want {
		t.Errorf("%d variants to refuse, want %d", len(refusable), want)
	}
	for _, v := range refusable {
		if bytes.Equal(v.Octets, m.Octets) {
			t.Errorf("%s is the message itself", v.Name)
		}
	}
	last := refusable[len(refusable)-1].Octets
	if len(last) != 24 || last[1] != 2 {
		t.Errorf("with one option more: %x, want 24 octets and length 2", last)
	}
	if n := len(m.Mutants()); n != 1+7*5 {
		t.Errorf("%d mutants, want %d", n, 1+7*5)
	}
}

func TestParseHexRefusesWhatIsNoMessage(t *testing.T) {
	for _, text := range []string{"", "3b", "zz", strings.Repeat("0", 17)} {
		if m, err := ParseHex("x", text); err == nil {
			t.Errorf("%q was read as %x", text, m.Octets)
		}
	}
}

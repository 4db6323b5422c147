// SPDX-License-Identifier: MIT

package search

import (
	"slices"
	"testing"
)

// With the extension a candidate costs one compression at any length of the input, and every engine can search it.
func TestExtensionField(t *testing.T) {
	for n := headSize + 30; n < headSize+800; n++ {
		data, f := ExtensionField(n)
		whole := n + extensionHead + data
		if data < 8 || data > 71 || f.Offset+f.Len != whole || f.Offset < n+extensionHead {
			t.Fatalf("%d octets: extension of %d, field %+v", n, data, f)
		}
		j, err := Job{Input: make([]byte, whole), Zeros: 32, Field: f}.normal()
		if err != nil {
			t.Fatal(err)
		}
		p := newPlan(j)
		if p.compressions() != 1 || !p.fixed() || p.width != 26 {
			t.Fatalf("%d octets: %d compressions, fixed %t, %d bits in the word", n, p.compressions(), p.fixed(), p.width)
		}
		for _, e := range engines {
			if !e.can(p) {
				t.Fatalf("%d octets: engine %s cannot", n, e.name)
			}
		}
	}
}

// The pseudo key of an HBA-only set saves one compression, in the form of RFC 5535 section 5.1 with 78 octets, in the one
// whose modulus begins with a zero bit, and in the bare one that is found in the field.
func TestFreeFieldPseudoKey(t *testing.T) {
	for _, tt := range []struct{ size, modulus, key int }{{78, 25, 78}, {77, 24, 77}, {68, 20, 68}} {
		first := headSize + tt.modulus
		f, ok := FreeField(first, first+48)
		if !ok || f.Offset < first || f.Offset+f.Len > first+48 {
			t.Fatalf("key of %d octets: %+v, %t", tt.size, f, ok)
		}
		for prefixes := 1; prefixes <= 15; prefixes++ {
			in := random(7, headSize+tt.key+8+8*prefixes)
			key, err := Job{Input: in, Zeros: 32, Field: f}.normal()
			if err != nil {
				t.Fatal(err)
			}
			modifier, err := Job{Input: in, Zeros: 32}.normal()
			if err != nil {
				t.Fatal(err)
			}
			if a, b := newPlan(key), newPlan(modifier); a.compressions() != b.compressions()-1 || !slices.ContainsFunc(engines, func(e *engine) bool { return e.can(a) }) {
				t.Errorf("key of %d octets, %d prefixes: %d compressions, %d by the modifier", tt.size, prefixes, a.compressions(), b.compressions())
			}
		}
	}
}

// Nothing is better than the modifier in too few octets, or in the first block.
func TestFreeFieldNone(t *testing.T) {
	for _, tt := range [][2]int{{25, 64}, {25, 79}, {25, 20}, {73, 98}, {100, 143}, {80, 80}} {
		if f, ok := FreeField(tt[0], tt[1]); ok {
			t.Errorf("octets %d to %d: %+v", tt[0], tt[1], f)
		}
	}
	if f, ok := FreeField(25, 1000); !ok || f != (Field{Offset: 960, Len: 16}) {
		t.Errorf("octets 25 to 1000: %+v, %t", f, ok)
	}
}

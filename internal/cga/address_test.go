// SPDX-License-Identifier: MIT

package cga

import (
	"errors"
	"math/big"
	"net/netip"
	"testing"
)

func TestHashesOfRFC3972Example(t *testing.T) {
	p := mustParse(t, rfcParams)
	h1, h2 := p.Hash1(), p.Hash2()
	wantOctets(t, "hash1", h1[:], "fd4a5bf6ffb4ca6c")
	wantOctets(t, "hash2", h2[:], "000001ca680b83888d0912dffcce")
	p.Modifier = *modifier(rfcStart)
	h2 = p.Hash2()
	wantOctets(t, "hash2 of the start", h2[:], "436b9a70dbfddbf1926e6e6629c0")
}

func TestAddressOfRFC3972Example(t *testing.T) {
	for _, tt := range []struct {
		sec, collisions uint8
		want            string
	}{
		{1, 0, rfcAddress},
		{1, 1, "fe80::3883:fd4b:a771:6030"},
		{1, 2, "fe80::2c92:30cd:6374:398a"},
		{0, 0, "fe80::1c4a:5bf6:ffb4:ca6c"},
		{2, 0, "fe80::5c4a:5bf6:ffb4:ca6c"},
	} {
		p := mustParse(t, rfcParams)
		p.CollisionCount = tt.collisions
		got, err := p.Address(tt.sec)
		if err != nil || got != netip.MustParseAddr(tt.want) {
			t.Errorf("Sec %d, collision count %d: got %v, %v; want %s", tt.sec, tt.collisions, got, err, tt.want)
		}
	}
}

func TestAddressRefuses(t *testing.T) {
	p := mustParse(t, rfcParams)
	for sec := 3; sec < 256; sec++ {
		_, err := p.Address(uint8(sec))
		wantErr(t, err, ErrUnsupportedSec)
	}
	// RFC 3972 section 4, step 8: "after three collisions, stop and report the error".
	p.CollisionCount = 3
	_, err := p.Address(1)
	wantErr(t, err, ErrCollisionCount)
}

func TestStrength(t *testing.T) {
	p := mustParse(t, rfcParams)
	if got := p.Strength(); got != 1 {
		t.Errorf("got %d, want 1", got)
	}
	p.Modifier = *modifier(rfcStart)
	if got := p.Strength(); got != 0 {
		t.Errorf("start modifier: got %d, want 0", got)
	}
}

func TestVerifyRFC3972Example(t *testing.T) {
	addr := netip.MustParseAddr(rfcAddress)
	for _, tt := range []struct {
		name string
		addr netip.Addr
		want error
	}{
		{"as in appendix A", addr, nil},
		{"with a zone", addr.WithZone("eth0"), nil},
		// RFC 3972 section 5, step 4: "Differences in the three leftmost bits and in bits 6 and 7 are ignored".
		{"u set", withIID(addr, func(b []byte) { b[0] |= 2 }), nil},
		{"g set", withIID(addr, func(b []byte) { b[0] |= 1 }), nil},
		{"u and g set", withIID(addr, func(b []byte) { b[0] |= 3 }), nil},
		{"Sec lowered to 0", withIID(addr, func(b []byte) { b[0] &= 0x1f }), nil},
		// RFC 3972 section 5, step 7: the 16*Sec leftmost bits of Hash2 must be zero.
		{"Sec raised to 2", withIID(addr, func(b []byte) { b[0] = b[0]&0x1f | 2<<5 }), ErrHash2},
		{"Sec 3", withIID(addr, func(b []byte) { b[0] = b[0]&0x1f | 3<<5 }), ErrUnsupportedSec},
		{"Sec 7", withIID(addr, func(b []byte) { b[0] |= 7 << 5 }), ErrUnsupportedSec},
		{"IPv4", netip.MustParseAddr("192.0.2.1"), ErrNotIPv6},
		{"no address", netip.Addr{}, ErrNotIPv6},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wantErr(t, Verify(tt.addr, mustParse(t, rfcParams)), tt.want)
		})
	}
}

// RFC 3972 section 5, step 1: "The CGA verification fails if the collision count is out of the valid range."
func TestVerifyCollisionCount(t *testing.T) {
	p := mustParse(t, rfcParams)
	for c := 3; c < 256; c++ {
		p.CollisionCount = uint8(c)
		wantErr(t, Verify(netip.MustParseAddr(rfcAddress), p), ErrCollisionCount)
	}
	for c, a := range []string{rfcAddress, "fe80::3883:fd4b:a771:6030", "fe80::2c92:30cd:6374:398a"} {
		p.CollisionCount = uint8(c)
		if err := Verify(netip.MustParseAddr(a), p); err != nil {
			t.Errorf("collision count %d: %v", c, err)
		}
	}
}

// RFC 3972 section 5, steps 2 and 4: the prefix and 59 bits of the interface identifier must be equal.
func TestVerifyEveryBitOfTheAddress(t *testing.T) {
	p := mustParse(t, rfcParams)
	compared := 0
	for bit := range 128 {
		a := netip.MustParseAddr(rfcAddress).As16()
		a[bit/8] ^= 0x80 >> (bit % 8)
		err := Verify(netip.AddrFrom16(a), p)
		switch {
		case bit < 64:
			wantErr(t, err, ErrPrefix)
		case bit == 64 || bit == 65: // Sec 1 becomes 5 or 3
			wantErr(t, err, ErrUnsupportedSec)
		case bit == 66 || bit == 70 || bit == 71: // Sec 1 becomes 0; u; g
			wantErr(t, err, nil)
		default:
			wantErr(t, err, ErrHash1)
			compared++
		}
	}
	if compared != 59 {
		t.Errorf("%d bits compared, want 59", compared)
	}
}

func TestVerifyEveryOctetOfTheParams(t *testing.T) {
	good := unhex(rfcParams + "fffd0002aabb")
	p, err := ParseParams(good)
	if err != nil {
		t.Fatal(err)
	}
	addr, err := p.Address(0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range good {
		b := append([]byte(nil), good...)
		b[i] ^= 1
		p, err := ParseParams(b)
		if err != nil {
			continue // a length octet
		}
		if err := Verify(addr, p); !errors.Is(err, ErrHash1) && !errors.Is(err, ErrPrefix) {
			t.Errorf("octet %d: %v", i, err)
		}
	}
}

// RFC 3972 section 3: the value of an unrecognized extension field is ignored, and the hash covers it all the same.
func TestVerifyUnknownExtension(t *testing.T) {
	p := mustParse(t, rfcParams+"7777000401020304"+"fffd0000")
	addr, err := p.Address(0)
	if err != nil {
		t.Fatal(err)
	}
	if err := Verify(addr, p); err != nil {
		t.Error(err)
	}
	if p.Extensions = p.Extensions[:1]; Verify(addr, p) == nil {
		t.Error("verifies without its last extension")
	}
}

// The Sec-1 search of a key of 1024 bits, and its Sec-0 addresses.
func TestVerifySignerKey(t *testing.T) {
	for _, tt := range []struct{ modifier, collisions, addr string }{
		{countedStart, "00", "2001:db8:1:2:18a2:c956:a51d:e727"},
		{countedStart, "01", "2001:db8:1:2:c73:252e:e1e8:a7f5"},
		{"000102030405060708090a0b0c0ebb21", "00", "2001:db8:1:2:246c:a7ba:5a48:c469"},
	} {
		p := mustParse(t, tt.modifier+"20010db800010002"+tt.collisions+signerHex)
		if err := Verify(netip.MustParseAddr(tt.addr), p); err != nil {
			t.Errorf("%s: %v", tt.addr, err)
		}
	}
}

func TestFor(t *testing.T) {
	stored := mustParse(t, rfcModifier+"20010db800000000"+"02"+rfcKeyHex)
	before := stored.Marshal()
	for c, a := range []string{rfcAddress, "fe80::3883:fd4b:a771:6030", "fe80::2c92:30cd:6374:398a"} {
		addr := netip.MustParseAddr(a)
		p, err := stored.For(addr)
		if err != nil {
			t.Errorf("%s: %v", a, err)
			continue
		}
		if int(p.CollisionCount) != c || p.Prefix != prefix("fe80::") {
			t.Errorf("%s: collision count %d, prefix %x", a, p.CollisionCount, p.Prefix)
		}
		if err := Verify(addr, p); err != nil {
			t.Errorf("%s: %v", a, err)
		}
	}
	if string(stored.Marshal()) != string(before) {
		t.Error("For changed its receiver")
	}
	for a, want := range map[string]error{
		"fe80::3c4a:5bf6:ffb4:ca6d": ErrHash1,
		"fe80::5c4a:5bf6:ffb4:ca6c": ErrHash2,
		"fe80::fc4a:5bf6:ffb4:ca6c": ErrUnsupportedSec,
		"192.0.2.1":                 ErrNotIPv6,
	} {
		_, err := stored.For(netip.MustParseAddr(a))
		wantErr(t, err, want)
	}
}

// RFC 3972 section 4, step 6: the three leftmost bits are Sec, and "the u and g bits" are zero, whatever Hash1 is.
func TestAddressBits(t *testing.T) {
	p := mustParse(t, rfcParams)
	for i := range 256 {
		p.Modifier[15] = byte(i)
		h := p.Hash1()
		for sec := range uint8(MaxSec + 1) {
			a, err := p.Address(sec)
			if err != nil {
				t.Fatal(err)
			}
			b := a.As16()
			if b[8] != sec<<5|h[0]&0x1c || [7]byte(b[9:]) != [7]byte(h[1:]) || [8]byte(b[:8]) != p.Prefix {
				t.Errorf("Sec %d, hash1 %x: %v", sec, h, a)
			}
		}
	}
}

// RFC 3972 section 5 and RFC 5535 section 7 hash the key and never decode it: what stands there matters only to signatures.
func TestVerifyNeverDecodesTheKey(t *testing.T) {
	modulus := new(big.Int).SetBytes(unhex(signerHex)[29 : 29+128])
	for name, key := range map[string][]byte{
		"empty sequence":   {0x30, 0},
		"even modulus":     spki(t, new(big.Int).Lsh(modulus, 1), big.NewInt(65537)),
		"negative modulus": spki(t, new(big.Int).Neg(modulus), big.NewInt(65537)),
		"exponent 0":       spki(t, modulus, new(big.Int)),
		"even exponent":    spki(t, modulus, big.NewInt(2)),
		"raw nonce":        unhex(rawKeyHex),
	} {
		set := MultiPrefix{P: true, Prefixes: prefixes("2001:db8:1::", "2001:db8:2::")}
		for _, extensions := range [][]Extension{nil, {set.Extension()}} {
			p := &Params{PublicKey: key, Prefix: set.Prefixes[0], Extensions: extensions}
			a, err := p.Address(0)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.VerifyFor(a); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			bad, err := VerifyLocators(a, p.Marshal(), []PeerLocator{{a, MethodCGA}}, 1, make([]byte, 128))
			if bad != -1 || !errors.Is(err, ErrKey) {
				t.Errorf("%s: signature of locator %d: %v", name, bad, err)
			}
			if extensions != nil {
				if _, err := VerifyLocators(a, p.Marshal(), []PeerLocator{{a, MethodHBA}}, 1, nil); err != nil {
					t.Errorf("%s: HBA: %v", name, err)
				}
			}
		}
	}
}

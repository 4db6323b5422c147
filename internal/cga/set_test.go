// SPDX-License-Identifier: MIT

package cga

import (
	"crypto/rsa"
	"crypto/x509"
	"net/netip"
	"slices"
	"testing"
)

// members gives the address of each prefix of the set of p.
func members(t *testing.T, p *Params, sec uint8) []netip.Addr {
	t.Helper()
	m, err := p.MultiPrefix()
	if err != nil || m == nil {
		t.Fatalf("no set, %v", err)
	}
	var all []netip.Addr
	for _, x := range m.Prefixes {
		a, err := p.with(x, p.CollisionCount).Address(sec)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, a)
	}
	return all
}

// wantSet checks that the members of p are a set, and each single one an HBA.
func wantSet(t *testing.T, p *Params, sec uint8) {
	t.Helper()
	all := members(t, p, sec)
	if bad, err := VerifySet(all, p); bad != -1 || err != nil {
		t.Errorf("address %d of the set: %v", bad, err)
	}
	for _, a := range all {
		if err := VerifyHBA(a, p); err != nil {
			t.Errorf("%v: %v", a, err)
		}
	}
}

// RFC 5535 section 6: the whole set shares modifier, collision count, key and extension. The starts of hbaVectors are not
// good for their Sec; the search ends at the modifier of the vector.
func TestGenerateSetVectors(t *testing.T) {
	for _, tt := range hbaVectors {
		t.Run(tt.name, func(t *testing.T) {
			var set [][8]byte
			for _, a := range tt.addrs {
				set = append(set, prefix(a))
			}
			start := countedStart
			if tt.modifier[:4] == "89a8" {
				start = "89a8a8b2e858d8b8f2633f44d2d7c361"
			}
			p, err := Generate(t.Context(), GenerateOptions{
				PublicKey: unhex(tt.key), Nonce: !tt.p, Set: set, Prefix: set[0], Sec: tt.sec, Modifier: modifier(start),
			})
			if err != nil {
				t.Fatal(err)
			}
			// RFC 5535 section 6, step 6.4: a collision of any member changes the collision count of all.
			p.CollisionCount = unhex(tt.collisions)[0]
			wantOctets(t, "structure", p.Marshal(), tt.modifier+hexOf(set[0][:])+tt.collisions+tt.key+tt.mpe)
			var want []netip.Addr
			for _, a := range tt.addrs {
				want = append(want, netip.MustParseAddr(a))
			}
			if got := members(t, p, tt.sec); !slices.Equal(got, want) {
				t.Errorf("set is %v, want %v", got, want)
			}
			wantSet(t, p, tt.sec)
		})
	}
}

// RFC 5535 section 6: "formatted as an RSAPublicKey", with the algorithm rsaEncryption; OpenSSL and Go read it as a key of
// 384 bits.
func TestNewNonce(t *testing.T) {
	seen := make(map[string]bool)
	for range 16 {
		b := NewNonce()
		if len(b) != 78 || !IsNonce(b) {
			t.Fatalf("nonce %x", b)
		}
		k, err := x509.ParsePKIXPublicKey(b)
		if err != nil {
			t.Fatal(err)
		}
		pub := k.(*rsa.PublicKey)
		if pub.N.BitLen() != 384 || pub.N.Bit(0) != 1 || pub.E != 65537 {
			t.Errorf("modulus %x, exponent %d", pub.N, pub.E)
		}
		again, err := x509.MarshalPKIXPublicKey(pub)
		if err != nil || string(again) != string(b) {
			t.Errorf("comes back as %x, %v", again, err)
		}
		seen[string(b)] = true
		// A nonce signs nothing.
		_, err = ParsePublicKey(b)
		wantErr(t, err, ErrKey)
	}
	if len(seen) != 16 {
		t.Errorf("%d nonces in 16 runs", len(seen))
	}
	if !IsNonce(unhex(nonceKeyHex)) || IsNonce(unhex(rawKeyHex)) || IsNonce(unhex(rfcKeyHex)) || IsNonce(nil) {
		t.Error("another form is taken for a nonce, or a nonce is not")
	}
}

func TestVerifySet(t *testing.T) {
	p := mustParse(t, "89a8a8b2e858d8b8f2633f44d2d9bd90"+"fe80000000000000"+"00"+nonceKeyHex+threePrefixes)
	all := members(t, p, 1)
	a, b, c := all[0], all[1], all[2]
	other := withIID(b, func(iid []byte) { iid[7] ^= 1 })
	for _, tt := range []struct {
		name  string
		p     *Params
		addrs []netip.Addr
		bad   int
		want  error
	}{
		{"whole set", p, all, -1, nil},
		{"any order", p, []netip.Addr{c, a, b}, -1, nil},
		{"prefix field of another member", p.with(prefix("2001:660:7301:1::"), 0), all, -1, nil},
		{"prefix field of no member", p.with(prefix("2001:db8::"), 0), all, -1, nil},
		{"one missing", p, []netip.Addr{a, b}, -1, ErrIncomplete},
		{"none", p, nil, -1, ErrIncomplete},
		{"one twice", p, []netip.Addr{a, b, b, c}, 2, ErrIncomplete},
		{"bit changed", p, []netip.Addr{a, other, c}, 1, ErrHash1},
		{"outside the set", p, []netip.Addr{a, b, c, netip.MustParseAddr("2001:db8::1")}, 3, ErrNotInSet},
		{"IPv4", p, []netip.Addr{netip.MustParseAddr("192.0.2.1")}, 0, ErrNotIPv6},
		// Members with different collision counts are not one set.
		{"other collision count", p.with(p.Prefix, 1), all, 0, ErrHash1},
		{"no extension", mustParse(t, rfcParams), all, -1, ErrNoMultiPrefix},
		{"two extensions", mustParse(t, rfcParams+threePrefixes+threePrefixes), all, -1, ErrMultiPrefix},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bad, err := VerifySet(tt.addrs, tt.p)
			if bad != tt.bad {
				t.Errorf("address %d at fault, want %d", bad, tt.bad)
			}
			wantErr(t, err, tt.want)
		})
	}
}

// RFC 5535 section 5: the order of the prefixes is part of the hash, so another order is another set.
func TestPrefixOrderMatters(t *testing.T) {
	set := prefixes("2001:db8:a:1::", "2001:db8:b:1::")
	o := GenerateOptions{PublicKey: unhex(nonceKeyHex), Nonce: true, Set: set, Prefix: set[0], Modifier: modifier(countedStart)}
	p, err := Generate(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	o.Set = [][8]byte{set[1], set[0]}
	q, err := Generate(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	_, err = VerifySet(members(t, p, 0), q)
	wantErr(t, err, ErrHash1)
	if m, err := q.MultiPrefix(); err != nil || !slices.Equal(m.Prefixes, o.Set) {
		t.Errorf("the set has %+v, %v", m, err)
	}
}

// RFC 5535 section 8.1: a host whose HBA set has a key proves an address in a new prefix with a signature; the set and its
// addresses stay as they are.
func TestVerifyLocatorsNewPrefix(t *testing.T) {
	set := prefixes("2001:db8:a:1::", "2001:db8:b:1::")
	p, err := Generate(t.Context(), GenerateOptions{PublicKey: unhex(signerHex), Set: set, Prefix: set[0], Sec: 1})
	if err != nil {
		t.Fatal(err)
	}
	all := members(t, p, 1)
	fresh := netip.MustParseAddr("2001:db8:c:1::5")
	locs := []PeerLocator{{fresh, MethodCGA}, {all[1], MethodHBA}}
	sig, err := Sign(signer(t), SignedData(8, []netip.Addr{fresh}))
	if err != nil {
		t.Fatal(err)
	}
	for _, ulid := range all {
		if bad, err := VerifyLocators(ulid, p.Marshal(), locs, 8, sig); err != nil {
			t.Errorf("ULID %v: locator %d, %v", ulid, bad, err)
		}
	}
	_, err = VerifyLocators(all[0], p.Marshal(), locs, 9, sig)
	wantErr(t, err, ErrSignature)
	_, err = VerifyLocators(all[0], p.Marshal(), []PeerLocator{{fresh, MethodHBA}}, 8, sig)
	wantErr(t, err, ErrNotInSet)
}

// RFC 4982 section 5 leaves the Sec values 3 to 7 to later documents; who insists can have what RFC 3972 said of them.
func TestUnassignedSec(t *testing.T) {
	p := mustParse(t, rfcParams)
	for sec := uint8(3); sec < 8; sec++ {
		a, err := p.AddressUnassigned(sec)
		if err != nil || a.As16()[8]>>5 != sec {
			t.Errorf("Sec %d: %v, %v", sec, a, err)
		}
		wantErr(t, p.VerifyFor(a), ErrUnsupportedSec)
		wantErr(t, p.VerifyUnassigned(a), ErrHash2)
	}
	wantErr(t, p.VerifyUnassigned(netip.MustParseAddr(rfcAddress)), nil)
	_, err := p.AddressUnassigned(8)
	wantErr(t, err, ErrUnsupportedSec)
}

// SPDX-License-Identifier: MIT

package cga

import (
	"net/netip"
	"slices"
	"testing"
)

// made is a structure of the signer key for a prefix, Sec 0, and the address it proves.
func made(t *testing.T, key, pfx string, extensions ...Extension) ([]byte, netip.Addr) {
	t.Helper()
	p := &Params{Modifier: *modifier(countedStart), Prefix: prefix(pfx), PublicKey: unhex(key), Extensions: extensions}
	a, err := p.Address(0)
	if err != nil {
		t.Fatal(err)
	}
	return p.Marshal(), a
}

func signed(t *testing.T, generation uint32, locators ...netip.Addr) []byte {
	t.Helper()
	sig, err := Sign(signer(t), SignedData(generation, locators))
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

func TestVerifyLocators(t *testing.T) {
	set := MultiPrefix{Prefixes: prefixes("2001:db8:a:1::", "2001:db8:b:1::")}
	keyed := MultiPrefix{P: true, Prefixes: set.Prefixes}
	cga, cgaULID := made(t, signerHex, "2001:db8:a:1::")
	hba, hbaULID := made(t, nonceKeyHex, "2001:db8:a:1::", set.Extension())
	_, hbaOther := made(t, nonceKeyHex, "2001:db8:b:1::", set.Extension())
	both, bothULID := made(t, signerHex, "2001:db8:a:1::", keyed.Extension())
	_, bothOther := made(t, signerHex, "2001:db8:b:1::", keyed.Extension())
	nonceAsKey, nonceULID := made(t, signerHex, "2001:db8:a:1::", set.Extension())
	weak, weakULID := made(t, rfcKeyHex, "2001:db8:a:1::")
	twice, twiceULID := made(t, signerHex, "2001:db8:a:1::", keyed.Extension(), keyed.Extension())
	x, y := netip.MustParseAddr("2001:db8:aaaa::1"), netip.MustParseAddr("2001:db8:bbbb::2")
	const gen = 7

	for _, tt := range []struct {
		name string
		ulid netip.Addr
		pds  []byte
		locs []PeerLocator
		sig  []byte
		bad  int
		want error
	}{
		// RFC 5535 section 8.1: only the ULID must be a CGA, the signature vouches for any other locator.
		{"CGA", cgaULID, cga, []PeerLocator{{x, 2}, {y, 2}}, signed(t, gen, x, y), -1, nil},
		{"CGA, ULID in the list", cgaULID, cga, []PeerLocator{{cgaULID, 2}, {x, 2}}, signed(t, gen, cgaULID, x), -1, nil},
		{"empty list", cgaULID, cga, nil, nil, -1, nil},
		{"HBA", hbaULID, hba, []PeerLocator{{hbaULID, 1}, {hbaOther, 1}}, nil, -1, nil},
		{"HBA with the parameters of another member", hbaOther, hba, []PeerLocator{{hbaULID, 1}}, nil, -1, nil},
		{"HBA with key", bothULID, both, []PeerLocator{{bothOther, 1}}, nil, -1, nil},
		// RFC 5533 section 5.15.5: HBA locators are not part of the signed data.
		{"HBA and CGA", bothULID, both, []PeerLocator{{x, 2}, {bothOther, 1}, {y, 2}}, signed(t, gen, x, y), -1, nil},
		{"HBA and CGA, ULID is another member", bothOther, both, []PeerLocator{{bothULID, 1}, {x, 2}}, signed(t, gen, x), -1, nil},

		// RFC 5533 section 7.13: the parameters must correspond to the ULID.
		{"parameters of another address", x, cga, []PeerLocator{{x, 2}}, signed(t, gen, x), -1, ErrPrefix},
		{"parameters of another key", cgaULID, weak, nil, nil, -1, ErrHash1},
		{"HBA outside the set", x, hba, nil, nil, -1, ErrNotInSet},
		{"ULID is no IPv6 address", netip.Addr{}, cga, nil, nil, -1, ErrNotIPv6},
		{"two Multi-Prefix extensions", twiceULID, twice, nil, nil, -1, ErrMultiPrefix},

		// RFC 5533 section 7.2: a method that is unsupported or inconsistent with the parameters spoils the list.
		{"HBA without the extension", cgaULID, cga, []PeerLocator{{x, 2}, {y, 1}}, signed(t, gen, x), 1, ErrMethod},
		{"method 0", cgaULID, cga, []PeerLocator{{x, 0}}, nil, 0, ErrMethod},
		{"method 3", hbaULID, hba, []PeerLocator{{hbaOther, 1}, {hbaULID, 3}, {x, 1}}, nil, 1, ErrMethod},
		{"method 255", cgaULID, cga, []PeerLocator{{x, 2}, {x, 255}}, nil, 1, ErrMethod},
		{"CGA without a key", nonceULID, nonceAsKey, []PeerLocator{{x, 2}}, signed(t, gen, x), 0, ErrMethod},

		{"locator outside the set", hbaULID, hba, []PeerLocator{{hbaOther, 1}, {x, 1}}, nil, 1, ErrNotInSet},
		{"locator with another identifier", hbaULID, hba, []PeerLocator{{withIID(hbaOther, func(b []byte) { b[3] ^= 8 }), 1}}, nil, 0, ErrHash1},
		{"HBA locator is no IPv6 address", hbaULID, hba, []PeerLocator{{netip.MustParseAddr("192.0.2.1"), 1}}, nil, 0, ErrNotIPv6},
		{"CGA locator is no IPv6 address", cgaULID, cga, []PeerLocator{{x, 2}, {netip.Addr{}, 2}}, nil, 1, ErrNotIPv6},

		{"no signature", cgaULID, cga, []PeerLocator{{x, 2}}, nil, -1, ErrNoSignature},
		{"signature of another generation", cgaULID, cga, []PeerLocator{{x, 2}}, signed(t, gen+1, x), -1, ErrSignature},
		{"locators swapped", cgaULID, cga, []PeerLocator{{y, 2}, {x, 2}}, signed(t, gen, x, y), -1, ErrSignature},
		{"HBA locator signed too", bothULID, both, []PeerLocator{{bothOther, 1}, {x, 2}}, signed(t, gen, bothOther, x), -1, ErrSignature},
		// RFC 5533 section 16: RSA keys have at least 1024 bits.
		{"key of 512 bits", weakULID, weak, []PeerLocator{{x, 2}}, signed(t, gen, x), -1, ErrKey},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := slices.Clone(tt.pds)
			bad, err := VerifyLocators(tt.ulid, tt.pds, tt.locs, gen, tt.sig)
			if bad != tt.bad {
				t.Errorf("locator %d at fault, want %d", bad, tt.bad)
			}
			wantErr(t, err, tt.want)
			if !slices.Equal(before, tt.pds) {
				t.Error("the parameters were changed")
			}
		})
	}
}

func TestVerifyLocatorsBadParams(t *testing.T) {
	for _, octets := range []string{"", header, header + "30", rfcParams + "00"} {
		if bad, err := VerifyLocators(netip.MustParseAddr(rfcAddress), unhex(octets), nil, 0, nil); bad != -1 || err == nil {
			t.Errorf("%q: got %d, %v", octets, bad, err)
		}
	}
}

func FuzzVerifyLocators(f *testing.F) {
	f.Add(unhex(rfcParams), unhex("fe800000000000003c4a5bf6ffb4ca6c"), byte(2), unhex(signatureHex))
	f.Add(unhex("89a8a8b2e858d8b8f2633f44d2d9bd90fe8000000000000000"+nonceKeyHex+threePrefixes), unhex("fe80000000000000281ba84b5e3b6b7a"), byte(1), []byte{})
	f.Fuzz(func(t *testing.T, pds, ulid []byte, method byte, sig []byte) {
		a, ok := netip.AddrFromSlice(ulid)
		if !ok {
			return
		}
		locs := []PeerLocator{{a, MethodHBA}, {a, method}}
		bad, err := VerifyLocators(a, pds, locs, 1, sig)
		if bad < -1 || bad >= len(locs) || err == nil && bad != -1 {
			t.Fatalf("got %d, %v", bad, err)
		}
		if err != nil {
			return
		}
		// The first locator is of the set, so the parameters have one and the ULID is in it.
		p, err := ParseParams(pds)
		if err != nil {
			t.Fatal(err)
		}
		if err := VerifyHBA(a, p); err != nil {
			t.Fatalf("accepted, but %v", err)
		}
	})
}

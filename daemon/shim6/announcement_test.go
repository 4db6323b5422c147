// SPDX-License-Identifier: MIT

package shim6_test

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"

	"shim6/daemon/shim6"
	"shim6/daemon/wire"
	"shim6/internal/cga"
)

// spki has the outer form and the length of the SubjectPublicKeyInfo of an RSA key: what is announced does not depend on
// what is in it.
func spki(bits int) []byte {
	n := map[int]int{1024: 162, 2048: 294, 3072: 422, 4096: 550}[bits]
	if n < 256+3 {
		return append([]byte{0x30, 0x81, byte(n - 3)}, make([]byte, n-3)...)
	}
	return append([]byte{0x30, 0x82, byte((n - 4) >> 8), byte(n - 4)}, make([]byte, n-4)...)
}

// address makes a local locator with these parameters in a prefix.
func address(t *testing.T, p cga.Params, prefix, keyID string) shim6.LocalLocator {
	t.Helper()
	b := netip.MustParsePrefix(prefix).Addr().As16()
	p.Prefix = [8]byte(b[:8])
	a, err := p.Address(0)
	if err != nil {
		t.Fatal(err)
	}
	return shim6.LocalLocator{Addr: a, PDS: p.Marshal(), KeyID: keyID}
}

func prefix8(s string) [8]byte {
	b := netip.MustParsePrefix(s).Addr().As16()
	return [8]byte(b[:8])
}

// options gives what an announcement puts into a message.
func options(t *testing.T, a *shim6.Announcement) wire.Options {
	t.Helper()
	c := shim6.New(shim6.Params{Rand: newRand(1), ULIDs: shim6.ULIDPair{Local: a.Set.Locators[0].Addr, Peer: b1}})
	c.Initiate(start, shim6.LocatorPair(c.ULIDs), 1, 1)
	acts := c.I1(start, shim6.LocatorPair(c.ULIDs), &wire.I1{}, a)
	r2 := acts[0].(shim6.Send).Message.(*wire.R2)
	if _, err := wire.Marshal(r2); err != nil {
		t.Fatal(err)
	}
	return r2.Options
}

func methods(a *shim6.Announcement) []wire.VerificationMethod {
	var ms []wire.VerificationMethod
	for _, l := range a.Set.Locators {
		ms = append(ms, l.Method)
	}
	return ms
}

// RFC 5533 section 3: only the ULID has to be a CGA; a signature covers other locators, whatever they are.
func TestAnnounceCGA(t *testing.T) {
	p := cga.Params{PublicKey: spki(1024)}
	x, y := address(t, p, "2001:db8:1::/64", "k"), address(t, p, "2001:db8:2::/64", "k")
	z := shim6.LocalLocator{Addr: a1}
	anns := shim6.NewAnnouncements(newRand(1))
	sign, problems := anns.Update([]shim6.LocalLocator{x, y, z}, nil)
	if len(sign) != 1 || len(problems) != 0 {
		t.Fatalf("%d signatures for one key and one list, %v", len(sign), problems)
	}
	ann := anns.For(x.Addr)
	if ann.Ready() {
		t.Error("ready without its signature")
	}
	want := cga.SignedData(ann.Set.Generation, []netip.Addr{x.Addr, y.Addr, z.Addr})
	if sign[0].KeyID != "k" || !bytes.Equal(sign[0].Data, want) {
		t.Errorf("signs %x with %s", sign[0].Data, sign[0].KeyID)
	}
	anns.Signed(sign[0], []byte{1, 2, 3})
	for _, ulid := range []shim6.LocalLocator{x, y} {
		o := options(t, anns.For(ulid.Addr))
		if !bytes.Equal(o.PDS, ulid.PDS) || !bytes.Equal(o.Signature, []byte{1, 2, 3}) {
			t.Errorf("%v: PDS %x, signature %x", ulid.Addr, o.PDS, o.Signature)
		}
		if len(o.Locators.Locators) != 3 || o.Locators.Locators[2] != (wire.Locator{Addr: a1, Method: wire.VerifyCGA}) {
			t.Errorf("%v: %+v", ulid.Addr, o.Locators)
		}
	}
	// What has no parameters is announced alone.
	if o := options(t, anns.For(a1)); o.Locators != nil || o.PDS != nil || o.Signature != nil {
		t.Errorf("plain address: %+v", o)
	}
	if anns.For(b1) != nil || anns.Has(b1) || !anns.Has(a1) {
		t.Error("knows an address that is not ours")
	}
}

// A single locator has its list too: a later update needs the parameters to be known.
func TestAnnounceSingleCGA(t *testing.T) {
	x := address(t, cga.Params{PublicKey: spki(1024)}, "2001:db8:1::/64", "k")
	anns := shim6.NewAnnouncements(newRand(1))
	sign, _ := anns.Update([]shim6.LocalLocator{x}, nil)
	anns.Signed(sign[0], []byte{1})
	if o := options(t, anns.For(x.Addr)); len(o.Locators.Locators) != 1 || o.PDS == nil || o.Signature == nil {
		t.Errorf("%+v", o)
	}
}

// RFC 5535 section 4: the addresses of an HBA set come from the same parameters; addresses from elsewhere cannot be in it.
func TestAnnounceHBA(t *testing.T) {
	mp := cga.MultiPrefix{Prefixes: [][8]byte{prefix8("2001:db8:1::/64"), prefix8("2001:db8:2::/64")}}
	p := cga.Params{PublicKey: spki(1024), Extensions: []cga.Extension{mp.Extension()}}
	q := p
	q.Modifier[0] = 1
	x, y := address(t, p, "2001:db8:1::/64", ""), address(t, p, "2001:db8:2::/64", "")
	other := address(t, q, "2001:db8:1::/64", "")
	anns := shim6.NewAnnouncements(newRand(1))
	sign, problems := anns.Update([]shim6.LocalLocator{x, {Addr: a1}, y, other}, nil)
	if len(sign) != 0 || len(problems) != 0 {
		t.Fatalf("%d signatures, %v", len(sign), problems)
	}
	ann := anns.For(y.Addr)
	if !ann.Ready() || !slices.Equal(ann.Set.Addrs(), []netip.Addr{x.Addr, y.Addr}) ||
		!slices.Equal(methods(ann), []wire.VerificationMethod{wire.VerifyHBA, wire.VerifyHBA}) {
		t.Errorf("%+v", ann.Set)
	}
	if o := options(t, ann); o.Signature != nil || !bytes.Equal(o.PDS, y.PDS) {
		t.Errorf("%+v", o)
	}
	if g := anns.For(other.Addr).Set; len(g.Locators) != 1 || g.Generation == ann.Set.Generation {
		t.Errorf("another set: %+v", g)
	}
}

// RFC 5535 section 5: with the P flag the public key is a real one, so a signature can cover what is not in the set. What is in
// it needs none.
func TestAnnounceHBACompatibleCGA(t *testing.T) {
	mp := cga.MultiPrefix{P: true, Prefixes: [][8]byte{prefix8("2001:db8:1::/64"), prefix8("2001:db8:2::/64")}}
	p := cga.Params{PublicKey: spki(1024), Extensions: []cga.Extension{mp.Extension()}}
	hba, byKey := wire.VerifyHBA, wire.VerifyCGA
	for name, tt := range map[string]struct {
		keyID  string
		others bool // beside the set
		want   []wire.VerificationMethod
		signed int
	}{
		"a set":                         {"k", false, []wire.VerificationMethod{hba, hba}, 0},
		"a set and another":             {"k", true, []wire.VerificationMethod{hba, byKey, hba}, 1},
		"a set and another, but no key": {"", true, []wire.VerificationMethod{hba, hba}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			x, y := address(t, p, "2001:db8:1::/64", tt.keyID), address(t, p, "2001:db8:2::/64", tt.keyID)
			ls := []shim6.LocalLocator{x, y}
			if tt.others {
				ls = []shim6.LocalLocator{x, {Addr: a1}, y}
			}
			anns := shim6.NewAnnouncements(newRand(1))
			sign, problems := anns.Update(ls, nil)
			if len(sign) != tt.signed || len(problems) != 0 {
				t.Fatalf("%d signatures, problems %v", len(sign), problems)
			}
			for _, l := range []shim6.LocalLocator{x, y} {
				ann := anns.For(l.Addr)
				if got := methods(ann); !slices.Equal(got, tt.want) {
					t.Errorf("methods %v, want %v", got, tt.want)
				}
				if tt.signed == 0 {
					if !ann.Ready() {
						t.Error("waits for a signature")
					}
					continue
				}
				if ann.Ready() {
					t.Error("ready without a signature")
				}
				// RFC 5533 section 5.15.5: what is signed are the locators whose method is CGA.
				if want := cga.SignedData(ann.Set.Generation, []netip.Addr{a1}); !bytes.Equal(sign[0].Data, want) {
					t.Errorf("signed %x, want %x", sign[0].Data, want)
				}
			}
		})
	}
}

// A CGA whose key is not here cannot vouch for anything.
func TestAnnounceCGAWithoutKey(t *testing.T) {
	x := address(t, cga.Params{PublicKey: spki(1024)}, "2001:db8:1::/64", "")
	anns := shim6.NewAnnouncements(newRand(1))
	sign, problems := anns.Update([]shim6.LocalLocator{x, {Addr: a1}}, nil)
	if o := options(t, anns.For(x.Addr)); o.Locators != nil || len(sign)+len(problems) != 0 {
		t.Errorf("%+v, %d signatures, %v", o, len(sign), problems)
	}
}

func TestAnnounceBadParameters(t *testing.T) {
	anns := shim6.NewAnnouncements(newRand(1))
	sign, problems := anns.Update([]shim6.LocalLocator{{Addr: a1, PDS: []byte{1, 2, 3}, KeyID: "k"}}, nil)
	if len(problems) != 1 || problems[0].Addr != a1 || len(sign) != 0 {
		t.Fatalf("%v, %d signatures", problems, len(sign))
	}
	if o := options(t, anns.For(a1)); o.Locators != nil || o.PDS != nil {
		t.Errorf("%+v", o)
	}
}

// RFC 5533 section 5.1: "Shim6 signaling packets may not be larger than 1280 bytes"; one way out is to drop locators.
func TestAnnouncementFitsTheMessage(t *testing.T) {
	for bits, want := range map[int]int{1024: 32, 2048: 25, 3072: 10, 4096: 0} {
		p := cga.Params{PublicKey: spki(bits)}
		var ls []shim6.LocalLocator
		for i := range 32 {
			a := a1.As16()
			a[15] = byte(i)
			ls = append(ls, shim6.LocalLocator{Addr: netip.AddrFrom16(a)})
		}
		ls[31] = address(t, p, "2001:db8:1::/64", "k") // the ULID must not be what is cut
		anns := shim6.NewAnnouncements(newRand(1))
		sign, problems := anns.Update(ls, nil)
		ann := anns.For(ls[31].Addr)
		if want == 0 {
			if len(problems) != 1 || len(sign) != 0 || ann.PDS != nil {
				t.Errorf("%d bits: %v, %d signatures", bits, problems, len(sign))
			}
			continue
		}
		anns.Signed(sign[0], make([]byte, bits/8))
		if n := len(ann.Set.Locators); n != want || !ann.Set.Has(ls[31].Addr) {
			t.Errorf("%d bits: %d locators, want %d", bits, n, want)
		}
		// The longest message there is still fits.
		c := shim6.New(shim6.Params{Rand: newRand(1), ULIDs: shim6.ULIDPair{Local: ls[31].Addr, Peer: b1}, FII: 1, SendTimeout: 1})
		c = shim6.Restore(shim6.Params{Rand: newRand(1), ULIDs: c.ULIDs, FII: 1, SendTimeout: 1}, shim6.Restored{
			TagLocal: 1, TagPeer: 2, Local: ann.Set, Peer: c.Peer,
		})
		_, err := c.R1bis(start, shim6.LocatorPair{Local: ls[0].Addr, Peer: b2},
			&wire.R1bis{PacketTag: 2, Options: wire.Options{Validator: make([]byte, 64)}}, ann, 9)
		if err != nil {
			t.Errorf("%d bits: %v", bits, err)
		}
	}
}

// RFC 5533 section 10.1: a new list has a new generation. A list that comes back is not new, and its signature holds.
func TestListsAreRemembered(t *testing.T) {
	p := cga.Params{PublicKey: spki(1024)}
	x, y, z := address(t, p, "2001:db8:1::/64", "k"), address(t, p, "2001:db8:2::/64", "k"), address(t, p, "2001:db8:3::/64", "k")
	anns := shim6.NewAnnouncements(newRand(1))
	update := func(ls ...shim6.LocalLocator) (signatures int, generation uint32) {
		sign, _ := anns.Update(ls, nil)
		for _, s := range sign {
			anns.Signed(s, []byte{1})
		}
		return len(sign), anns.For(x.Addr).Set.Generation
	}
	n, both := update(x, y)
	if n != 1 {
		t.Fatalf("%d signatures", n)
	}
	if n, _ := update(x, y); n != 0 {
		t.Error("the same list was signed again")
	}
	n, one := update(x)
	if n != 1 || one == both {
		t.Errorf("another list: %d signatures, generation %08x and %08x", n, both, one)
	}
	if n, g := update(x, y); n != 0 || g != both {
		t.Errorf("the list came back: %d signatures, generation %08x, was %08x", n, g, both)
	}
	// But not for ever.
	update(x, z)
	update(x, y, z)
	if n, _ := update(x); n != 1 {
		t.Error("a list was kept too long")
	}
	// Another key makes another signature for the same addresses.
	y2 := y
	y2.KeyID = "k2"
	if sign, _ := anns.Update([]shim6.LocalLocator{x, y2}, nil); len(sign) < 1 || !slices.ContainsFunc(sign, func(s *shim6.Signature) bool { return s.KeyID == "k2" }) {
		t.Errorf("%d signatures for a second key", len(sign))
	}
}

func TestSignatureThatCannotBeMade(t *testing.T) {
	x := address(t, cga.Params{PublicKey: spki(1024)}, "2001:db8:1::/64", "k")
	anns := shim6.NewAnnouncements(newRand(1))
	sign, _ := anns.Update([]shim6.LocalLocator{x}, nil)
	anns.Signed(sign[0], nil)
	if ann := anns.For(x.Addr); !ann.Ready() || options(t, ann).Locators != nil {
		t.Error("announced without signature")
	}
	if sign, _ := anns.Update([]shim6.LocalLocator{x}, nil); len(sign) != 1 {
		t.Error("not tried again")
	}
}

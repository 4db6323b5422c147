// SPDX-License-Identifier: MIT

package engine_test

import (
	"net/netip"
	"testing"
	"time"

	"shim6/daemon/engine"
	"shim6/daemon/shim6"
	"shim6/daemon/wire"
	"shim6/internal/cga"
)

// RFC 5533 section 5.6, and 5.7, 5.9 and 5.10 likewise: "If a Locator List option is included, the CGA Parameter Data Structure
// [...] MUST also be included [...] unless it has been sent before"; "When the Locator List option uses CGA [...] the CGA Signature
// option MUST be included".
func TestListComesWithItsProof(t *testing.T) {
	for name, tt := range map[string]struct {
		locs   []engine.LocalLocator
		method wire.VerificationMethod
	}{
		"CGA": {three(t), wire.VerifyCGA},
		"HBA": {hbaSet(t, "2001:db8:a1::/64", "2001:db8:a2::/64", "2001:db8:a3::/64"), wire.VerifyHBA},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			a := w.add("a", engine.Config{}, tt.locs[:2])
			b := w.add("b", engine.Config{}, plain("2001:db8:b1::1"))
			check := func(message string, o wire.Options, n int, given bool) {
				t.Helper()
				l := o.Locators
				if l == nil || len(l.Locators) != n {
					t.Fatalf("%s: list %+v, want %d locators", message, l, n)
				}
				var signed []cga.PeerLocator
				for _, x := range l.Locators {
					if x.Method != tt.method {
						t.Errorf("%s: method %v", message, x.Method)
					}
					signed = append(signed, cga.PeerLocator{Addr: x.Addr, Method: uint8(x.Method)})
				}
				pds := o.PDS
				if (pds == nil) != given {
					t.Fatalf("%s: parameters of %d octets", message, len(pds))
				}
				if given {
					pds = tt.locs[0].PDS
				}
				if (o.Signature != nil) != (tt.method == wire.VerifyCGA) {
					t.Errorf("%s: signature of %d octets", message, len(o.Signature))
				}
				if bad, err := cga.VerifyLocators(tt.locs[0].Addr, pds, signed, l.Generation, o.Signature); err != nil {
					t.Errorf("%s: locator %d: %v", message, bad, err)
				}
			}
			a.trigger(b)
			w.settle()
			check("I2", messages[*wire.I2](t, a.take())[0].Options, 2, false)

			lost := b.only().TagLocal
			b.forget()
			b.handle(engine.UnknownTag{Src: a.addr(0), Dst: b.addr(0), Tag: lost})
			w.settle()
			check("I2bis", messages[*wire.I2bis](t, a.take())[0].Options, 2, false)

			a.forget()
			b.forget()
			b.trigger(a)
			w.settle()
			check("R2", messages[*wire.R2](t, a.take())[0].Options, 2, false)

			a.setLocators(tt.locs)
			check("Update Request", messages[*wire.UpdateRequest](t, a.take())[0].Options, 3, true)
			if n := len(b.only().LocatorsPeer); n != 3 {
				t.Errorf("the peer has %d locators", n)
			}
		})
	}
}

// RFC 5535 section 5 and RFC 5533 section 7.2: without the P flag there is no key that could sign, so the method CGA is not
// consistent with the parameters. The list is ignored with all of its message, and the sender is told of the method's octet.
func TestCGAMethodWithoutKey(t *testing.T) {
	w := newWorld(t)
	set := hbaSet(t, "2001:db8:a1::/64", "2001:db8:a2::/64") // its key would do, but the flag says that it is none
	b := w.add("b", engine.Config{}, locators(t, "b", "2001:db8:b1::/64"))
	src := set[0].Addr
	r1 := messages[*wire.R1](t, b.send(src, b.addr(0), &wire.I1{InitiatorTag: 5}))[0]
	b.take()
	o := signed(t, "a", 7, set[0].Addr, set[1].Addr)
	o.Locators.Locators[0].Method = wire.VerifyHBA
	sig, err := cga.Sign(keys()["a"], cga.SignedData(7, []netip.Addr{set[1].Addr}))
	if err != nil {
		t.Fatal(err)
	}
	o.PDS, o.Signature, o.Validator = set[0].PDS, sig, r1.Validator
	m := &wire.I2{InitiatorTag: 5, RespNonce: r1.RespNonce, Options: o}
	b.send(src, b.addr(0), m)
	w.settle()
	acts := b.take()
	es := messages[*wire.ErrorMsg](t, acts)
	if len(b.e.Contexts()) != 0 || len(es) != 1 || es[0].Code != wire.CodeVerificationFailed {
		t.Fatalf("%d contexts, errors %+v: %s", len(b.e.Contexts()), es, reasons(acts))
	}
	if got := es[0].Packet[es[0].Pointer]; got != byte(wire.VerifyCGA) || es[0].Packet[es[0].Pointer-1] != byte(wire.VerifyHBA) {
		t.Errorf("points to %x", es[0].Packet[es[0].Pointer-2:es[0].Pointer+2])
	}
}

// RFC 5533 section 5.15.3: preferences are about the list of their generation. An exchange has no answer for those of another, so
// they are left out and the rest counts.
func TestPreferencesOfAnotherListInI2(t *testing.T) {
	for name, p := range map[string]*wire.LocatorPreferences{
		"generation": {Generation: 8, ElementLen: 1, Elements: []wire.Preference{{Flags: wire.FlagBroken}, {}}},
		"number":     {Generation: 7, ElementLen: 1, Elements: []wire.Preference{{Flags: wire.FlagBroken}}},
		"good":       {Generation: 7, ElementLen: 1, Elements: []wire.Preference{{Flags: wire.FlagBroken}, {}}},
	} {
		s := newStage(t, shim6.StateIdle)
		o := s.offer()
		o.Preferences = p
		acts := s.from(s.b.addr(0), s.i2(s.r1, o))
		if sent(t, acts) != "R2" {
			t.Fatalf("%s: sent %q", name, sent(t, acts))
		}
		if got := s.a.only().LocatorsPeer; len(got) != 2 || got[0].Broken != (name == "good") {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// RFC 5533 section 10.1 makes generations random, though section 5.15.2 lets them count: a lower one is as new as a higher one.
func TestGenerationsHaveNoOrder(t *testing.T) {
	w, a, b := established(t, engine.Config{})
	for i, generation := range []uint32{1 << 31, 7, 0xffffffff, 0, 7} {
		m := update(t, b, generation, a.addr(0), a.addr(1))
		m.ReqNonce = uint32(i)
		b.send(a.addr(0), b.addr(0), m)
		w.settle()
		if uas := messages[*wire.UpdateAck](t, b.take()); len(uas) != 1 || b.only().GenerationPeer != generation {
			t.Errorf("generation %d: %d acknowledgements, the peer's is %d", generation, len(uas), b.only().GenerationPeer)
		}
	}
}

// RFC 5533 section 10.4 asks for no option: a request with none is acknowledged, and one with an unknown one as well.
func TestUpdateRequestWithoutOptions(t *testing.T) {
	_, a, b := established(t, engine.Config{})
	before := b.only()
	acts := b.send(a.addr(1), b.addr(0), &wire.UpdateRequest{ReceiverTag: before.TagLocal, ReqNonce: 5})
	uas := messages[*wire.UpdateAck](t, acts)
	if len(uas) != 1 || uas[0].ReqNonce != 5 || uas[0].ReceiverTag != before.TagPeer {
		t.Errorf("%s: %+v", kinds(acts), uas)
	}
	if after := b.only(); after.GenerationPeer != before.GenerationPeer || len(after.LocatorsPeer) != len(before.LocatorsPeer) {
		t.Errorf("%+v", after.LocatorsPeer)
	}
}

// RFC 5533 sections 7.13 and 7.20: "nonces that are no older than VALIDATOR_MIN_LIFETIME SHOULD be considered recent"; here none is
// taken that is older by half.
func TestAgeOfNonces(t *testing.T) {
	for age, want := range map[time.Duration]string{30 * time.Second: "R2", 46 * time.Second: ""} {
		for name, message := range map[string]func(s *stage) wire.Message{
			"I2":    func(s *stage) wire.Message { return s.i2(s.r1, s.offer()) },
			"I2bis": func(s *stage) wire.Message { return s.i2bis(s.r1bis, s.offer()) },
		} {
			s := newStage(t, shim6.StateIdle)
			m := message(s)
			s.world.now = s.world.now.Add(age)
			acts := s.from(s.b.addr(0), m)
			if got := sent(t, acts); got != want || want == "" && reasons(acts) != string(engine.ReasonStaleNonce) {
				t.Errorf("%s after %v: sent %q, dropped for %q", name, age, got, reasons(acts))
			}
		}
	}
}

// RFC 5533 section 5.15.2 has a method for each locator: HBAs of the set need nothing more, others are in the signature, alone and in
// the order of the list (section 5.15.5). RFC 5535 section 5: the P flag says that the set has a key.
func TestListOfBothMethods(t *testing.T) {
	w := newWorld(t)
	spki, err := cga.MarshalPublicKey(&keys()["a"].PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	set := cga.MultiPrefix{P: true, Prefixes: [][8]byte{{0x20, 1, 0xd, 0xb8, 0xa, 1}, {0x20, 1, 0xd, 0xb8, 0xa, 2}}}
	params := cga.Params{PublicKey: spki, Extensions: []cga.Extension{set.Extension()}, Prefix: set.Prefixes[0]}
	var members []netip.Addr
	for _, params.Prefix = range set.Prefixes {
		a, err := params.Address(0)
		if err != nil {
			t.Fatal(err)
		}
		members = append(members, a)
	}
	x, y := netip.MustParseAddr("2001:db8:77::1"), netip.MustParseAddr("2001:db8:77::2")
	b := w.add("b", engine.Config{}, locators(t, "b", "2001:db8:b1::/64"))
	for name, tt := range map[string]struct {
		signed []netip.Addr
		ok     bool
	}{
		"those of CGA": {[]netip.Addr{x, y}, true},
		"all":          {[]netip.Addr{x, members[0], y, members[1]}, false},
		"out of order": {[]netip.Addr{y, x}, false},
		"one":          {[]netip.Addr{x}, false},
	} {
		r1 := messages[*wire.R1](t, b.send(members[0], b.addr(0), &wire.I1{InitiatorTag: 5}))[0]
		sig, err := cga.Sign(keys()["a"], cga.SignedData(7, tt.signed))
		if err != nil {
			t.Fatal(err)
		}
		o := wire.Options{Validator: r1.Validator, PDS: params.Marshal(), Signature: sig, Locators: &wire.LocatorList{
			Generation: 7,
			Locators:   []wire.Locator{{Addr: x, Method: 2}, {Addr: members[0], Method: 1}, {Addr: y, Method: 2}, {Addr: members[1], Method: 1}},
		}}
		b.take()
		b.send(members[0], b.addr(0), &wire.I2{InitiatorTag: 5, RespNonce: r1.RespNonce, Options: o})
		w.settle()
		if got := sent(t, b.take()) == "R2"; got != tt.ok {
			t.Errorf("signature over %s: accepted %v", name, got)
		}
		if tt.ok {
			if ls := b.only().LocatorsPeer; len(ls) != 4 || ls[0].Method != wire.VerifyCGA || ls[3].Method != wire.VerifyHBA || !ls[2].Verified {
				t.Errorf("%+v", ls)
			}
			b.forget()
		}
	}
}

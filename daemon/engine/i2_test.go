// SPDX-License-Identifier: MIT

package engine_test

import (
	"bytes"
	"errors"
	"net/netip"
	"testing"
	"time"

	"shim6/daemon/engine"
	"shim6/daemon/shim6"
	"shim6/daemon/wire"
)

// RFC 5533 section 7.13: "Next, the host verifies that the Responder Nonce is a recent one [...] and that the Responder
// Validator option matches the validator the host would have computed for the ULID, locators, Responder Nonce, Initiator
// Nonce, and FII. [...] If any of the above verifications fail, then the host silently discards the message".
func TestI2WithoutGoodValidator(t *testing.T) {
	w, a, b, i1, _, i2, _ := exchange(t)
	fresh := w.add("c", engine.Config{}, b.locs)
	fresh.take()
	// Its own validator for the same I1.
	fresh.sendRaw(i1.Src, i1.Dst, i1.Payload)
	issued := messages[*wire.R1](t, fresh.take())[0]
	w.queue = nil
	good := func() *wire.I2 {
		m := parse[*wire.I2](t, i2)
		m.RespNonce, m.Validator = issued.RespNonce, bytes.Clone(issued.Validator)
		return m
	}
	foreign := netip.MustParseAddr("2001:db8:666::1")
	for _, tt := range []struct {
		name   string
		src    netip.Addr
		change func(m *wire.I2)
		want   engine.Reason
	}{
		{"another host's", a.addr(0), func(m *wire.I2) { *m = *parse[*wire.I2](t, i2) }, engine.ReasonStaleNonce},
		{"none", a.addr(0), func(m *wire.I2) { m.Validator = nil }, engine.ReasonBadValidator},
		{"one bit off", a.addr(0), func(m *wire.I2) { m.Validator[7] ^= 1 }, engine.ReasonBadValidator},
		{"another nonce", a.addr(0), func(m *wire.I2) { m.RespNonce++ }, engine.ReasonStaleNonce},
		{"another tag", a.addr(0), func(m *wire.I2) { m.InitiatorTag++ }, engine.ReasonBadValidator},
		{"another FII", a.addr(0), func(m *wire.I2) { m.FII = new(uint32(1)) }, engine.ReasonBadValidator},
		{"another source", foreign, func(*wire.I2) {}, engine.ReasonBadValidator},
		{"another source for the ULID", foreign, func(m *wire.I2) {
			m.ULIDs = &wire.ULIDPairOption{Sender: a.addr(0), Receiver: b.addr(0)}
		}, engine.ReasonBadValidator},
	} {
		m := good()
		tt.change(m)
		t.Run(tt.name, func(t *testing.T) { silent(t, fresh.send(tt.src, b.addr(0), m), tt.want) })
	}
	// The Initiator Nonce is not bound: "This is not required to be the same as the one included in the previous I1 message."
	m := good()
	m.InitNonce = 4711
	fresh.take()
	fresh.send(a.addr(0), b.addr(0), m)
	w.settle()
	if r2 := messages[*wire.R2](t, fresh.take()); len(r2) != 1 || r2[0].InitNonce != 4711 {
		t.Errorf("%+v", r2)
	}
	// Too old.
	w.now = w.now.Add(time.Minute)
	silent(t, fresh.send(a.addr(0), b.addr(0), good()), engine.ReasonStaleNonce)
}

// responder gives a host that waits for an I2, and the I2 it waits for.
func responder(t *testing.T) (w *world, a, b *host, i2 *wire.I2) {
	t.Helper()
	w, a, b = pair(t, engine.Config{})
	w.lost = func(p engine.SendPacket) bool { return p.Payload[2] == byte(wire.TypeI2) }
	a.trigger(b)
	w.settle()
	w.lost = nil
	i2 = messages[*wire.I2](t, a.take())[0]
	b.take()
	return w, a, b, i2
}

// RFC 5533 section 7.13: "If a CGA Parameter Data Structure (PDS) is included in the message, then the host MUST verify if the
// actual PDS contained in the message corresponds to the ULID(peer). If any of the above verifications fail, then the host
// silently discards the message". Section 7.2 wants an Error message where it is the locators that fail.
func TestI2ThatDoesNotVerify(t *testing.T) {
	foreign := netip.MustParseAddr("2001:db8:666::1")
	for _, tt := range []struct {
		name    string
		change  func(a, b *host, m *wire.I2)
		reason  engine.Reason
		pointer int // of the Error, 0 for none; from the IPv6 header on
	}{
		{"PDS of another", func(a, b *host, m *wire.I2) { m.PDS = b.locs[0].PDS }, engine.ReasonVerifyFailed, 0},
		{"broken PDS", func(a, b *host, m *wire.I2) { m.PDS = m.PDS[:20] }, engine.ReasonVerifyFailed, 0},
		{"PDS alone, of another", func(a, b *host, m *wire.I2) {
			m.PDS, m.Locators, m.Signature = b.locs[0].PDS, nil, nil
		}, engine.ReasonVerifyFailed, 0},
		{"wrong signature", func(a, b *host, m *wire.I2) { m.Signature[5] ^= 1 }, engine.ReasonVerifyFailed, 0},
		{"another locator than signed", func(a, b *host, m *wire.I2) { m.Locators.Locators[1].Addr = foreign }, engine.ReasonVerifyFailed, 0},
		{"HBA without Multi-Prefix", func(a, b *host, m *wire.I2) { m.Locators.Locators[1].Method = wire.VerifyHBA }, engine.ReasonVerifyFailed, 1},
		{"no signature", func(a, b *host, m *wire.I2) { m.Signature = nil }, engine.Reason(shim6.FaultLocatorMethod), 0 + 1},
		{"unknown method", func(a, b *host, m *wire.I2) { m.Locators.Locators[1].Method = 77 }, engine.Reason(shim6.FaultLocatorMethod), 1},
		{"link-local locator", func(a, b *host, m *wire.I2) { m.Locators.Locators[1].Addr = netip.MustParseAddr("fe80::1") }, engine.Reason(shim6.FaultLocatorAddress), 1},
		{"no PDS", func(a, b *host, m *wire.I2) { m.PDS = nil }, engine.Reason(shim6.FaultListWithoutPDS), 0},
		{"empty list", func(a, b *host, m *wire.I2) { m.Locators.Locators = nil }, engine.Reason(shim6.FaultEmptyList), 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, a, b, m := responder(t)
			tt.change(a, b, m)
			b.send(a.addr(0), b.addr(0), m)
			w.settle()
			acts := b.take()
			if reasons(acts) != string(tt.reason) || len(b.e.Contexts()) != 0 {
				t.Errorf("%q, %d contexts", reasons(acts), len(b.e.Contexts()))
			}
			es := messages[*wire.ErrorMsg](t, acts)
			if tt.pointer == 0 {
				if len(es) != 0 {
					t.Errorf("Error %+v", es[0])
				}
				return
			}
			// RFC 5533 section 5.14: code 2, "the Pointer field references [...] the octet" of the method.
			if len(es) != 1 || es[0].Code != wire.CodeVerificationFailed {
				t.Fatalf("errors %+v", es)
			}
			quoted := es[0].Packet
			list := bytes.Index(quoted, []byte{0, 4, 0, 44}) // Locator List with two locators
			i := 0
			if tt.name != "no signature" {
				i = 1
			}
			if want := list + 4 + 5 + i; list < 0 || int(es[0].Pointer) != want {
				t.Errorf("pointer %d, want %d", es[0].Pointer, want)
			}
		})
	}
}

// No switch turns verification off: without an answer there is no context, and no R2.
func TestNothingHappensBeforeVerification(t *testing.T) {
	w, a, b, m := responder(t)
	b.noVerify = true
	acts := b.send(a.addr(0), b.addr(0), m)
	if kinds(acts) != "Verify" || len(b.e.Contexts()) != 0 {
		t.Fatalf("%s, %d contexts", kinds(acts), len(b.e.Contexts()))
	}
	v := acts[0].(engine.Verify)
	if v.ULID != a.addr(0) || !bytes.Equal(v.PDS, m.PDS) || !bytes.Equal(v.Signature, m.Signature) || len(v.List.Locators) != 2 {
		t.Errorf("%+v", v)
	}
	// A retransmission does not start another one.
	silent(t, b.send(a.addr(0), b.addr(0), m), engine.ReasonVerifyPending)
	b.handle(verify(v))
	w.settle()
	agree(t, a, b)
	silent(t, b.handle(engine.VerifyDone{ID: v.ID}), engine.ReasonUnknownID)
	silent(t, b.handle(engine.VerifyDone{ID: 99999}), engine.ReasonUnknownID)
}

// A peer without parameters has its ULID and nothing else (RFC 5533 section 3: a host with one address need not be a CGA).
func TestPeerWithPlainAddress(t *testing.T) {
	w := newWorld(t)
	a := w.add("a", engine.Config{}, plain("2001:db8:a1::1", "2001:db8:a2::1"))
	b := w.add("b", engine.Config{}, locators(t, "b", "2001:db8:b1::/64", "2001:db8:b2::/64"))
	a.trigger(b)
	w.settle()
	agree(t, a, b)
	if s := b.only(); len(s.LocatorsPeer) != 1 || len(s.LocatorsLocal) != 2 {
		t.Errorf("%+v", s.LocatorsPeer)
	}
	if n := len(pick[engine.Verify](b.acts)); n != 0 {
		t.Errorf("%d verifications of nothing", n)
	}
	if i2 := messages[*wire.I2](t, a.acts)[0]; i2.Locators != nil || i2.PDS != nil || i2.Signature != nil {
		t.Errorf("%+v", i2)
	}
}

// With a ULID Pair option the source must be a locator that the list names and that verifies, otherwise anybody could
// claim a ULID from anywhere.
func TestI2FromAnotherLocator(t *testing.T) {
	for _, tt := range []struct {
		name  string
		list  bool
		known bool
		ok    bool
	}{
		{"named by the list", true, true, true}, {"not named", true, false, false}, {"without a list", false, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, a, b, m := responder(t)
			src := a.addr(1)
			if !tt.known {
				src = netip.MustParseAddr("2001:db8:666::1")
			}
			option := &wire.ULIDPairOption{Sender: a.addr(0), Receiver: b.addr(0)}
			r1 := messages[*wire.R1](t, b.send(src, b.addr(1), &wire.I1{
				InitiatorTag: m.InitiatorTag, InitNonce: 1, Options: wire.Options{ULIDs: option},
			}))[0]
			w.queue = nil
			m.ULIDs, m.RespNonce, m.Validator = option, r1.RespNonce, r1.Validator
			if !tt.list {
				m.Locators, m.PDS, m.Signature = nil, nil, nil
			}
			acts := b.send(src, b.addr(1), m)
			if !tt.ok {
				silent(t, acts, engine.ReasonNotALocator)
				return
			}
			w.settle()
			// The exchange proved that pair, so payload starts on it.
			if s := b.only(); s.Current != (engine.LocatorPair{Local: b.addr(1), Peer: src}) || s.ULIDs.Peer != a.addr(0) {
				t.Errorf("current %v", s.Current)
			}
			if r2 := pick[engine.SendPacket](b.acts); r2[len(r2)-1].Dst != src {
				t.Errorf("R2 to %v", r2[len(r2)-1].Dst)
			}
		})
	}
}

// RFC 5533 section 7.13: in ESTABLISHED "the host updates the context information (CT(peer), Ls(peer)) with the data contained
// in the I2 message, and the host MUST send an R2 message back [...]. The context STATE remains unchanged."
func TestI2OfAPeerThatLostTheContext(t *testing.T) {
	w, a, b := established(t, engine.Config{})
	before := b.only()
	a.handle(engine.DeleteContext{Tag: a.only().TagLocal})
	a.take()
	a.trigger(b)
	w.settle()
	agree(t, a, b)
	after := b.only()
	if after.TagLocal != before.TagLocal || after.TagPeer == before.TagPeer || after.Since != before.Since {
		t.Errorf("before %+v\nafter %+v", before, after)
	}
	ps := pick[engine.ProgramContext](b.acts)
	if len(ps) != 1 || ps[0].TagPeer != a.only().TagLocal {
		t.Errorf("programmed %+v", ps)
	}
}

// What held when the verification began may not hold when it ends.
func TestVerifiedI2ThatNoLongerFits(t *testing.T) {
	t.Run("no room", func(t *testing.T) {
		w := newWorld(t)
		a := w.add("a", engine.Config{}, locators(t, "a", "2001:db8:a1::/64"))
		b := w.add("b", engine.Config{Limits: engine.Limits{Contexts: 1}}, locators(t, "b", "2001:db8:b1::/64"))
		b.noVerify = true
		a.trigger(b)
		w.settle()
		v := pick[engine.Verify](b.take())
		b.handle(engine.Trigger{ULIDs: engine.ULIDPair{Local: b.addr(0), Peer: netip.MustParseAddr("2001:db8:c1::1")}})
		silent(t, b.handle(verify(v[0])), engine.ReasonContextsFull)
	})
	t.Run("local address gone", func(t *testing.T) {
		w, a, b, m := responder(t)
		b.noVerify = true
		v := pick[engine.Verify](b.send(a.addr(0), b.addr(0), m))
		b.setLocators(b.locs[1:])
		b.take()
		silent(t, b.handle(verify(v[0])), engine.ReasonNotLocal)
		w.settle()
	})
	t.Run("local address no longer announced", func(t *testing.T) {
		w, a, b, s := slow(t, engine.Config{})
		option := wire.Options{ULIDs: &wire.ULIDPairOption{Sender: b.addr(0), Receiver: a.addr(0)}}
		r1 := messages[*wire.R1](t, a.send(b.addr(0), a.addr(1), &wire.I1{InitiatorTag: 5, Options: option}))[0]
		i2 := &wire.I2{InitiatorTag: 5, RespNonce: r1.RespNonce, Options: option}
		i2.Validator = r1.Validator
		a.send(b.addr(0), a.addr(1), i2)
		acts := a.handle(engine.SignDone{ID: s.ID, Err: errors.New("no key")})
		if reasons(acts) != "sign-failed not-local" || len(a.e.Contexts()) != 0 {
			t.Errorf("%q, %d contexts", reasons(acts), len(a.e.Contexts()))
		}
		w.settle()
	})
	t.Run("known locator gone", func(t *testing.T) {
		// b knows a's second locator, and has an I2 from there without a list; when it is verified, b knows it no more.
		w, a, b := established(t, engine.Config{})
		option := wire.Options{ULIDs: &wire.ULIDPairOption{Sender: a.addr(0), Receiver: b.addr(0)}}
		r1 := messages[*wire.R1](t, b.send(a.addr(1), b.addr(0), &wire.I1{InitiatorTag: 5, Options: option}))[0]
		b.noVerify = true
		i2 := &wire.I2{InitiatorTag: 5, RespNonce: r1.RespNonce, Options: option}
		i2.Validator, i2.PDS = r1.Validator, a.locs[0].PDS
		slow := pick[engine.Verify](b.send(a.addr(1), b.addr(0), i2))
		fast := pick[engine.Verify](b.send(a.addr(0), b.addr(0), update(t, b, 7, a.addr(0))))
		b.handle(verify(fast[0]))
		b.take()
		silent(t, b.handle(verify(slow[0])), engine.ReasonNotALocator)
		w.settle()
	})
}

// A peer that lost the context may come back without the locator that is in use; payload moves to the pair of the exchange at
// once, which was proved just now.
func TestI2WithoutTheLocatorInUse(t *testing.T) {
	w, a, b := established(t, engine.Config{})
	w.lost = func(p engine.SendPacket) bool { return p.Src == a.addr(0) || p.Dst == a.addr(0) }
	b.timeout()
	w.advance(5 * time.Second)
	if b.only().Current.Peer != a.addr(1) {
		t.Fatalf("on %v", b.only().Current)
	}
	w.lost = nil
	a.forget()
	a.setLocators(a.locs[:1])
	b.take()
	a.trigger(b)
	w.settle()
	agree(t, a, b)
	if s := b.only(); s.Current.Peer != a.addr(0) || len(pick[engine.PathChanged](b.acts)) != 1 {
		t.Errorf("on %v", s.Current)
	}
}

// SPDX-License-Identifier: MIT

package engine_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"shim6/daemon/engine"
	"shim6/daemon/shim6"
	"shim6/daemon/wire"
	"shim6/internal/cga"
)

// slow makes two hosts of which one waits for its signature.
func slow(t *testing.T, cfg engine.Config) (w *world, a, b *host, sign engine.Sign) {
	t.Helper()
	w = newWorld(t)
	a = w.add("a", cfg, locators(t, "a", "2001:db8:a1::/64"))
	b = w.add("b", cfg, locators(t, "b", "2001:db8:b1::/64"))
	a.noSign = true
	a.take()
	a.setLocators(locators(t, "a", "2001:db8:a1::/64", "2001:db8:a2::/64"))
	s := pick[engine.Sign](a.take())
	if len(s) != 1 {
		t.Fatalf("%d signatures asked for", len(s))
	}
	b.take()
	return w, a, b, s[0]
}

// What is signed is the tag, the generation and the list (RFC 5533 section 5.15.5), once for all ULIDs with the key.
func TestSignIsAhead(t *testing.T) {
	_, a, b := pair(t, engine.Config{})
	acts := a.take()
	signs := pick[engine.Sign](acts)
	if len(signs) != 1 || signs[0].KeyID != "a" {
		t.Fatalf("%+v", signs)
	}
	w := a.w
	a.trigger(b)
	w.settle()
	if n := len(pick[engine.Sign](a.take())); n != 0 {
		t.Errorf("%d signatures during the exchange", n)
	}
	i2 := b.only()
	want := cga.SignedData(i2.GenerationPeer, []netip.Addr{a.addr(0), a.addr(1)})
	if string(want) != string(signs[0].Data) {
		t.Errorf("signed %x, want %x", signs[0].Data, want)
	}
}

// The initiator sends its I1 at once, and its I2 when it can.
func TestInitiatorWaitsForSignature(t *testing.T) {
	w, a, b, s := slow(t, engine.Config{})
	a.trigger(b)
	w.settle()
	if got := sent(t, a.take()); got != "I1" || a.only().State != shim6.StateI1Sent {
		t.Fatalf("sent %q, %v", got, a.only().State)
	}
	a.handle(a.sign(s))
	w.settle()
	agree(t, a, b)
	silent(t, a.handle(a.sign(s)), engine.ReasonUnknownID)
	silent(t, a.handle(engine.SignDone{ID: 12345}), engine.ReasonUnknownID)
}

// The responder verifies at once, and answers when it can; no context is there before.
func TestResponderWaitsForSignature(t *testing.T) {
	w, a, b, s := slow(t, engine.Config{})
	b.trigger(a)
	w.settle()
	if got := sent(t, a.take()); got != "R1" || len(a.e.Contexts()) != 0 {
		t.Fatalf("sent %q, %d contexts", got, len(a.e.Contexts()))
	}
	a.handle(a.sign(s))
	w.settle()
	agree(t, a, b)
}

// So does one whose I1 crossed another.
func TestR2ToI1WaitsForSignature(t *testing.T) {
	w, a, b, s := slow(t, engine.Config{})
	a.trigger(b)
	b.trigger(a)
	w.settle()
	a.handle(a.sign(s))
	w.settle()
	agree(t, a, b)
}

// Without a signature there is no list, but there is a context.
func TestSignatureFails(t *testing.T) {
	for _, ev := range []engine.SignDone{{Err: errors.New("no such key")}, {}} {
		w, a, b, s := slow(t, engine.Config{})
		a.trigger(b)
		w.settle()
		ev.ID = s.ID
		a.handle(ev)
		w.settle()
		agree(t, a, b)
		if n := len(b.only().LocatorsPeer); n != 1 {
			t.Errorf("%d locators", n)
		}
	}
}

// The local locators may change while a signature is awaited.
func TestLocatorsChangeWhileWaiting(t *testing.T) {
	w, a, b, s := slow(t, engine.Config{})
	a.trigger(b)
	w.settle()
	a.noSign = false
	a.setLocators(a.locs[:1])
	w.settle()
	agree(t, a, b)
	if n := len(b.only().LocatorsPeer); n != 1 {
		t.Errorf("%d locators", n)
	}
	a.handle(a.sign(s)) // late, and of no use
}

func TestWaitingIsBounded(t *testing.T) {
	w, a, b, s := slow(t, engine.Config{Limits: engine.Limits{Waiting: 3}})
	w.lost = func(engine.SendPacket) bool { return true }
	a.trigger(b)
	for i := range 10 {
		w.now = w.now.Add(time.Millisecond)
		a.send(b.addr(0), a.addr(0), &wire.I1{InitiatorTag: 1, InitNonce: uint32(i)})
	}
	if n := a.e.Counters().Dropped[engine.ReasonWaitingFull]; n != 7 {
		t.Errorf("%d refused, want 7", n)
	}
	a.take()
	a.handle(a.sign(s))
	if got := sent(t, a.take()); got != "R2 R1 R1" {
		t.Errorf("sent %s", got)
	}
}

func TestBadLocalLocators(t *testing.T) {
	w := newWorld(t)
	ls := plain("fe80::1", "ff02::1", "::1", "2001:db8:a1::1", "2001:db8:a1::1")
	ls = append(ls, engine.LocalLocator{}, engine.LocalLocator{Addr: netip.MustParseAddr("2001:db8:a3::1"), PDS: []byte{1}, KeyID: "a"})
	a := w.add("a", engine.Config{}, ls)
	if got := reasons(a.take()); got != "own-locator own-locator own-locator own-locator own-parameters" {
		t.Errorf("%q", got)
	}
	var many []engine.LocalLocator
	for i := range 40 {
		many = append(many, engine.LocalLocator{Addr: netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(i + 1)})})
	}
	a.setLocators(many)
	if n := len(pick[engine.Dropped](a.take())); n != 8 {
		t.Errorf("%d refused, want 8", n)
	}
}

// A local locator that came after the exchange is for later exchanges: the peer has not accepted it (RFC 5533 section 10.5).
func TestNewLocalLocatorIsNotUsedYet(t *testing.T) {
	w, a, _ := established(t, engine.Config{})
	w.lost = func(engine.SendPacket) bool { return true }
	all := locators(t, "a", "2001:db8:a1::/64", "2001:db8:a2::/64", "2001:db8:a3::/64")
	a.setLocators(all)
	a.timeout()
	w.advance(10 * time.Minute)
	for _, p := range pick[engine.SendPacket](a.take()) {
		if p.Src == all[2].Addr {
			t.Fatal("probes from a locator that the peer does not know")
		}
	}
	w.lost = nil
	c := w.add("c", engine.Config{}, plain("2001:db8:c1::1"))
	c.trigger(a)
	w.settle()
	if n := len(c.only().LocatorsPeer); n != 3 {
		t.Errorf("a new context knows %d locators", n)
	}
}

// RFC 5533 section 1.5: when the prefix of a ULID "becomes invalid", communication that uses it ends: the address may be another
// host's afterwards. One that is only gone for a while, as when a host moves, carries its contexts along until then.
func TestULIDBecomesInvalid(t *testing.T) {
	gone := func() (*world, *host) {
		w, a, _ := established(t, engine.Config{})
		locs := a.locs
		a.setLocators(a.locs[1:])
		a.locs = locs
		a.handle(engine.ULIDEnds{ULID: locs[0].Addr, At: w.now.Add(time.Hour)})
		w.advance(59 * time.Minute)
		if s := a.only(); s.State != shim6.StateEstablished || s.Current.Local == locs[0].Addr {
			t.Fatalf("%v on %v while the ULID is valid", s.State, s.Current)
		}
		a.take()
		return w, a
	}
	w, a := gone()
	w.advance(time.Minute)
	acts := a.take()
	if cs := pick[engine.StateChanged](acts); len(a.e.Contexts()) != 0 || len(cs) != 1 || cs[0].To != shim6.StateIdle || len(pick[engine.RemoveContext](acts)) != 1 {
		t.Errorf("%d contexts, %s", len(a.e.Contexts()), kinds(acts))
	}
	// It comes back before.
	w, a = gone()
	a.setLocators(a.locs)
	w.advance(2 * time.Hour)
	if s := a.only(); s.State != shim6.StateEstablished {
		t.Errorf("%v", s.State)
	}
	silent(t, a.handle(engine.ULIDEnds{ULID: a.addr(0), At: w.now}), engine.ReasonStaleEvent)
	// The daemon starts again in between.
	w, a = gone()
	again := w.add("a again", engine.Config{}, a.locs[1:])
	again.handle(engine.AdoptContext{Snapshot: a.only()})
	w.advance(time.Minute)
	if n := len(again.e.Contexts()); n != 0 {
		t.Errorf("%d contexts after a restart", n)
	}
	// It is invalid at once.
	_, a, _ = established(t, engine.Config{})
	w, ulid := a.w, a.addr(0)
	a.handle(engine.LocalLocators{Locators: a.locs[1:]})
	a.handle(engine.ULIDEnds{ULID: ulid, At: w.now.Add(-time.Second)})
	if n := len(a.e.Contexts()); n != 0 {
		t.Errorf("%d contexts of an invalid ULID", n)
	}
}

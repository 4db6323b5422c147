// SPDX-License-Identifier: MIT

package engine_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"shim6/daemon/engine"
	"shim6/daemon/reap"
	"shim6/daemon/shim6"
	"shim6/daemon/wire"
	"shim6/internal/cga"
)

// three makes a third locator beside those of established.
func three(t *testing.T) []engine.LocalLocator {
	return locators(t, "a", "2001:db8:a1::/64", "2001:db8:a2::/64", "2001:db8:a3::/64")
}

// hbaSet makes the addresses of an HBA set.
func hbaSet(t *testing.T, prefixes ...string) []engine.LocalLocator {
	t.Helper()
	var mp cga.MultiPrefix
	for _, p := range prefixes {
		b := netip.MustParsePrefix(p).Addr().As16()
		mp.Prefixes = append(mp.Prefixes, [8]byte(b[:8]))
	}
	spki, err := cga.MarshalPublicKey(&keys()["a"].PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	params := cga.Params{Modifier: [16]byte{1}, PublicKey: spki, Extensions: []cga.Extension{mp.Extension()}}
	var ls []engine.LocalLocator
	for _, p := range mp.Prefixes {
		params.Prefix = p
		addr, err := params.Address(0)
		if err != nil {
			t.Fatal(err)
		}
		ls = append(ls, engine.LocalLocator{Addr: addr, PDS: params.Marshal()})
	}
	return ls
}

// requests gives the Update Requests that were sent, and forgets everything else that happened.
func (h *host) requests() []*wire.UpdateRequest {
	h.w.t.Helper()
	return messages[*wire.UpdateRequest](h.w.t, h.take())
}

// RFC 5533 section 10.1: the request has the whole new list with a generation of its own and a signature; the parameters
// "if not given before".
func TestUpdateIsSent(t *testing.T) {
	w, a, b := established(t, engine.Config{})
	before := a.only()
	all := three(t)
	a.setLocators(all)
	w.settle()
	rs := a.requests()
	if len(rs) != 1 || rs[0].Locators == nil || rs[0].Signature == nil || rs[0].PDS != nil || rs[0].Preferences != nil {
		t.Fatalf("%+v", rs)
	}
	if g := rs[0].Locators.Generation; g == before.GenerationLocal || b.only().GenerationPeer != g || a.only().GenerationLocal != g {
		t.Errorf("generation %d, before %d, at the peer %d", g, before.GenerationLocal, b.only().GenerationPeer)
	}
	if n := len(a.only().LocatorsLocal); n != 3 {
		t.Errorf("%d locators after the acknowledgement", n)
	}
	// What is known is not told again.
	a.setLocators(all)
	slices.Reverse(all)
	a.setLocators(all)
	if rs := a.requests(); len(rs) != 0 {
		t.Errorf("%+v", rs)
	}
}

// RFC 5533 section 10.1: parameters go with the first list, and so they do where the exchange had none.
func TestUpdateGivesParameters(t *testing.T) {
	w, a, b, s := slow(t, engine.Config{})
	a.trigger(b)
	w.settle()
	a.handle(engine.SignDone{ID: s.ID})
	w.settle()
	a.noSign = false
	a.take()
	a.setLocators(three(t))
	rs := a.requests()
	if len(rs) != 1 || rs[0].PDS == nil || len(b.only().LocatorsPeer) != 3 {
		t.Errorf("%+v, the peer has %+v", rs, b.only().LocatorsPeer)
	}
}

// RFC 5533 section 10.2: the request is repeated with the same nonce, after 4 seconds, and twice as long each time up to two
// minutes, off by half at most. Ten minutes are enough.
func TestUpdateIsRepeated(t *testing.T) {
	w, a, _ := established(t, engine.Config{})
	w.lost = func(engine.SendPacket) bool { return true }
	a.setLocators(three(t))
	sent := []time.Time{w.now}
	rs := a.requests()
	for range 40 {
		w.now = a.e.Deadline()
		if w.now.IsZero() {
			break
		}
		a.handle(engine.Tick{})
		for _, r := range a.requests() {
			sent, rs = append(sent, w.now), append(rs, r)
		}
	}
	if len(rs) != 10 {
		t.Fatalf("sent %d times", len(rs))
	}
	nominal := 4 * time.Second
	for i, r := range rs {
		if r.ReqNonce != rs[0].ReqNonce {
			t.Errorf("nonce %d, then %d", rs[0].ReqNonce, r.ReqNonce)
		}
		if i == 0 {
			continue
		}
		if gap := sent[i].Sub(sent[i-1]); gap < nominal/2 || gap > nominal*3/2 {
			t.Errorf("gap %d is %v, nominally %v", i, gap, nominal)
		}
		nominal = min(2*nominal, 2*time.Minute)
	}
	if len(a.only().LocatorsLocal) != 2 {
		t.Errorf("%+v", a.only().LocatorsLocal)
	}
}

// RFC 5533 section 10.5: an acknowledgement with another nonce is ignored, "also for an abandoned" request.
func TestUpdateAckOfAnother(t *testing.T) {
	w, a, b := established(t, engine.Config{})
	w.lost = func(engine.SendPacket) bool { return true }
	a.setLocators(three(t))
	first := a.requests()[0]
	a.setLocators(three(t)[1:])
	second := a.requests()
	if len(second) != 1 || second[0].ReqNonce == first.ReqNonce || second[0].Locators.Generation == first.Locators.Generation {
		t.Fatalf("%+v after %+v", second, first)
	}
	ua := &wire.UpdateAck{ReceiverTag: a.only().TagLocal, ReqNonce: first.ReqNonce}
	silent(t, a.send(b.addr(0), a.addr(0), ua), engine.ReasonNotAsked)
	ua.ReqNonce = second[0].ReqNonce
	if acts := a.send(b.addr(0), a.addr(0), ua); reasons(acts) != "" || len(pick[engine.ProgramContext](acts)) == 0 {
		t.Errorf("%s: %q", kinds(acts), reasons(acts))
	}
	silent(t, a.send(b.addr(0), a.addr(0), ua), engine.ReasonNotAsked)
	// The first request may be on its way still, and the peer cannot tell which is the newer.
	a.take()
	w.advance(6 * time.Second)
	third := a.requests()
	if len(third) != 1 || third[0].ReqNonce == ua.ReqNonce || third[0].Locators.Generation != second[0].Locators.Generation {
		t.Fatalf("%+v", third)
	}
	ua.ReqNonce = third[0].ReqNonce
	a.send(b.addr(0), a.addr(0), ua)
	w.advance(10 * time.Minute)
	if rs := a.requests(); len(rs) != 0 {
		t.Errorf("%+v", rs)
	}
}

// RFC 5533 section 10.3: newer information must include what is not acknowledged yet: an address that goes while the request
// that announces it is on its way must be taken back.
func TestUpdateTakesBack(t *testing.T) {
	w, a, b := established(t, engine.Config{})
	w.lost = func(p engine.SendPacket) bool { return p.Src == b.addr(0) }
	a.setLocators(three(t))
	if n := len(b.only().LocatorsPeer); n != 3 {
		t.Fatalf("the peer has %d locators", n)
	}
	w.lost = nil
	a.take()
	a.setLocators(three(t)[:2])
	if rs := a.requests(); len(rs) != 1 || len(rs[0].Locators.Locators) != 2 || len(b.only().LocatorsPeer) != 2 {
		t.Errorf("%+v, the peer has %d", rs, len(b.only().LocatorsPeer))
	}
}

// Before the acknowledgement the peer may use what it was told already, so the kernel takes it.
func TestNewLocatorIsADestinationAtOnce(t *testing.T) {
	w, a, b := established(t, engine.Config{})
	w.lost = func(engine.SendPacket) bool { return true }
	a.setLocators(three(t))
	ps := pick[engine.ProgramContext](a.take())
	if len(ps) == 0 || !slices.Contains(ps[len(ps)-1].LocatorsLocal, a.addr(2)) {
		t.Fatalf("%+v", ps)
	}
	acts := a.send(b.addr(0), a.addr(2), &wire.Keepalive{ReceiverTag: a.only().TagLocal})
	if reasons(acts) != "" {
		t.Errorf("a keepalive to it: %q", reasons(acts))
	}
}

// RFC 5533 section 4.5: a failure known locally is told with the BROKEN flag: the list stays, and so do generation and
// signature. The locator is no source from now on, though the peer does not know yet.
func TestBrokenLocalLocator(t *testing.T) {
	w, a, b := established(t, engine.Config{})
	broken := slices.Clone(a.locs)
	broken[0].Broken = true
	w.lost = func(p engine.SendPacket) bool { return p.Src == a.addr(0) || p.Dst == a.addr(0) }
	a.setLocators(broken)
	if a.only().Current.Local != a.addr(1) || a.only().Reap != reap.Operational {
		t.Errorf("%v on %v", a.only().Reap, a.only().Current)
	}
	if ps := b.only().LocatorsPeer; !ps[0].Broken || ps[1].Broken {
		t.Errorf("%+v", ps)
	}
	for _, r := range a.requests() {
		if r.Locators != nil || r.Preferences.Generation != b.only().GenerationPeer || r.Preferences.ElementLen != 1 {
			t.Errorf("%+v", r)
		}
	}
	w.lost = nil
	broken[0].Preference = engine.Preference{Transient: true, Priority: 3, Weight: 4}
	a.setLocators(broken)
	if ps := b.only().LocatorsPeer; ps[0].Preference != broken[0].Preference {
		t.Errorf("%+v", ps)
	}
	broken[0].Preference = engine.Preference{}
	a.setLocators(broken)
	if ps := b.only().LocatorsPeer; ps[0].Preference != broken[0].Preference {
		t.Errorf("%+v", ps)
	}
	// An exchange tells it too.
	broken[1].Priority = 7
	a.setLocators(broken)
	c := w.add("c", engine.Config{}, plain("2001:db8:c1::1"))
	c.trigger(a)
	w.settle()
	if ps := c.only().LocatorsPeer; len(ps) != 2 || ps[1].Priority != 7 {
		t.Errorf("%+v", ps)
	}
}

// An HBA set is what its parameters make it: only its members are announced, so that every list can be verified.
func TestUpdateOfHBASet(t *testing.T) {
	w := newWorld(t)
	a := w.add("a", engine.Config{}, hbaSet(t, "2001:db8:a1::/64", "2001:db8:a2::/64", "2001:db8:a3::/64")[:2])
	b := w.add("b", engine.Config{}, locators(t, "b", "2001:db8:b1::/64"))
	a.trigger(b)
	w.settle()
	a.take()
	set := hbaSet(t, "2001:db8:a1::/64", "2001:db8:a2::/64", "2001:db8:a3::/64")
	foreign := locators(t, "a", "2001:db8:a4::/64")
	a.setLocators(append(set, foreign...))
	rs := a.requests()
	if len(rs) != 1 || len(rs[0].Locators.Locators) != 3 || rs[0].Signature != nil || len(b.only().LocatorsPeer) != 3 {
		t.Errorf("%+v, %s", rs, reasons(b.acts))
	}
	if len(a.only().LocatorsLocal) != 3 {
		t.Errorf("%+v", a.only().LocatorsLocal)
	}
}

// RFC 5533 section 1.5: "a ULID became invalid": it is kept for the contexts that it has, but takes no new ones.
func TestGoneULID(t *testing.T) {
	w, a, b := established(t, engine.Config{})
	a.setLocators(three(t)[1:])
	if s := a.only(); s.State != shim6.StateEstablished || len(s.LocatorsLocal) != 2 {
		t.Fatalf("%v, %+v", s.State, s.LocatorsLocal)
	}
	ps := b.only().LocatorsPeer
	if len(ps) != 3 || ps[2].Addr != a.only().ULIDs.Local || !ps[2].Broken {
		t.Errorf("the peer has %+v", ps)
	}
	gone := a.only().ULIDs.Local
	c := w.add("c", engine.Config{}, plain("2001:db8:c1::1"))
	acts := a.send(c.addr(0), a.addr(0), &wire.I1{InitiatorTag: 5, InitNonce: 6, Options: wire.Options{
		ULIDs: &wire.ULIDPairOption{Sender: c.addr(0), Receiver: gone},
	}})
	silent(t, acts, engine.ReasonNotLocal)
	silent(t, a.handle(engine.Trigger{ULIDs: engine.ULIDPair{Local: gone, Peer: c.addr(0)}}), engine.ReasonNotLocal)
	a.forget()
	a.setLocators(three(t)[2:])
	silent(t, a.send(b.addr(0), a.addr(0), &wire.I1{InitiatorTag: 5, InitNonce: 6, Options: wire.Options{
		ULIDs: &wire.ULIDPairOption{Sender: b.addr(0), Receiver: gone},
	}}), engine.ReasonNotLocal)
}

// An exchange that runs while its local locator goes moves to another one. One for a ULID that never was in use ends.
func TestLocatorGoesDuringExchange(t *testing.T) {
	w, a, b := pair(t, engine.Config{})
	w.lost = func(engine.SendPacket) bool { return true }
	a.trigger(b)
	a.take()
	a.setLocators(three(t)[1:])
	if n := len(a.e.Contexts()); n != 0 {
		t.Errorf("%d contexts", n)
	}

	w, a, b = established(t, engine.Config{})
	old, gone := a.only(), a.addr(0)
	b.forget()
	w.lost = func(p engine.SendPacket) bool { return p.Src == gone }
	a.send(b.addr(0), a.addr(0), &wire.R1bis{PacketTag: old.TagPeer, RespNonce: 1, Options: wire.Options{Validator: []byte{1}}})
	if s := a.only(); s.State != shim6.StateI2bisSent {
		t.Fatalf("%v", s.State)
	}
	a.setLocators(three(t)[1:])
	w.settle()
	if x, y := a.only(), b.only(); x.State != shim6.StateEstablished || x.TagPeer != y.TagLocal || x.Current.Local != a.addr(0) {
		t.Errorf("%v on %v, %v", x.State, x.Current, y.State)
	}
}

// A change of the local locators does not make every peer be told in the same instant.
func TestUpdatesAreSpread(t *testing.T) {
	w := newWorld(t)
	a := w.add("a", engine.Config{}, locators(t, "a", "2001:db8:a1::/64"))
	for i := range 80 {
		b := w.add(fmt.Sprintf("b%d", i), engine.Config{Limits: engine.Limits{}}, plain(fmt.Sprintf("2001:db8:b:%x::1", i+1)))
		b.trigger(a)
		w.settle()
	}
	w.lost = func(engine.SendPacket) bool { return true }
	a.take()
	a.setLocators(three(t))
	if n := len(a.requests()); n != 64 {
		t.Errorf("%d at once", n)
	}
	w.advance(20 * time.Millisecond)
	if n := len(a.requests()); n != 16 {
		t.Errorf("%d more within 20 ms", n)
	}
}

// Without any local locator there is nothing to send from; what comes then is announced.
func TestAllLocatorsGone(t *testing.T) {
	w, a, b := established(t, engine.Config{})
	a.setLocators(nil)
	w.advance(3 * time.Second)
	if s := sent(t, a.take()); s != "" {
		t.Errorf("sent %s from nowhere", s)
	}
	a.setLocators(three(t)[2:])
	w.advance(time.Second)
	if x, y := a.only(), b.only(); x.Current.Local != a.addr(0) || y.Current.Peer != a.addr(0) || x.Reap != reap.Operational {
		t.Errorf("%v on %v, %v", x.Reap, x.Current, y.Current)
	}
}

// A peer that started again from what was saved may not know the list that preferences are about; its Error message tells
// (RFC 5533 section 10.4), and it is told the list.
func TestPreferencesOfUnknownList(t *testing.T) {
	w, a, b := established(t, engine.Config{})
	prefer := func(priority uint8) *wire.UpdateRequest {
		ls := slices.Clone(a.locs)
		ls[1].Priority = priority
		w.lost = func(engine.SendPacket) bool { return true }
		a.setLocators(ls)
		w.lost = nil
		return a.requests()[0]
	}
	refuse := func(m *wire.UpdateRequest) {
		b.send(a.addr(0), b.addr(0), update(t, b, 7, a.addr(0), a.addr(1)))
		w.settle()
		a.take()
		b.send(a.addr(0), b.addr(0), m)
		w.settle()
	}
	m := prefer(3)
	refuse(m)
	rs := a.requests()
	if len(rs) != 1 || rs[0].Locators == nil || rs[0].Preferences == nil || b.only().LocatorsPeer[1].Priority != 3 {
		t.Fatalf("%+v", rs)
	}
	// Nobody else's word counts.
	m = prefer(4)
	m.ReqNonce++
	refuse(m)
	if rs := a.requests(); len(rs) != 0 {
		t.Errorf("%+v", rs)
	}
}

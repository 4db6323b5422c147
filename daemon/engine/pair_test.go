// SPDX-License-Identifier: MIT

package engine_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"shim6/daemon/engine"
	"shim6/daemon/reap"
	"shim6/daemon/shim6"
	"shim6/daemon/wire"
)

// RFC 5533 sections 10.4 and 12.4: "the IPv6 Destination Address field is part of Ls(local). If this is not the case, [...] send an
// R1bis message", and "the message is [...] ignored".
func TestForeignDestination(t *testing.T) {
	w := newWorld(t)
	a := w.add("a", engine.Config{}, locators(t, "a", "2001:db8:a1::/64"))
	b := w.add("b", engine.Config{}, plain("2001:db8:b1::1", "2001:db8:b2::1")) // announced alone, each
	a.trigger(b)
	w.settle()
	agree(t, a, b)
	before := b.only()
	tag := before.TagLocal
	for _, m := range []wire.Message{
		&wire.Keepalive{ReceiverTag: tag},
		&wire.Probe{ReceiverTag: tag, State: 1, Sent: []wire.ProbeReport{{Src: a.addr(0), Dst: b.addr(1)}}},
		&wire.UpdateRequest{ReceiverTag: tag, Options: wire.Options{KeepaliveTimeout: new(uint16(30))}},
		&wire.UpdateAck{ReceiverTag: tag},
	} {
		acts := b.send(a.addr(0), b.addr(1), m)
		if kinds(acts) != "Dropped SendPacket" || sent(t, acts) != "R1bis" || reasons(acts) != "not-a-locator" {
			t.Errorf("%v: %s, sent %q, dropped for %q", m.Type(), kinds(acts), sent(t, acts), reasons(acts))
		}
	}
	if d := cmp.Diff(before, b.only(), cmp.Comparer(sameAddr)); d != "" {
		t.Error(d)
	}
}

// RFC 5533 section 4.2: a context is of a pair of ULIDs. Two that have the peer's ULID in common are none of each other's business.
func TestTwoULIDsWithOnePeer(t *testing.T) {
	w, a, b := established(t, engine.Config{})
	a.handle(engine.Trigger{ULIDs: engine.ULIDPair{Local: a.addr(1), Peer: b.addr(0)}})
	w.settle()
	cs := a.e.Contexts()
	if len(cs) != 2 || cs[1].State != shim6.StateEstablished || cs[0].TagLocal == cs[1].TagLocal || cs[0].TagPeer == cs[1].TagPeer {
		t.Fatalf("%+v", cs)
	}
	first, second := cs[0], cs[1]
	acts := a.handle(engine.DeleteContext{Tag: first.TagLocal})
	if gone := pick[engine.RemoveContext](acts); len(gone) != 1 || gone[0].Tag != first.TagLocal || kinds(acts) != "StateChanged RemoveContext" {
		t.Errorf("%s: %+v", kinds(acts), gone)
	}
	if d := cmp.Diff(second, a.only(), cmp.Comparer(sameAddr)); d != "" {
		t.Error(d)
	}
	w.lost = func(p engine.SendPacket) bool { return p.Src == a.addr(1) || p.Dst == a.addr(1) }
	a.timeout()
	w.advance(5 * time.Second)
	if s := a.only(); s.Reap != reap.Operational || s.Current.Local != a.addr(0) {
		t.Errorf("%v on %v", s.Reap, s.Current)
	}
}

// A host that loses all its locators and gets others tells every peer, and not the first alone.
func TestEveryPeerIsToldOfTheFirstLocatorAgain(t *testing.T) {
	w := newWorld(t)
	a := w.add("a", engine.Config{}, locators(t, "a", "2001:db8:a1::/64"))
	var peers []*host
	for _, p := range []string{"2001:db8:b1::1", "2001:db8:b2::1", "2001:db8:b3::1"} {
		b := w.add(p, engine.Config{}, plain(p))
		a.trigger(b)
		w.settle()
		peers = append(peers, b)
	}
	a.setLocators(nil)
	w.advance(time.Second)
	a.setLocators(locators(t, "a", "2001:db8:a2::/64"))
	w.advance(5 * time.Second)
	for _, b := range peers {
		if s := b.only(); s.LocatorsPeer[0].Addr != a.addr(0) || s.Current.Peer != a.addr(0) || s.Reap != reap.Operational {
			t.Errorf("%s: %v on %v, knows %+v", b.name, s.Reap, s.Current, s.LocatorsPeer)
		}
	}
	for _, s := range a.e.Contexts() {
		if s.Untold || s.Current.Local != a.addr(0) || s.Reap != reap.Operational {
			t.Errorf("%v: %v on %v, untold %v", s.ULIDs.Peer, s.Reap, s.Current, s.Untold)
		}
	}
}

// SPDX-License-Identifier: MIT

package engine_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"shim6/daemon/engine"
	"shim6/daemon/reap"
	"shim6/daemon/shim6"
)

// A daemon that starts again takes its contexts over where the kernel kept them.
func TestAdopt(t *testing.T) {
	w, a, b := established(t, engine.Config{SendTimeout: 3 * time.Second})
	snapshot := a.only()
	again := w.add("a again", engine.Config{SendTimeout: 20 * time.Second}, a.locs) // the peer was told of 3 s
	w.hosts = []*host{again, b}
	again.take()
	acts := again.handle(engine.AdoptContext{Snapshot: snapshot})
	if got := kinds(acts); got != "StateChanged SetReap" {
		t.Errorf("%s", got)
	}
	again.paths[snapshot.TagLocal] = snapshot.Current
	if d := cmp.Diff(snapshot, again.only(), cmp.Comparer(sameAddr)); d != "" {
		t.Errorf("before and after: %s", d)
	}
	agree(t, again, b)
	// It is as good as before: it fails over.
	w.lost = func(p engine.SendPacket) bool { return p.Src == again.addr(0) || p.Dst == again.addr(0) }
	again.timeout()
	w.advance(5 * time.Second)
	if s := again.only(); s.Current.Local != again.addr(1) || s.Reap != reap.Operational {
		t.Errorf("%v on %v", s.Reap, s.Current)
	}
	// A peer's I2 finds it.
	w.lost = nil
	b.forget()
	again.forget()
}

// The local locators may have changed while nobody ran the engine, the ULID and what proves it among them. A request that was
// on its way when the last one ended may have been taken or not, so the list is told again.
func TestAdoptAfterMove(t *testing.T) {
	w, a, b := established(t, engine.Config{})
	w.lost = func(p engine.SendPacket) bool { return p.Src == b.addr(0) }
	a.setLocators(three(t))
	snapshot := a.only()
	if !snapshot.Untold || len(b.only().LocatorsPeer) != 3 {
		t.Fatalf("%+v", snapshot)
	}
	w.lost = nil
	same := w.add("a again", engine.Config{}, three(t)[:2])
	w.hosts = []*host{same, b}
	same.handle(engine.AdoptContext{Snapshot: snapshot})
	w.settle()
	if s := same.only(); s.Untold || len(b.only().LocatorsPeer) != 2 {
		t.Errorf("untold %v, the peer has %d", s.Untold, len(b.only().LocatorsPeer))
	}

	snapshot = same.only()
	moved := w.add("a moved", engine.Config{}, three(t)[1:])
	w.hosts = []*host{moved, b}
	moved.handle(engine.AdoptContext{Snapshot: snapshot})
	w.advance(time.Second)
	if x, y := moved.only(), b.only(); x.Current.Local != moved.addr(0) || x.Reap != reap.Operational || len(y.LocatorsPeer) != 3 {
		t.Errorf("%v on %v, the peer has %+v", x.Reap, x.Current, y.LocatorsPeer)
	}
	moved.w.lost = func(p engine.SendPacket) bool { return p.Src == moved.addr(0) || p.Dst == moved.addr(0) }
	moved.timeout()
	w.advance(5 * time.Second)
	if s := moved.only(); s.Current.Local != moved.addr(1) || s.Reap != reap.Operational {
		t.Errorf("%v on %v: the new locator was not announced", s.Reap, s.Current)
	}
}

func TestAdoptWhileExploring(t *testing.T) {
	w, a, b := established(t, engine.Config{})
	w.lost = func(engine.SendPacket) bool { return true }
	a.timeout()
	snapshot := a.only()
	again := w.add("a again", engine.Config{}, a.locs)
	w.hosts = []*host{again, b}
	w.lost = func(p engine.SendPacket) bool { return p.Src == a.addr(0) || p.Dst == a.addr(0) }
	again.handle(engine.AdoptContext{Snapshot: snapshot})
	w.advance(5 * time.Second)
	if s := again.only(); s.Reap != reap.Operational || s.Current.Local != a.addr(1) {
		t.Errorf("%v on %v", s.Reap, s.Current)
	}
}

// A snapshot comes from a file, so it is not trusted further than it makes sense.
func TestBadSnapshots(t *testing.T) {
	w, a, _ := established(t, engine.Config{})
	good := a.only()
	foreign := netip.MustParseAddr("2001:db8:666::1")
	for name, change := range map[string]func(s *engine.Snapshot){
		"state":             func(s *engine.Snapshot) { s.State = shim6.StateI2Sent },
		"local tag":         func(s *engine.Snapshot) { s.TagLocal = 0 },
		"peer tag":          func(s *engine.Snapshot) { s.TagPeer = 1 << 47 },
		"ULID":              func(s *engine.Snapshot) { s.ULIDs.Peer = netip.IPv6Unspecified() },
		"no ULIDs":          func(s *engine.Snapshot) { s.ULIDs = engine.ULIDPair{} },
		"current peer":      func(s *engine.Snapshot) { s.Current.Peer = foreign },
		"unverified peer":   func(s *engine.Snapshot) { s.Current.Peer, s.LocatorsPeer[1].Verified = s.LocatorsPeer[1].Addr, false },
		"current local":     func(s *engine.Snapshot) { s.Current.Local = foreign },
		"no local locators": func(s *engine.Snapshot) { s.LocatorsLocal = nil },
		"no peer locators":  func(s *engine.Snapshot) { s.LocatorsPeer = nil },
		"bad locator":       func(s *engine.Snapshot) { s.LocatorsPeer[1].Addr = netip.MustParseAddr("ff02::1") },
		"too many": func(s *engine.Snapshot) {
			for range 40 {
				s.LocatorsPeer = append(s.LocatorsPeer, s.LocatorsPeer[0])
			}
		},
		"long parameters":   func(s *engine.Snapshot) { s.PDSPeer = make([]byte, 2000) },
		"send timeout":      func(s *engine.Snapshot) { s.SendTimeout = 0 },
		"keepalive timeout": func(s *engine.Snapshot) { s.KeepaliveTimeout = 2 * time.Hour },
		"nothing":           func(s *engine.Snapshot) { *s = engine.Snapshot{} },
	} {
		again := w.add("again", engine.Config{}, a.locs)
		again.take()
		s := good
		s.LocatorsPeer = append([]engine.LocatorInfo(nil), good.LocatorsPeer...)
		change(&s)
		t.Run(name, func(t *testing.T) {
			silent(t, again.handle(engine.AdoptContext{Snapshot: s}), engine.ReasonBadSnapshot)
		})
	}
	silent(t, a.handle(engine.AdoptContext{Snapshot: good}), engine.ReasonBadSnapshot) // it is there
	full := w.add("full", engine.Config{Limits: engine.Limits{Contexts: 1}}, a.locs)
	full.handle(engine.AdoptContext{Snapshot: good})
	s := good
	s.FII, s.TagLocal = 1, s.TagLocal^1
	silent(t, full.handle(engine.AdoptContext{Snapshot: s}), engine.ReasonBadSnapshot)
}

func TestSnapshotsShareNothing(t *testing.T) {
	_, a, _ := established(t, engine.Config{})
	s := a.only()
	s.LocatorsPeer[0].Verified = false
	s.LocatorsLocal[0].Addr = netip.Addr{}
	if d := cmp.Diff(s, a.only(), cmp.Comparer(sameAddr), cmpopts.EquateEmpty()); d == "" {
		t.Error("a snapshot is a window into the engine")
	}
}

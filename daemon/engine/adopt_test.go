// SPDX-License-Identifier: MIT

package engine_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"shim6/daemon/engine"
	"shim6/daemon/reap"
	"shim6/daemon/shim6"
	"shim6/daemon/wire"
)

// A daemon that starts again takes its contexts over where the kernel kept them.
func TestAdopt(t *testing.T) {
	w, a, b := established(t, engine.Config{SendTimeout: 3 * time.Second})
	snapshot := a.only()
	again := w.add("a again", engine.Config{SendTimeout: 3 * time.Second}, a.locs)
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
		"long parameters": func(s *engine.Snapshot) { s.PDSPeer = make([]byte, 2000) },
		"nothing":         func(s *engine.Snapshot) { *s = engine.Snapshot{} },
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

// RFC 5533 section 4.4 and 16: what strangers can make a host keep is bounded.
func TestContextsAreBounded(t *testing.T) {
	w := newWorld(t)
	b := w.add("b", engine.Config{Limits: engine.Limits{Contexts: 5}}, plain("2001:db8:b1::1"))
	exchange := func(i int) []engine.Action {
		src := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 4: 1, 7: byte(i), 15: 1})
		tag := wire.ContextTag(i + 1)
		r1 := messages[*wire.R1](t, b.send(src, b.addr(0), &wire.I1{InitiatorTag: tag}))[0]
		return b.send(src, b.addr(0), &wire.I2{InitiatorTag: tag, RespNonce: r1.RespNonce, Options: wire.Options{Validator: r1.Validator}})
	}
	for i := range 5 {
		if got := sent(t, exchange(i)); got != "R2" {
			t.Fatalf("context %d: sent %q", i, got)
		}
	}
	silent(t, exchange(5), engine.ReasonContextsFull)
	silent(t, b.handle(engine.Trigger{ULIDs: engine.ULIDPair{Local: b.addr(0), Peer: netip.MustParseAddr("2001:db8:99::1")}}), engine.ReasonContextsFull)
	i1 := &wire.I1{InitiatorTag: 3}
	if got := sent(t, b.send(b.e.Contexts()[2].ULIDs.Peer, b.addr(0), i1)); got != "R2" {
		t.Errorf("a context that is there: sent %q", got)
	}
}

func TestVerificationsAreBounded(t *testing.T) {
	_, a, _ := pair(t, engine.Config{})
	pds := a.locs[0].PDS
	flood := func(limits engine.Limits, sources func(i int) netip.Addr) (verify int, why map[engine.Reason]uint64) {
		w := newWorld(t)
		b := w.add("b", engine.Config{Limits: limits}, plain("2001:db8:b1::1"))
		b.noVerify = true
		for i := range 200 {
			tag := wire.ContextTag(i + 1)
			src := sources(i)
			r1 := messages[*wire.R1](t, b.send(src, b.addr(0), &wire.I1{InitiatorTag: tag}))[0]
			acts := b.send(src, b.addr(0), &wire.I2{InitiatorTag: tag, RespNonce: r1.RespNonce, Options: wire.Options{Validator: r1.Validator, PDS: pds}})
			verify += len(pick[engine.Verify](acts))
		}
		return verify, b.e.Counters().Dropped
	}
	one := func(i int) netip.Addr { return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(i + 1)}) }
	many := func(i int) netip.Addr { return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 7: byte(i), 15: 1}) }
	if n, why := flood(engine.Limits{R1Rate: 1000, VerifyRate: 10, Verifying: 1000}, one); n != 20 || why[engine.ReasonVerifyRate] != 180 {
		t.Errorf("from one /64: %d verifications, %v", n, why)
	}
	if n, why := flood(engine.Limits{R1Rate: 1000, VerifyRate: 10, Verifying: 30}, many); n != 30 || why[engine.ReasonVerifyFull] != 170 {
		t.Errorf("from many: %d verifications, %v", n, why)
	}
	if n, why := flood(engine.Limits{R1Rate: 1000, Verifying: 30}, func(int) netip.Addr { return many(1) }); n != 30 {
		t.Errorf("from one host with many tags: %d verifications, %v", n, why)
	}
}

func TestR1IsLimited(t *testing.T) {
	_, a, b := pair(t, engine.Config{Limits: engine.Limits{R1Rate: 50}})
	n := 0
	for range 1000 {
		n += len(pick[engine.SendPacket](b.send(a.addr(0), b.addr(0), &wire.I1{InitiatorTag: 1})))
	}
	if n != 100 {
		t.Errorf("%d R1 at once, want 100", n)
	}
}

func TestConfig(t *testing.T) {
	good := engine.Config{Seed: [32]byte{1}}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(c *engine.Config){
		"seed is missing":            func(c *engine.Config) { c.Seed = [32]byte{} },
		"send timeout 99ms is not":   func(c *engine.Config) { c.SendTimeout = 99 * time.Millisecond },
		"send timeout 1h0m1s is not": func(c *engine.Config) { c.SendTimeout = time.Hour + time.Second },
		"send timeout -1s is not":    func(c *engine.Config) { c.SendTimeout = -time.Second },
		"teardown time 9s is below":  func(c *engine.Config) { c.Teardown = 9 * time.Second },
		"limit of verifying is":      func(c *engine.Config) { c.Limits.Verifying = -1 },
		"limit of error rate is":     func(c *engine.Config) { c.Limits.ErrorRate = -5 },
	} {
		c := good
		change(&c)
		err := c.Validate()
		if err == nil || len(err.Error()) < len(name) || err.Error()[:len(name)] != name {
			t.Errorf("%v, want %q", err, name)
		}
		if _, err := engine.New(c); err == nil || errors.Unwrap(err) == nil {
			t.Errorf("New: %v", err)
		}
	}
	two := engine.Config{SendTimeout: 1, Limits: engine.Limits{Contexts: -1}}
	if n := len(two.Validate().(interface{ Unwrap() []error }).Unwrap()); n != 3 {
		t.Errorf("%d faults told, want 3", n)
	}
}

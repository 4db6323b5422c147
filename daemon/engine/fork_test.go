// SPDX-License-Identifier: MIT

package engine_test

import (
	"slices"
	"testing"
	"time"

	"shim6/daemon/engine"
	"shim6/daemon/reap"
	"shim6/daemon/shim6"
	"shim6/daemon/wire"
)

// forked gives the context of a host that is not the default one.
func (h *host) forked() engine.Snapshot {
	h.w.t.Helper()
	cs := slices.DeleteFunc(h.e.Contexts(), func(s engine.Snapshot) bool { return s.FII == 0 })
	if len(cs) != 1 {
		h.w.t.Fatalf("%s has %d forked contexts", h.name, len(cs))
	}
	return cs[0]
}

// RFC 5533 section 7.7: a forked context is one of its own, with "a Forked Instance Identifier", tags, locators and timers;
// sections 5.4 and 5.6: I1 and I2 carry the identifier, and the ULIDs where the locators are others.
func TestFork(t *testing.T) {
	w, a, b := established(t, engine.Config{})
	parent := a.only()
	pair := engine.LocatorPair{Local: a.addr(1), Peer: b.addr(1)}
	a.handle(engine.Fork{Tag: parent.TagLocal, Pair: pair, SendTimeout: 3 * time.Second})
	w.settle()
	acts := a.take()
	i1, i2 := messages[*wire.I1](t, acts)[0], messages[*wire.I2](t, acts)[0]
	f := a.forked()
	for name, o := range map[string]wire.Options{"I1": i1.Options, "I2": i2.Options} {
		if o.FII == nil || *o.FII != f.FII || o.ULIDs == nil || o.ULIDs.Sender != parent.ULIDs.Local || o.ULIDs.Receiver != parent.ULIDs.Peer {
			t.Errorf("%s: FII %v, ULIDs %v", name, o.FII, o.ULIDs)
		}
	}
	if i2.KeepaliveTimeout == nil || *i2.KeepaliveTimeout != 3 {
		t.Errorf("the peer is told of %v", i2.KeepaliveTimeout)
	}
	g := b.forked()
	if f.State != shim6.StateEstablished || f.Current != pair || f.SendTimeout != 3*time.Second || f.ULIDs != parent.ULIDs ||
		f.TagLocal == parent.TagLocal || f.TagPeer != g.TagLocal || f.TagLocal != g.TagPeer || g.FII != f.FII || g.KeepaliveTimeout != 3*time.Second {
		t.Errorf("%+v\n%+v", f, g)
	}
	if p := lastProgram(t, acts); p.FII != f.FII || p.Paths[0] != pair || p.SendTimeout != 3*time.Second {
		t.Errorf("the kernel has %+v", p)
	}
	// Each explores for itself.
	a.handle(engine.SendTimeoutExpired{Tag: f.TagLocal, Epoch: a.epochs[f.TagLocal]})
	if s := a.forked(); s.Reap != reap.Exploring {
		t.Errorf("%v", s.Reap)
	}
	for _, s := range a.e.Contexts() {
		if s.FII == 0 && (s.Reap != reap.Operational || s.Current != parent.Current) {
			t.Errorf("the default context: %v on %v", s.Reap, s.Current)
		}
	}
}

// A fork that cannot be made is refused, and the context stays as it is.
func TestForkRefused(t *testing.T) {
	_, a, b := established(t, engine.Config{Limits: engine.Limits{Contexts: 1}})
	tag := a.only().TagLocal
	stranger := plain("2001:db8:c1::1")[0].Addr
	for _, tt := range []struct {
		fork engine.Fork
		why  engine.Reason
	}{
		{engine.Fork{Tag: tag + 1}, engine.ReasonNoContext},
		{engine.Fork{Tag: tag, Pair: engine.LocatorPair{Local: a.addr(0), Peer: stranger}}, engine.ReasonBadFork},
		{engine.Fork{Tag: tag, Pair: engine.LocatorPair{Local: stranger, Peer: b.addr(0)}}, engine.ReasonBadFork},
		{engine.Fork{Tag: tag, SendTimeout: time.Millisecond}, engine.ReasonBadTimeout},
		{engine.Fork{Tag: tag}, engine.ReasonContextsFull},
	} {
		silent(t, a.handle(tt.fork), tt.why)
	}
}

// RFC 5533 section 7.7: both hosts may fork, at the same time as well.
func TestForkFromBothEnds(t *testing.T) {
	w, a, b := established(t, engine.Config{})
	a.handle(engine.Fork{Tag: a.only().TagLocal})
	b.handle(engine.Fork{Tag: b.only().TagLocal})
	w.settle()
	w.advance(time.Minute)
	for _, h := range []*host{a, b} {
		seen := map[uint32]bool{}
		for _, s := range h.e.Contexts() {
			seen[s.FII] = s.State == shim6.StateEstablished
		}
		if len(seen) != 3 {
			t.Errorf("%s: %v", h.name, seen)
		}
		for fii, ok := range seen {
			if !ok {
				t.Errorf("%s: FII %d is not established", h.name, fii)
			}
		}
	}
}

// SPDX-License-Identifier: MIT

package engine_test

import (
	"testing"
	"time"

	"shim6/daemon/engine"
	"shim6/daemon/wire"
)

// lastProgram gives what the kernel was given last.
func lastProgram(t *testing.T, acts []engine.Action) engine.ProgramContext {
	t.Helper()
	ps := pick[engine.ProgramContext](acts)
	if len(ps) == 0 {
		t.Fatal("the kernel was told nothing")
	}
	return ps[len(ps)-1]
}

// RFC 5534 section 5.3: the peer is told of a Send Timeout, in an Update Request, the default too. A longer one is in force at
// once, a shorter one when the peer knows: until then its Keepalives come at the old pace.
func TestSetTimeouts(t *testing.T) {
	w, a, b := established(t, engine.Config{})
	tag := a.only().TagLocal
	w.lost = func(engine.SendPacket) bool { return true }
	a.handle(engine.SetTimeouts{Tag: tag, SendTimeout: 3500 * time.Millisecond})
	acts := a.take()
	if p := lastProgram(t, acts); p.SendTimeout != 15*time.Second {
		t.Errorf("%v before the acknowledgement", p.SendTimeout)
	}
	w.lost = nil
	w.advance(7 * time.Second)
	acts = append(acts, a.take()...)
	rs := messages[*wire.UpdateRequest](t, acts)
	if len(rs) < 2 || rs[0].KeepaliveTimeout == nil || *rs[0].KeepaliveTimeout != 4 || rs[0].Locators != nil {
		t.Fatalf("%+v", rs)
	}
	if p := lastProgram(t, acts); p.SendTimeout != 3500*time.Millisecond {
		t.Errorf("%v after the acknowledgement", p.SendTimeout)
	}
	if s := b.only(); s.KeepaliveTimeout != 4*time.Second || a.only().SendTimeout != 3500*time.Millisecond || a.only().Untold {
		t.Errorf("the peer goes by %v, %+v", s.KeepaliveTimeout, a.only())
	}
	w.lost = func(engine.SendPacket) bool { return true }
	a.handle(engine.SetTimeouts{Tag: tag, SendTimeout: 15 * time.Second})
	if p := lastProgram(t, a.take()); p.SendTimeout != 15*time.Second {
		t.Errorf("the longer one is not in force: %v", p.SendTimeout)
	}
	w.lost = nil
	w.advance(7 * time.Second)
	if s := b.only(); s.KeepaliveTimeout != 15*time.Second {
		t.Errorf("the peer goes by %v", s.KeepaliveTimeout)
	}
}

// A context has a teardown time of its own, and keeps it when the daemon starts again.
func TestSetTeardown(t *testing.T) {
	w, a, _ := established(t, engine.Config{Teardown: time.Minute})
	tag := a.only().TagLocal
	if acts := a.handle(engine.SetTimeouts{Tag: tag, Teardown: time.Hour}); len(acts) != 0 {
		t.Errorf("%s", kinds(acts))
	}
	snapshot := a.only()
	w.now = w.now.Add(time.Hour)
	a.handle(engine.ContextIdle{Tag: tag, Idle: 59 * time.Minute})
	if s := a.only(); s.Teardown != time.Hour {
		t.Errorf("%v", s.Teardown)
	}
	again := w.add("a again", engine.Config{Teardown: time.Minute}, a.locs)
	again.handle(engine.AdoptContext{Snapshot: snapshot})
	again.handle(engine.ContextIdle{Tag: tag, Idle: 59 * time.Minute})
	again.handle(engine.ContextIdle{Tag: tag, Idle: time.Hour})
	if n := len(again.e.Contexts()); n != 0 {
		t.Errorf("%d contexts", n)
	}
	for _, bad := range []engine.SetTimeouts{
		{Tag: tag, SendTimeout: time.Millisecond}, {Tag: tag, SendTimeout: 2 * time.Hour}, {Tag: tag, Teardown: time.Second},
	} {
		silent(t, a.handle(bad), engine.ReasonBadTimeout)
	}
	silent(t, a.handle(engine.SetTimeouts{Tag: tag + 1, Teardown: time.Hour}), engine.ReasonNoContext)
}

// SPDX-License-Identifier: MIT

package engine_test

import (
	"testing"

	"shim6/daemon/engine"
	"shim6/daemon/shim6"
	"shim6/daemon/wire"
)

// RFC 5533 sections 6.2 and 7.15: two contexts that the peer gave one tag are confused while their locators overlap, whichever
// message brings the tag, in ESTABLISHED as in I2BIS-SENT. "the host MUST NOT use the old context to send any packets", and a new
// one may be made for its ULIDs later.
func TestConfusionByEachMessage(t *testing.T) {
	for _, state := range []shim6.State{shim6.StateEstablished, shim6.StateI2bisSent} {
		for _, message := range []string{"I2", "I2bis", "R2"} {
			t.Run(message+" in "+state.String(), func(t *testing.T) {
				s := newStage(t, state)
				a, b := s.a, s.b
				old := s.tag
				// The same for the second ULIDs of both.
				o := signed(t, "b", generation7, b.addr(0), b.addr(1))
				o.PDS = b.locs[1].PDS
				send := func(m wire.Message) []engine.Action { return a.send(b.addr(1), a.addr(1), m) }
				switch message {
				case "I2":
					r1 := messages[*wire.R1](t, send(&wire.I1{InitiatorTag: s.peer}))[0]
					o.Validator = r1.Validator
					a.take()
					send(&wire.I2{InitiatorTag: s.peer, RespNonce: r1.RespNonce, Options: o})
				case "I2bis":
					r := messages[*wire.R1bis](t, send(&wire.Keepalive{ReceiverTag: strangeTag + 1}))[0]
					o.Validator = r.Validator
					a.take()
					send(&wire.I2bis{InitiatorTag: s.peer, RespNonce: r.RespNonce, PacketTag: strangeTag + 1, Options: o})
				case "R2":
					i1 := messages[*wire.I1](t, a.handle(engine.Trigger{ULIDs: engine.ULIDPair{Local: a.addr(1), Peer: b.addr(1)}}))[0]
					a.take()
					send(&wire.R2{ResponderTag: s.peer, InitNonce: i1.InitNonce, Options: o})
				}
				s.settle()
				acts := a.take()
				removed, after := false, false
				for _, act := range acts {
					switch act := act.(type) {
					case engine.RemoveContext:
						removed = removed || act.Tag == old
					case engine.SendPacket:
						after = after || !removed
					}
				}
				if !removed || after || s.now() != shim6.StateIdle {
					t.Errorf("%s: the old context is in %v", kinds(acts), s.now())
				}
				if c := a.only(); c.State != shim6.StateEstablished || c.ULIDs.Peer != b.addr(1) || c.TagPeer != s.peer {
					t.Errorf("%+v", c)
				}
				// Section 7.6: a replacement "MAY" be made; it has a tag of its own.
				s.lost = nil
				a.trigger(b)
				s.settle()
				if s.now() != shim6.StateEstablished {
					t.Errorf("no new context: %v", s.now())
				}
			})
		}
	}
}

// Contexts with one tag and locators in common can come out of a saved file. One message ends the confusion for all of them.
func TestConfusionOfSeveral(t *testing.T) {
	w, a, b := established(t, engine.Config{})
	saved := b.only()
	old := []engine.Snapshot{saved, saved, saved}
	for i := range old {
		old[i].FII, old[i].TagLocal = uint32(i+1), saved.TagLocal+wire.ContextTag(i+1)
		b.handle(engine.AdoptContext{Snapshot: old[i]})
	}
	if n := len(b.e.Contexts()); n != 4 {
		t.Fatalf("%d contexts: %s", n, reasons(b.acts))
	}
	b.take()
	// The peer retransmits its I2 for the first.
	m := &wire.I1{InitiatorTag: saved.TagPeer + 1}
	r1 := messages[*wire.R1](t, b.send(a.addr(0), b.addr(0), m))[0]
	w.queue = nil
	i2 := &wire.I2{InitiatorTag: saved.TagPeer, RespNonce: r1.RespNonce, Options: signed(t, "a", 7, a.addr(0), a.addr(1))}
	m.InitiatorTag = saved.TagPeer
	m.FII = new(uint32(9))
	r1 = messages[*wire.R1](t, b.send(a.addr(0), b.addr(0), m))[0]
	i2.FII, i2.RespNonce, i2.Validator, i2.PDS = m.FII, r1.RespNonce, r1.Validator, a.locs[0].PDS
	b.take()
	b.send(a.addr(0), b.addr(0), i2)
	w.settle()
	if c := b.only(); c.FII != 9 || c.State != shim6.StateEstablished {
		t.Errorf("%+v", c)
	}
	if n := len(pick[engine.RemoveContext](b.take())); n != 4 {
		t.Errorf("%d contexts removed, want 4", n)
	}
}

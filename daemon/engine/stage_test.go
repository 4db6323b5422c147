// SPDX-License-Identifier: MIT

package engine_test

import (
	"net/netip"
	"testing"

	"shim6/daemon/engine"
	"shim6/daemon/shim6"
	"shim6/daemon/wire"
)

// A stage is host a with a context for b in one state, all that it sends being lost, and what b needs to send anything.
type stage struct {
	*world
	a, b  *host
	state shim6.State
	nonce uint32 // Initiator Nonce of a
	tag   wire.ContextTag
	peer  wire.ContextTag // as a knows it

	r1, named, strange *wire.R1    // for I2s of b from its ULID, its second locator and from a stranger
	r1bis, strangeBis  *wire.R1bis // likewise for I2bis
}

const (
	stageTag    = 5  // of b in messages to come
	unknownTag  = 77 // of nobody
	strangeTag  = 78
	generation7 = 7
)

var stranger = netip.MustParseAddr("2001:db8:666::1")

// states are those of RFC 5533 section 6.2.
var states = []shim6.State{
	shim6.StateIdle, shim6.StateI1Sent, shim6.StateI2Sent, shim6.StateEstablished, shim6.StateI2bisSent, shim6.StateEFailed,
	shim6.StateNoSupport,
}

// newStage puts a into a state. A validator lives for half a minute, so it is asked for late where the state takes longer.
func newStage(t *testing.T, state shim6.State) *stage {
	t.Helper()
	w, a, b := pair(t, engine.Config{})
	s := &stage{world: w, a: a, b: b, state: state}
	w.lost = func(engine.SendPacket) bool { return true }
	late := state == shim6.StateEFailed || state == shim6.StateNoSupport
	if !late {
		s.askValidators()
	}
	switch state {
	case shim6.StateIdle:
	case shim6.StateEstablished, shim6.StateI2bisSent:
		w.lost = nil
		a.trigger(b)
		w.settle()
		w.lost = func(engine.SendPacket) bool { return true }
		s.nonce = messages[*wire.I2](t, a.acts)[0].InitNonce
		if state == shim6.StateI2bisSent {
			m := &wire.R1bis{PacketTag: a.only().TagPeer, RespNonce: 3, Options: wire.Options{Validator: []byte{1}}}
			s.nonce = messages[*wire.I2bis](t, a.send(b.addr(0), a.addr(0), m))[0].InitNonce
		}
	default:
		i1 := pick[engine.SendPacket](a.trigger(b))[0]
		s.nonce = parse[*wire.I1](t, i1).InitNonce
		switch state {
		case shim6.StateI2Sent:
			a.send(b.addr(0), a.addr(0), s.goodR1())
		case shim6.StateEFailed:
			fail(t, a)
		case shim6.StateNoSupport:
			a.handle(notSupported(i1))
		}
	}
	if late {
		s.askValidators()
	}
	if got := s.now(); got != state {
		t.Fatalf("%v, want %v", got, state)
	}
	if cs := a.e.Contexts(); len(cs) == 1 {
		s.tag, s.peer = cs[0].TagLocal, cs[0].TagPeer
	}
	a.take()
	return s
}

// now is the state that a is in.
func (s *stage) now() shim6.State {
	s.t.Helper()
	for _, c := range s.a.e.Contexts() {
		if c.ULIDs.Peer == s.b.addr(0) {
			return c.State
		}
	}
	return shim6.StateIdle
}

func (s *stage) ulids() *wire.ULIDPairOption {
	return &wire.ULIDPairOption{Sender: s.b.addr(0), Receiver: s.a.addr(0)}
}

func (s *stage) askValidators() {
	a, b := s.a, s.b
	ask := func(src netip.Addr, ulids *wire.ULIDPairOption) *wire.R1 {
		return messages[*wire.R1](s.t, a.send(src, a.addr(0), &wire.I1{InitiatorTag: stageTag, Options: wire.Options{ULIDs: ulids}}))[0]
	}
	s.r1, s.named, s.strange = ask(b.addr(0), nil), ask(b.addr(1), s.ulids()), ask(stranger, s.ulids())
	s.r1bis = messages[*wire.R1bis](s.t, a.send(b.addr(0), a.addr(0), &wire.Keepalive{ReceiverTag: unknownTag}))[0]
	s.strangeBis = messages[*wire.R1bis](s.t, a.send(stranger, a.addr(0), &wire.Keepalive{ReceiverTag: strangeTag}))[0]
}

// offer is what b tells about itself.
func (s *stage) offer() wire.Options {
	o := signed(s.t.(*testing.T), "b", generation7, s.b.addr(0), s.b.addr(1))
	o.PDS = s.b.locs[0].PDS
	return o
}

// from gives a message of b to a, and lets what comes of it happen.
func (s *stage) from(src netip.Addr, m wire.Message) []engine.Action {
	s.t.Helper()
	s.a.send(src, s.a.addr(0), m)
	s.settle()
	return s.a.take()
}

func (s *stage) goodR1() *wire.R1 {
	return &wire.R1{InitNonce: s.nonce, RespNonce: 3, Options: wire.Options{Validator: []byte{1, 2, 3}}}
}

func (s *stage) i2(r1 *wire.R1, o wire.Options) *wire.I2 {
	o.Validator = r1.Validator
	return &wire.I2{InitiatorTag: stageTag, InitNonce: 6, RespNonce: r1.RespNonce, Options: o}
}

func (s *stage) i2bis(r *wire.R1bis, o wire.Options) *wire.I2bis {
	o.Validator = r.Validator
	return &wire.I2bis{InitiatorTag: stageTag, InitNonce: 6, RespNonce: r.RespNonce, PacketTag: r.PacketTag, Options: o}
}

// r2 is answered to the last message of a's exchange.
func (s *stage) r2() *wire.R2 {
	return &wire.R2{ResponderTag: stageTag, InitNonce: s.nonce, Options: s.offer()}
}

// known is a's tag, or one of nobody.
func (s *stage) known() wire.ContextTag {
	if s.tag == 0 {
		return unknownTag
	}
	return s.tag
}

// notSupported is the ICMP error of a host that does not know protocol 140.
func notSupported(i1 engine.SendPacket) engine.ICMPError {
	quoted := make([]byte, 40)
	src, dst := i1.Src.As16(), i1.Dst.As16()
	quoted[0], quoted[6] = 0x60, wire.Protocol
	copy(quoted[8:], src[:])
	copy(quoted[24:], dst[:])
	return engine.ICMPError{Src: i1.Dst, Type: 4, Code: 1, Quoted: append(quoted, i1.Payload...)}
}

// SPDX-License-Identifier: MIT

package engine_test

import (
	"net/netip"
	"testing"
	"time"

	"shim6/daemon/engine"
	"shim6/daemon/shim6"
	"shim6/daemon/wire"
)

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

// Failures that are remembered (RFC 5533 section 7.8) do not keep out who speaks Shim6: the oldest gives way.
func TestFailuresGiveWay(t *testing.T) {
	w := newWorld(t)
	peers := []string{"2001:db8:c1::1", "2001:db8:c2::1", "2001:db8:c3::1"}
	a := w.add("a", engine.Config{Limits: engine.Limits{Contexts: 2}}, plain("2001:db8:a1::1"))
	b := w.add("b", engine.Config{}, plain("2001:db8:b1::1"))
	ask := func(peer string) []engine.Action {
		return a.handle(engine.Trigger{ULIDs: engine.ULIDPair{Local: a.addr(0), Peer: netip.MustParseAddr(peer)}})
	}
	ask(peers[0])
	w.advance(time.Second)
	ask(peers[1])
	silent(t, ask(peers[2]), engine.ReasonContextsFull) // both are being asked
	for a.e.Contexts()[1].State != shim6.StateEFailed || a.e.Contexts()[0].State != shim6.StateEFailed {
		w.advance(time.Second)
	}
	b.trigger(a)
	w.settle()
	if ss := a.e.Contexts(); len(ss) != 2 || ss[1].State != shim6.StateEstablished {
		t.Fatalf("%d contexts, %v", len(ss), ss[len(ss)-1].State)
	}
	ask(peers[2])
	if ss := a.e.Contexts(); len(ss) != 2 || ss[0].State != shim6.StateEstablished || ss[1].State != shim6.StateI1Sent {
		t.Fatalf("%d contexts, %v", len(ss), ss[len(ss)-1].State)
	}
	silent(t, ask(peers[0]), engine.ReasonContextsFull)
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

// SPDX-License-Identifier: MIT

package engine_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"shim6/daemon/engine"
	"shim6/daemon/reap"
	"shim6/daemon/shim6"
	"shim6/daemon/wire"
)

// RFC 5533 section 7.10: "No state is created on the host in this case"; section 7.17 for R1bis. A hundred thousand hosts that
// send an I1 or a message with an unknown tag each, and nothing else, leave memory as it was.
func TestFloodOfStrangersKeepsNothing(t *testing.T) {
	const n = 100_000
	for name, message := range map[string]func(i int) wire.Message{
		"I1":        func(i int) wire.Message { return &wire.I1{InitiatorTag: wire.ContextTag(i + 1), InitNonce: uint32(i)} },
		"Keepalive": func(i int) wire.Message { return &wire.Keepalive{ReceiverTag: wire.ContextTag(i + 1)} },
	} {
		t.Run(name, func(t *testing.T) {
			b := newWorld(t).add("b", engine.Config{}, locators(t, "b", "2001:db8:b1::/64"))
			dst, answers := b.addr(0), 0
			one := func(i int) {
				src := [16]byte{0x20, 1, 0xd, 0xb8, 15: 1}
				binary.BigEndian.PutUint32(src[4:], uint32(i)*2654435761) // all over the /64s
				p := engine.PacketIn{Src: netip.AddrFrom16(src), Dst: dst, Payload: marshal(t, message(i))}
				answers += len(pick[engine.SendPacket](b.e.Handle(start.Add(time.Duration(i)*time.Millisecond), p)))
			}
			heap := func() uint64 {
				var m runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&m)
				return m.HeapAlloc
			}
			for i := range 1000 { // what is there once
				one(i)
			}
			before := heap()
			for i := 1000; i < n; i++ {
				one(i)
			}
			if after := heap(); after > before+128<<10 {
				t.Errorf("memory grew by %d KiB", (after-before)>>10)
			}
			if answers < n*9/10 || len(b.e.Contexts()) != 0 || !b.e.Deadline().IsZero() {
				t.Errorf("%d answers, %d contexts, deadline %v", answers, len(b.e.Contexts()), b.e.Deadline())
			}
		})
	}
}

// Neither we nor a peer can have so many locators that the number of their pairs is a problem: both have as many as can be.
func TestAllLocatorsThatCanBe(t *testing.T) {
	many := func(key, net string) []engine.LocalLocator {
		var prefixes []string
		for i := range shim6.MaxLocators {
			prefixes = append(prefixes, fmt.Sprintf("2001:db8:%s%02x::/64", net, i))
		}
		return locators(t, key, prefixes...)
	}
	w := newWorld(t)
	a, b := w.add("a", engine.Config{}, many("a", "a")), w.add("b", engine.Config{}, many("b", "b"))
	a.trigger(b)
	w.settle()
	agree(t, a, b)
	if s := a.only(); len(s.LocatorsLocal) != shim6.MaxLocators || len(s.LocatorsPeer) != shim6.MaxLocators {
		t.Fatalf("%d and %d locators", len(s.LocatorsLocal), len(s.LocatorsPeer))
	}
	a.take()
	w.lost = func(engine.SendPacket) bool { return true }
	a.timeout()
	w.advance(time.Hour)
	tried := map[engine.LocatorPair]bool{}
	for _, p := range pick[engine.ProbeSent](a.take()) {
		if tried[p.Pair] {
			t.Fatalf("%v again before all were tried", p.Pair)
		}
		tried[p.Pair] = true
	}
	w.lost = func(p engine.SendPacket) bool { return p.Src == a.addr(0) || p.Dst == a.addr(0) }
	w.advance(2 * time.Minute)
	if s := a.only(); s.Reap != reap.Operational || s.Current.Local == a.addr(0) {
		t.Errorf("%v on %v after %d pairs", s.Reap, s.Current, len(tried))
	}
}

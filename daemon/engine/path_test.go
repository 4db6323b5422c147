// SPDX-License-Identifier: MIT

package engine_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"shim6/daemon/engine"
	"shim6/daemon/reap"
	"shim6/daemon/shim6"
	"shim6/daemon/wire"
)

// timeout lets the kernel's Send Timer expire.
func (h *host) timeout() []engine.Action {
	tag := h.only().TagLocal
	return h.handle(engine.SendTimeoutExpired{Tag: tag, Epoch: h.epochs[tag]})
}

// RFC 5534 section 4.2: the exploration finds a working pair for each direction; section 6.9: "the payload packets continue to
// be sent to the previously used addresses" until then.
func TestFailover(t *testing.T) {
	w, a, b := established(t, engine.Config{})
	cut := func(p engine.SendPacket) bool { return p.Src == a.addr(0) || p.Dst == a.addr(0) }
	w.lost = cut
	before := a.only().Current
	acts := a.timeout()
	if got, want := kinds(acts), "ReapChanged SendPacket ProbeSent"; got != want {
		t.Errorf("at the timeout: %s, want %s", got, want)
	}
	if a.only().Current != before {
		t.Error("the path changed before anything was proved")
	}
	w.advance(5 * time.Second)
	for _, h := range []*host{a, b} {
		s := h.only()
		if s.Reap != reap.Operational || cut(engine.SendPacket{Src: s.Current.Local, Dst: s.Current.Peer}) {
			t.Errorf("%s: %v on %v", h.name, s.Reap, s.Current)
		}
		if !slices.ContainsFunc(s.LocatorsPeer, func(l engine.LocatorInfo) bool { return l.Addr == s.Current.Peer && l.Probed }) {
			t.Errorf("%s: %v is not marked as probed: %+v", h.name, s.Current.Peer, s.LocatorsPeer)
		}
	}
	agree(t, a, b)
}

// The kernel is to use the new path as early as can be: before the answer goes out.
func TestPathIsProgrammedFirst(t *testing.T) {
	w, a, _ := established(t, engine.Config{})
	w.lost = func(p engine.SendPacket) bool { return p.Src == a.addr(0) || p.Dst == a.addr(0) }
	a.timeout()
	w.queue = nil
	a.take()
	// Let a's probes reach b until one is answered, and look at what the answer makes a do.
	for len(pick[engine.PathChanged](a.acts)) == 0 {
		a.take()
		w.now = a.e.Deadline()
		a.handle(engine.Tick{})
		for len(w.queue) > 0 && len(pick[engine.PathChanged](a.acts)) == 0 {
			a.take()
			f := w.queue[0]
			w.queue = w.queue[1:]
			f()
		}
	}
	got := kinds(a.acts)
	if want := "ProbeReceived ProgramContext PathChanged ReapChanged SetReap SendPacket ProbeSent"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	p := pick[engine.ProgramContext](a.acts)[0]
	if c := pick[engine.PathChanged](a.acts)[0]; p.Paths[0] != c.To || c.From == c.To {
		t.Errorf("programmed %v, changed %v to %v", p.Paths[0], c.From, c.To)
	}
	if r := pick[engine.SetReap](a.acts)[0]; r.State != reap.Operational {
		t.Errorf("%+v", r)
	}
}

// RFC 5534 section 6.1: a Keepalive "is sent using the current address pair".
func TestKeepalive(t *testing.T) {
	w, a, b := established(t, engine.Config{})
	tag := a.only().TagLocal
	acts := a.handle(engine.KeepaliveDue{Tag: tag, Epoch: a.epochs[tag]})
	ps := pick[engine.SendPacket](acts)
	if sent(t, acts) != "Keepalive" || ps[0].Src != a.addr(0) || ps[0].Dst != b.addr(0) || kinds(acts) != "SendPacket" {
		t.Fatalf("%s", kinds(acts))
	}
	if m := messages[*wire.Keepalive](t, acts)[0]; m.ReceiverTag != b.only().TagLocal {
		t.Errorf("for tag %v", m.ReceiverTag)
	}
	w.settle()
	if r := pick[engine.SetReap](b.take()); len(r) != 1 || r[0].Send != reap.TimerStop || r[0].Keepalive != reap.TimerKeep {
		t.Errorf("%+v", r)
	}
	if a.only().KeepalivesSent != 1 {
		t.Errorf("%d counted", a.only().KeepalivesSent)
	}
}

// A kernel event of an earlier epoch is about timers that were set anew since.
func TestStaleKernelEvents(t *testing.T) {
	_, a, _ := established(t, engine.Config{})
	tag := a.only().TagLocal
	old := a.epochs[tag] - 1
	for _, ev := range []engine.Event{
		engine.SendTimeoutExpired{Tag: tag, Epoch: old}, engine.KeepaliveDue{Tag: tag, Epoch: old},
		engine.PayloadSeen{Tag: tag, Epoch: old},
	} {
		silent(t, a.handle(ev), engine.ReasonStaleEvent)
	}
	for _, ev := range []engine.Event{
		engine.SendTimeoutExpired{Tag: tag + 1}, engine.KeepaliveDue{Tag: tag + 1}, engine.PayloadSeen{Tag: tag + 1},
		engine.ContextGone{Tag: tag + 1}, engine.DeleteContext{Tag: tag + 1}, engine.ProbeContext{}, engine.ContextIdle{Idle: time.Hour},
	} {
		silent(t, a.handle(ev), engine.ReasonNoContext)
	}
}

// RFC 5534 section 8: REAP is not used while the context is being set up.
func TestNoREAPBeforeEstablished(t *testing.T) {
	w, a, b := pair(t, engine.Config{})
	w.lost = func(p engine.SendPacket) bool { return p.Payload[2] == byte(wire.TypeI2) }
	a.trigger(b)
	tag := a.only().TagLocal
	for _, state := range []shim6.State{shim6.StateI1Sent, shim6.StateI2Sent} {
		if a.only().State != state {
			t.Fatalf("%v, want %v", a.only().State, state)
		}
		for _, ev := range []engine.Event{
			engine.SendTimeoutExpired{Tag: tag}, engine.KeepaliveDue{Tag: tag}, engine.PayloadSeen{Tag: tag},
			engine.ProbeContext{Tag: tag}, engine.ContextGone{Tag: tag},
		} {
			silent(t, a.handle(ev), engine.ReasonWrongState)
		}
		// RFC 5534 section 5.1: a valid Keepalive "has a Shim6 context that is in state ESTABLISHED".
		silent(t, a.send(b.addr(0), a.addr(0), &wire.Keepalive{ReceiverTag: tag}), engine.ReasonWrongState)
		w.settle()
	}
	// RFC 5533 appendix B: but in I2-SENT it shows that the peer is established, so the I2 goes out again.
	w.now = w.now.Add(time.Second)
	acts := a.send(b.addr(0), a.addr(0), &wire.Probe{ReceiverTag: tag, State: 1, Sent: []wire.ProbeReport{
		{Src: b.addr(0), Dst: a.addr(0), Nonce: 1},
	}})
	if sent(t, acts) != "I2" || a.only().State != shim6.StateI2Sent {
		t.Errorf("sent %q in %v", sent(t, acts), a.only().State)
	}
	w.now = w.now.Add(time.Second)
	if acts := a.handle(engine.UnknownTag{Src: b.addr(0), Dst: a.addr(0), Tag: tag}); sent(t, acts) != "I2" {
		t.Errorf("payload: sent %q", sent(t, acts))
	}
}

// RFC 5533 section 12.4: "Verify that the IPv6 Source Address field is part of Ls(peer) and that the IPv6 Destination Address
// field is part of Ls(local). If not, send an R1bis message."
func TestForeignLocators(t *testing.T) {
	_, _, b := established(t, engine.Config{})
	foreign := netip.MustParseAddr("2001:db8:666::1")
	tag := b.only().TagLocal
	before := b.only()
	for _, m := range []wire.Message{
		&wire.Keepalive{ReceiverTag: tag},
		&wire.Probe{ReceiverTag: tag, State: 1, Sent: []wire.ProbeReport{{Src: foreign, Dst: b.addr(0)}}},
		&wire.UpdateRequest{ReceiverTag: tag}, &wire.UpdateAck{ReceiverTag: tag},
	} {
		acts := b.send(foreign, b.addr(0), m)
		if sent(t, acts) != "R1bis" || reasons(acts) != "not-a-locator" {
			t.Errorf("%v: sent %q, dropped for %q", m.Type(), sent(t, acts), reasons(acts))
		}
	}
	if d := cmp.Diff(before, b.only(), cmp.Comparer(sameAddr)); d != "" {
		t.Error(d)
	}
}

// RFC 5534 section 3.1: "If a node loses the address it is currently using for communications, another address must replace
// it." That takes no Send Timeout.
func TestLocalLocatorGone(t *testing.T) {
	w, a, _ := established(t, engine.Config{})
	all := a.locs
	a.setLocators(all[1:])
	w.advance(time.Second)
	if s := a.only(); s.Current.Local != all[1].Addr || s.Reap != reap.Operational {
		t.Errorf("%v on %v", s.Reap, s.Current)
	}
	for _, p := range pick[engine.SendPacket](a.acts) {
		if p.Src == all[0].Addr {
			t.Errorf("sent from an address that is gone: %x", p.Payload[:8])
		}
	}
	// The other address may go: nothing happens.
	a.setLocators(all)
	a.take()
	a.setLocators(all[1:])
	if acts := a.take(); len(pick[engine.ReapChanged](acts)) != 0 {
		t.Errorf("%s", kinds(acts))
	}
}

// Without any address there is nothing to probe from; the first that comes back is tried at once.
func TestAllLocalLocatorsGone(t *testing.T) {
	w, a, _ := established(t, engine.Config{})
	all := a.locs
	a.setLocators(nil)
	a.take()
	w.advance(time.Minute)
	if got := sent(t, a.take()); got != "" {
		t.Errorf("sent %s", got)
	}
	a.setLocators(all[1:])
	if s := a.only(); s.Current.Local != all[1].Addr || s.Reap != reap.Operational {
		t.Errorf("%v on %v", s.Reap, s.Current)
	}
}

// No locator of a peer is a destination unless it was verified, and none that is ours.
func TestPeerLocatorThatIsOurs(t *testing.T) {
	w, a, b := pair(t, engine.Config{})
	own := a.locs
	a.handle(engine.LocalLocators{Locators: append(slices.Clone(own), engine.LocalLocator{Addr: b.addr(1)})})
	w.settle()
	a.locs = own
	a.trigger(b)
	w.settle()
	b.take()
	w.lost = func(engine.SendPacket) bool { return true }
	b.timeout()
	w.advance(time.Minute)
	for _, p := range pick[engine.SendPacket](b.take()) {
		if p.Dst == b.addr(1) {
			t.Fatal("probes itself")
		}
	}
}

// An operator's question is answered with the path in use where that works.
func TestProbeContext(t *testing.T) {
	w, a, _ := established(t, engine.Config{})
	before := a.only().Current
	a.handle(engine.ProbeContext{Tag: a.only().TagLocal})
	w.settle()
	if s := a.only(); s.Reap != reap.Operational || s.Current != before || s.ProbesSent != 2 || s.ProbesReceived != 1 {
		t.Errorf("%+v", s)
	}
}

// The xfrm states of a context are the truth; when somebody removes them, they come back.
func TestContextGone(t *testing.T) {
	_, a, _ := established(t, engine.Config{})
	tag := a.only().TagLocal
	if got := kinds(a.handle(engine.ContextGone{Tag: tag})); got != "ProgramContext SetReap" {
		t.Errorf("%s", got)
	}
	a.timeout()
	acts := a.handle(engine.ContextGone{Tag: tag})
	if r := pick[engine.SetReap](acts); len(r) != 1 || r[0].State != reap.Exploring {
		t.Errorf("%+v", r)
	}
	// The kernel asks about a tag that is here: it has lost the context without a word.
	if got := kinds(a.handle(engine.UnknownTag{Src: a.addr(1), Dst: a.addr(0), Tag: tag})); got != "ProgramContext SetReap" {
		t.Errorf("%s", got)
	}
}

// RFC 5533 section 9: a context is kept while an upper layer may use it. A connection that is open may, however long it sleeps;
// without the context what it sends then would go to a path that may have failed since.
func TestConnectionHoldsContext(t *testing.T) {
	w, a, _ := established(t, engine.Config{})
	tag := a.only().TagLocal
	w.now = w.now.Add(24 * time.Hour)
	a.handle(engine.ContextIdle{Tag: tag, Idle: 23 * time.Hour, Held: true})
	if got := a.only().State; got != shim6.StateEstablished {
		t.Errorf("held: %v", got)
	}
	if acts := a.handle(engine.ContextIdle{Tag: tag, Idle: 23 * time.Hour}); kinds(acts) != "StateChanged RemoveContext" {
		t.Errorf("not held any more: %s", kinds(acts))
	}
}

// RFC 5533 section 9: "tear down the state only after it appears quiescent".
func TestTeardown(t *testing.T) {
	w, a, _ := established(t, engine.Config{Teardown: 5 * time.Minute})
	tag := a.only().TagLocal
	// The last payload came before the exchange that made the context again.
	if acts := a.handle(engine.ContextIdle{Tag: tag, Idle: time.Hour}); len(acts) != 0 {
		t.Errorf("%s", kinds(acts))
	}
	w.now = w.now.Add(10 * time.Minute)
	if acts := a.handle(engine.ContextIdle{Tag: tag, Idle: 5*time.Minute - 1}); len(acts) != 0 {
		t.Errorf("%s", kinds(acts))
	}
	a.timeout()
	acts := a.handle(engine.ContextIdle{Tag: tag, Idle: 5 * time.Minute})
	if kinds(acts) != "StateChanged RemoveContext" || pick[engine.RemoveContext](acts)[0].Tag != tag {
		t.Errorf("%s", kinds(acts))
	}
	if len(a.e.Contexts()) != 0 || !a.e.Deadline().IsZero() {
		t.Error("something is left")
	}
	_, a, _ = established(t, engine.Config{})
	tag = a.only().TagLocal
	a.handle(engine.ContextIdle{Tag: tag, Idle: 10*time.Minute - 1})
	if acts := a.handle(engine.DeleteContext{Tag: tag}); kinds(acts) != "StateChanged RemoveContext" {
		t.Errorf("%s", kinds(acts))
	}
	// A context that the kernel does not have yet is not removed there.
	w, a, b := pair(t, engine.Config{})
	w.lost = func(engine.SendPacket) bool { return true }
	a.trigger(b)
	if acts := a.handle(engine.DeleteContext{Tag: a.only().TagLocal}); kinds(acts) != "StateChanged" || !a.e.Deadline().IsZero() {
		t.Errorf("%s", kinds(acts))
	}
}

// Hosts that share nothing but luck do not act alike; a host with the same seed and the same events does.
func TestSeedDecides(t *testing.T) {
	run := func(seed byte) string {
		e, err := engine.New(engine.Config{Seed: [32]byte{seed}})
		if err != nil {
			t.Fatal(err)
		}
		local := netip.MustParseAddr("2001:db8:a1::1")
		var all []string
		e.Handle(start, engine.LocalLocators{Locators: []engine.LocalLocator{{Addr: local}}})
		for i := range 20 {
			peer := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(i + 1)})
			for _, a := range e.Handle(start, engine.Trigger{ULIDs: engine.ULIDPair{Local: local, Peer: peer}}) {
				if p, ok := a.(engine.SendPacket); ok {
					all = append(all, string(p.Payload))
				}
			}
		}
		for now := e.Deadline(); !now.IsZero(); now = e.Deadline() {
			all = append(all, now.String(), kinds(e.Handle(now, engine.Tick{})))
		}
		return strings.Join(all, "\n")
	}
	one, again, two := run(1), run(1), run(2)
	if one != again {
		t.Error("equal seeds, different actions")
	}
	if one == two {
		t.Error("different seeds, equal actions")
	}
}

// SPDX-License-Identifier: MIT

package engine_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"shim6/daemon/engine"
	"shim6/daemon/shim6"
	"shim6/daemon/wire"
)

// RFC 5533 section 7: I1, R1, I2, R2. "both ends ESTABLISHED" means that the tags match crosswise and the locators are known.
func TestExchange(t *testing.T) {
	w, a, b := pair(t, engine.Config{})
	a.take()
	b.take()
	a.trigger(b)
	w.settle()
	if got, want := kinds(a.acts), "StateChanged SendPacket MessageSent MessageReceived StateChanged SendPacket MessageSent Verify "+
		"MessageReceived StateChanged ProgramContext SetReap"; got != want {
		t.Errorf("initiator: %s\nwant %s", got, want)
	}
	if got, want := kinds(b.acts), "SendPacket Verify MessageReceived StateChanged ProgramContext SetReap SendPacket MessageSent SetReap"; got != want {
		t.Errorf("responder: %s\nwant %s", got, want)
	}
	agree(t, a, b)
}

// agree asserts that two hosts have the same context.
func agree(t *testing.T, a, b *host) {
	t.Helper()
	x, y := a.only(), b.only()
	if x.State != shim6.StateEstablished || y.State != shim6.StateEstablished {
		t.Fatalf("states %v and %v", x.State, y.State)
	}
	if x.TagLocal != y.TagPeer || x.TagPeer != y.TagLocal || !x.TagLocal.Valid() || !x.TagPeer.Valid() {
		t.Errorf("tags %v %v and %v %v", x.TagLocal, x.TagPeer, y.TagLocal, y.TagPeer)
	}
	if x.ULIDs.Local != y.ULIDs.Peer || x.ULIDs.Peer != y.ULIDs.Local || x.FII != y.FII {
		t.Errorf("ULIDs %v and %v", x.ULIDs, y.ULIDs)
	}
	for _, s := range [][2]engine.Snapshot{{x, y}, {y, x}} {
		if s[0].GenerationLocal != s[1].GenerationPeer {
			t.Errorf("generations %08x and %08x", s[0].GenerationLocal, s[1].GenerationPeer)
		}
		if d := cmp.Diff(addrs(s[0].LocatorsLocal), addrs(s[1].LocatorsPeer), cmp.Comparer(sameAddr)); d != "" {
			t.Errorf("locators: %s", d)
		}
	}
	for _, h := range []*host{a, b} {
		s := h.only()
		if h.paths[s.TagLocal] != s.Current {
			t.Errorf("%s: kernel has path %v, engine %v", h.name, h.paths[s.TagLocal], s.Current)
		}
	}
}

func addrs(is []engine.LocatorInfo) (as []netip.Addr) {
	for _, i := range is {
		as = append(as, i.Addr)
	}
	return as
}

func sameAddr(x, y netip.Addr) bool { return x == y }

func TestProgrammedContext(t *testing.T) {
	w, a, b := pair(t, engine.Config{SendTimeout: 2500 * time.Millisecond})
	a.trigger(b)
	w.settle()
	s := a.only()
	want := engine.ProgramContext{
		ULIDs:   engine.ULIDPair{Local: a.addr(0), Peer: b.addr(0)},
		TagPeer: s.TagPeer, TagLocal: s.TagLocal,
		Paths:         []engine.LocatorPair{{Local: a.addr(0), Peer: b.addr(0)}},
		LocatorsLocal: []netip.Addr{a.addr(0), a.addr(1)},
		SendTimeout:   2500 * time.Millisecond,
		// RFC 5534 section 7: "Keepalive Timeout X seconds, where X is the peer's Send Timeout as communicated in the
		// Keepalive Timeout Option"; "Keepalive Interval Y seconds, where Y is one-third to one-half of the Keepalive
		// Timeout value".
		KeepaliveTimeout:  3 * time.Second,
		KeepaliveInterval: time.Second,
	}
	if d := cmp.Diff([]engine.ProgramContext{want}, pick[engine.ProgramContext](a.acts), cmp.Comparer(sameAddr)); d != "" {
		t.Error(d)
	}
	// The same goes back: an R2 has the option too.
	if p := pick[engine.ProgramContext](b.acts)[0]; p.KeepaliveTimeout != 3*time.Second {
		t.Errorf("%v", p.KeepaliveTimeout)
	}
	_, _, other := established(t, engine.Config{})
	if s := other.only(); s.KeepaliveTimeout != 15*time.Second || s.KeepaliveInterval != 5*time.Second {
		t.Errorf("by default %v and %v", s.KeepaliveTimeout, s.KeepaliveInterval)
	}
}

// RFC 5533 section 7.14: R2 messages are payload to RFC 5534 section 6.1; so the side that got one owes a Keepalive, the
// side that sent one waits for it.
func TestTimersAfterExchange(t *testing.T) {
	w, a, b := pair(t, engine.Config{})
	a.trigger(b)
	w.settle()
	for h, want := range map[*host]string{a: "stop start", b: "start stop"} {
		r := pick[engine.SetReap](h.acts)
		if last := r[len(r)-1]; last.Send.String()+" "+last.Keepalive.String() != want {
			t.Errorf("%s: send timer %v, keepalive timer %v", h.name, last.Send, last.Keepalive)
		}
	}
}

// RFC 5533 section 7.4: when the I1s cross, both answer with an R2; "the host leaves CT(peer) unchanged and replies with an
// R2 message" (section 7.9).
func TestI1sCross(t *testing.T) {
	w, a, b := pair(t, engine.Config{})
	a.take()
	b.take()
	a.trigger(b)
	b.trigger(a)
	w.settle()
	agree(t, a, b)
	for _, h := range []*host{a, b} {
		if got := sent(t, h.acts); got != "I1 R2" {
			t.Errorf("%s sent %s", h.name, got)
		}
	}
}

// RFC 5533 section 7.4: an I1 that crosses an I2.
func TestI1CrossesI2(t *testing.T) {
	w, a, b := pair(t, engine.Config{})
	a.take()
	b.take()
	w.lost = func(p engine.SendPacket) bool { return p.Payload[2] == byte(wire.TypeI2) }
	a.trigger(b)
	w.settle()
	w.lost = nil
	i2 := pick[engine.SendPacket](a.acts)[1]
	b.trigger(a)
	b.sendRaw(i2.Src, i2.Dst, i2.Payload) // arrives while b's I1 is on its way
	w.settle()
	agree(t, a, b)
	if got := sent(t, a.acts); got != "I1 I2 R2" {
		t.Errorf("a sent %s", got)
	}
	if got := sent(t, b.acts); got != "R1 I1 R2" {
		t.Errorf("b sent %s", got)
	}
}

// RFC 5533 section 7.14: "If the R2 message is lost, then the initiator will retransmit either the I2/I2bis or I1 message.
// Either retransmission will cause the responder to find the context state and respond with an R2 message."
func TestLostR2(t *testing.T) {
	w, a, b := pair(t, engine.Config{})
	n := 0
	w.lost = func(p engine.SendPacket) bool {
		if p.Payload[2] == byte(wire.TypeR2) {
			n++
		}
		return p.Payload[2] == byte(wire.TypeR2) && n <= 1
	}
	a.trigger(b)
	w.settle()
	tag := b.only().TagLocal
	b.take()
	w.advance(7 * time.Second)
	agree(t, a, b)
	if b.only().TagLocal != tag {
		t.Error("the retransmission made another context tag")
	}
	// An I2 that is what was accepted already costs no new verification.
	if v := pick[engine.Verify](b.acts); len(v) != 0 {
		t.Errorf("%d verifications of a retransmitted I2", len(v))
	}
}

// Every message of the exchange may be lost once.
func TestExchangeSurvivesLoss(t *testing.T) {
	for _, typ := range []wire.MessageType{wire.TypeI1, wire.TypeR1, wire.TypeI2, wire.TypeR2} {
		w, a, b := pair(t, engine.Config{})
		lost := false
		w.lost = func(p engine.SendPacket) bool {
			if !lost && p.Payload[2] == byte(typ) {
				lost = true
				return true
			}
			return false
		}
		a.trigger(b)
		w.settle()
		w.advance(7 * time.Second)
		agree(t, a, b)
	}
}

// exchange runs an exchange and gives its four messages.
func exchange(t *testing.T) (w *world, a, b *host, i1, r1, i2, r2 engine.SendPacket) {
	t.Helper()
	w, a, b = pair(t, engine.Config{})
	a.take()
	b.take()
	a.trigger(b)
	w.settle()
	x, y := pick[engine.SendPacket](a.take()), pick[engine.SendPacket](b.take())
	return w, a, b, x[0], y[0], x[1], y[1]
}

func parse[M wire.Message](t *testing.T, p engine.SendPacket) M {
	t.Helper()
	m, err := wire.Parse(p.Payload)
	if err != nil {
		t.Fatal(err)
	}
	return m.(M)
}

// SPDX-License-Identifier: MIT

package engine_test

import (
	"bytes"
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
	if got, want := kinds(a.acts), "StateChanged SendPacket StateChanged SendPacket Verify StateChanged ProgramContext SetReap"; got != want {
		t.Errorf("initiator: %s\nwant %s", got, want)
	}
	if got, want := kinds(b.acts), "SendPacket Verify StateChanged ProgramContext SetReap SendPacket SetReap"; got != want {
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
	w, a, b = established(t, engine.Config{})
	if s := b.only(); s.KeepaliveTimeout != 15*time.Second || s.KeepaliveInterval != 5*time.Second {
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

// RFC 5533 section 7.10: "it copies the Initiator Nonce from the I1 message to the R1 message, generates a Responder Nonce,
// and calculates a Responder Validator option [...]. No state is created on the host in this case."
func TestR1(t *testing.T) {
	w, a, b, i1, r1, _, _ := exchange(t)
	if r1.Src != i1.Dst || r1.Dst != i1.Src {
		t.Errorf("R1 from %v to %v", r1.Src, r1.Dst)
	}
	if m := parse[*wire.R1](t, r1); m.InitNonce != parse[*wire.I1](t, i1).InitNonce || m.Validator == nil {
		t.Errorf("%+v", m)
	}
	fresh := w.add("c", engine.Config{}, b.locs)
	for i := range 100 {
		w.now = w.now.Add(time.Second)
		m := &wire.I1{InitiatorTag: wire.ContextTag(i + 1), InitNonce: uint32(i)}
		if got := kinds(fresh.send(a.addr(0), b.addr(0), m)); got != "SendPacket" {
			t.Fatal(got)
		}
	}
	w.queue = nil
	if n := len(fresh.e.Contexts()); n != 0 || !fresh.e.Deadline().IsZero() {
		t.Errorf("%d contexts after I1s alone", n)
	}
}

// RFC 5533 section 7.9: "If the Context Tags match, then this probably means that the R2 message was lost and this I1 is a
// retransmission. In this case, the host replies with an R2 message". "If the Context Tags do not match, [...] the host
// replies with an R1 message as specified below. This completes the I1 processing, with the context STATE being unchanged."
func TestI1WhenEstablished(t *testing.T) {
	_, a, b, i1, _, _, _ := exchange(t)
	before := b.only()
	m := parse[*wire.I1](t, i1)
	m.InitNonce = 77
	acts := b.send(i1.Src, i1.Dst, m)
	if r2 := messages[*wire.R2](t, acts); len(r2) != 1 || r2[0].InitNonce != 77 || r2[0].ResponderTag != before.TagLocal {
		t.Errorf("same tag: %s", sent(t, acts))
	}
	m.InitiatorTag++
	if acts := b.send(i1.Src, i1.Dst, m); sent(t, acts) != "R1" || kinds(acts) != "SendPacket" {
		t.Errorf("another tag: %s", kinds(acts))
	}
	// "the host verifies that the locator of the initiator is included in Ls(peer). (This check is unnecessary if there is no
	// ULID-pair option in the I1 message.)"
	m.InitiatorTag--
	m.ULIDs = &wire.ULIDPairOption{Sender: i1.Src, Receiver: i1.Dst}
	if acts := b.send(a.addr(1), b.addr(1), m); sent(t, acts) != "R2" {
		t.Errorf("other locators of the context: %s", kinds(acts))
	}
	if acts := b.send(netip.MustParseAddr("2001:db8:666::1"), b.addr(1), m); sent(t, acts) != "R1" || kinds(acts) != "SendPacket" {
		t.Errorf("foreign source: %s", kinds(acts))
	}
	// RFC 5533 section 7.7: another Forked Instance Identifier is another context.
	m.FII = new(uint32(9))
	if acts := b.send(i1.Src, i1.Dst, m); sent(t, acts) != "R1" {
		t.Errorf("another FII: %s", kinds(acts))
	}
	if d := cmp.Diff(before, b.only(), cmp.Comparer(sameAddr)); d != "" {
		t.Errorf("an I1 changed the context: %s", d)
	}
}

// RFC 5533 section 7.9 has an I1 in I1-SENT, I2-SENT and I2BIS-SENT answered with an R2 wherever it comes from. An R2 is
// long, so here only the peer gets one; others get an R1.
func TestI1FromElsewhereGetsNoR2(t *testing.T) {
	w, a, b := pair(t, engine.Config{})
	w.lost = func(engine.SendPacket) bool { return true }
	a.trigger(b)
	m := &wire.I1{InitiatorTag: 5, InitNonce: 6, Options: wire.Options{
		ULIDs: &wire.ULIDPairOption{Sender: b.addr(0), Receiver: a.addr(0)},
	}}
	if acts := a.send(netip.MustParseAddr("2001:db8:666::1"), a.addr(0), m); sent(t, acts) != "R1" {
		t.Errorf("sent %s", sent(t, acts))
	}
	if acts := a.send(b.addr(0), a.addr(0), m); sent(t, acts) != "R2" {
		t.Errorf("sent %s", sent(t, acts))
	}
}

// What cannot be for a context of ours is dropped before anything is spent on it.
func TestI1ThatCannotBeOurs(t *testing.T) {
	_, a, b := pair(t, engine.Config{})
	foreign := netip.MustParseAddr("2001:db8:666::1")
	option := func(sender, receiver netip.Addr) wire.Options {
		return wire.Options{ULIDs: &wire.ULIDPairOption{Sender: sender, Receiver: receiver}}
	}
	for _, tt := range []struct {
		name     string
		src, dst netip.Addr
		m        *wire.I1
		want     engine.Reason
	}{
		{"zero tag", a.addr(0), b.addr(0), &wire.I1{}, engine.ReasonBadTag},
		{"destination not ours", a.addr(0), foreign, &wire.I1{InitiatorTag: 1}, engine.ReasonNotLocal},
		{"ULID not ours", a.addr(0), b.addr(0), &wire.I1{InitiatorTag: 1, Options: option(a.addr(0), foreign)}, engine.ReasonNotLocal},
		{"ULID of the peer is ours", a.addr(0), b.addr(0), &wire.I1{InitiatorTag: 1, Options: option(b.addr(1), b.addr(0))}, engine.ReasonSelf},
		{"source is ours", b.addr(1), b.addr(0), &wire.I1{InitiatorTag: 1}, engine.ReasonSelf},
		{"multicast ULID", a.addr(0), b.addr(0), &wire.I1{InitiatorTag: 1, Options: option(netip.MustParseAddr("ff0e::1"), b.addr(0))}, engine.ReasonBadAddress},
	} {
		t.Run(tt.name, func(t *testing.T) { silent(t, b.send(tt.src, tt.dst, tt.m), tt.want) })
	}
}

// RFC 5533 section 7.11: "the host looks for an existing context that matches the Initiator Nonce and where the locators are
// contained in Ls(peer) and Ls(local), respectively. If no such context is found, then the R1 message is silently
// discarded." "o In any other STATE (I2-SENT, I2BIS-SENT, ESTABLISHED), [...] this R1 message MUST be silently discarded."
func TestR1ThatIsDropped(t *testing.T) {
	w, a, b := pair(t, engine.Config{})
	a.take()
	w.lost = func(engine.SendPacket) bool { return true }
	a.trigger(b)
	nonce := messages[*wire.I1](t, a.acts)[0].InitNonce
	good := &wire.R1{InitNonce: nonce, RespNonce: 3, Options: wire.Options{Validator: []byte{1, 2, 3}}}
	foreign := netip.MustParseAddr("2001:db8:666::1")
	silent(t, a.send(b.addr(0), a.addr(0), &wire.R1{InitNonce: nonce + 1}), engine.ReasonNoContext)
	silent(t, a.send(foreign, a.addr(0), good), engine.ReasonNoContext)
	silent(t, a.send(b.addr(0), a.addr(1), good), engine.ReasonNoContext)
	// "When the host sends an I2 message, it includes the Responder Validator option that was in the R1 message."
	i2 := messages[*wire.I2](t, a.send(b.addr(0), a.addr(0), good))
	if len(i2) != 1 || !bytes.Equal(i2[0].Validator, good.Validator) || i2[0].RespNonce != 3 || i2[0].InitNonce != nonce {
		t.Fatalf("%+v", i2)
	}
	silent(t, a.send(b.addr(0), a.addr(0), good), engine.ReasonWrongState) // I2-SENT
	w.lost = nil
	w, a, _, _, r1, _, _ := exchange(t)
	silent(t, a.sendRaw(r1.Src, r1.Dst, r1.Payload), engine.ReasonNoContext) // ESTABLISHED: its nonce is forgotten
}

// RFC 5533 section 5.5 makes the validator a MUST in R1 and says nothing about a receiver: the I2 goes without.
func TestR1WithoutValidator(t *testing.T) {
	w, a, b := pair(t, engine.Config{})
	w.lost = func(engine.SendPacket) bool { return true }
	a.trigger(b)
	nonce := messages[*wire.I1](t, a.acts)[0].InitNonce
	i2 := messages[*wire.I2](t, a.send(b.addr(0), a.addr(0), &wire.R1{InitNonce: nonce}))
	if len(i2) != 1 || i2[0].Validator != nil {
		t.Errorf("%+v", i2)
	}
}

// RFC 5533 section 7.13: "Next, the host verifies that the Responder Nonce is a recent one [...] and that the Responder
// Validator option matches the validator the host would have computed for the ULID, locators, Responder Nonce, Initiator
// Nonce, and FII. [...] If any of the above verifications fail, then the host silently discards the message".
func TestI2WithoutGoodValidator(t *testing.T) {
	w, a, b, i1, _, i2, _ := exchange(t)
	fresh := w.add("c", engine.Config{}, b.locs)
	fresh.take()
	// Its own validator for the same I1.
	fresh.sendRaw(i1.Src, i1.Dst, i1.Payload)
	issued := messages[*wire.R1](t, fresh.take())[0]
	w.queue = nil
	good := func() *wire.I2 {
		m := parse[*wire.I2](t, i2)
		m.RespNonce, m.Validator = issued.RespNonce, bytes.Clone(issued.Validator)
		return m
	}
	foreign := netip.MustParseAddr("2001:db8:666::1")
	for _, tt := range []struct {
		name   string
		src    netip.Addr
		change func(m *wire.I2)
		want   engine.Reason
	}{
		{"another host's", a.addr(0), func(m *wire.I2) { *m = *parse[*wire.I2](t, i2) }, engine.ReasonStaleNonce},
		{"none", a.addr(0), func(m *wire.I2) { m.Validator = nil }, engine.ReasonBadValidator},
		{"one bit off", a.addr(0), func(m *wire.I2) { m.Validator[7] ^= 1 }, engine.ReasonBadValidator},
		{"another nonce", a.addr(0), func(m *wire.I2) { m.RespNonce++ }, engine.ReasonStaleNonce},
		{"another tag", a.addr(0), func(m *wire.I2) { m.InitiatorTag++ }, engine.ReasonBadValidator},
		{"another FII", a.addr(0), func(m *wire.I2) { m.FII = new(uint32(1)) }, engine.ReasonBadValidator},
		{"another source", foreign, func(*wire.I2) {}, engine.ReasonBadValidator},
		{"another source for the ULID", foreign, func(m *wire.I2) {
			m.ULIDs = &wire.ULIDPairOption{Sender: a.addr(0), Receiver: b.addr(0)}
		}, engine.ReasonBadValidator},
	} {
		m := good()
		tt.change(m)
		t.Run(tt.name, func(t *testing.T) { silent(t, fresh.send(tt.src, b.addr(0), m), tt.want) })
	}
	// The Initiator Nonce is not bound: "This is not required to be the same as the one included in the previous I1 message."
	m := good()
	m.InitNonce = 4711
	fresh.take()
	fresh.send(a.addr(0), b.addr(0), m)
	w.settle()
	if r2 := messages[*wire.R2](t, fresh.take()); len(r2) != 1 || r2[0].InitNonce != 4711 {
		t.Errorf("%+v", r2)
	}
	// Too old.
	w.now = w.now.Add(time.Minute)
	silent(t, w.add("d", engine.Config{}, b.locs).send(a.addr(0), b.addr(0), good()), engine.ReasonStaleNonce)
}

// responder gives a host that waits for an I2, and the I2 it waits for.
func responder(t *testing.T) (w *world, a, b *host, i2 *wire.I2) {
	t.Helper()
	w, a, b = pair(t, engine.Config{})
	w.lost = func(p engine.SendPacket) bool { return p.Payload[2] == byte(wire.TypeI2) }
	a.trigger(b)
	w.settle()
	w.lost = nil
	i2 = messages[*wire.I2](t, a.take())[0]
	b.take()
	return w, a, b, i2
}

// RFC 5533 section 7.13: "If a CGA Parameter Data Structure (PDS) is included in the message, then the host MUST verify if the
// actual PDS contained in the message corresponds to the ULID(peer). If any of the above verifications fail, then the host
// silently discards the message". Section 7.2 wants an Error message where it is the locators that fail.
func TestI2ThatDoesNotVerify(t *testing.T) {
	foreign := netip.MustParseAddr("2001:db8:666::1")
	for _, tt := range []struct {
		name    string
		change  func(a, b *host, m *wire.I2)
		reason  engine.Reason
		pointer int // of the Error, 0 for none; from the IPv6 header on
	}{
		{"PDS of another", func(a, b *host, m *wire.I2) { m.PDS = b.locs[0].PDS }, engine.ReasonVerifyFailed, 0},
		{"broken PDS", func(a, b *host, m *wire.I2) { m.PDS = m.PDS[:20] }, engine.ReasonVerifyFailed, 0},
		{"PDS alone, of another", func(a, b *host, m *wire.I2) {
			m.PDS, m.Locators, m.Signature = b.locs[0].PDS, nil, nil
		}, engine.ReasonVerifyFailed, 0},
		{"wrong signature", func(a, b *host, m *wire.I2) { m.Signature[5] ^= 1 }, engine.ReasonVerifyFailed, 0},
		{"another locator than signed", func(a, b *host, m *wire.I2) { m.Locators.Locators[1].Addr = foreign }, engine.ReasonVerifyFailed, 0},
		{"HBA without Multi-Prefix", func(a, b *host, m *wire.I2) { m.Locators.Locators[1].Method = wire.VerifyHBA }, engine.ReasonVerifyFailed, 1},
		{"no signature", func(a, b *host, m *wire.I2) { m.Signature = nil }, engine.Reason(shim6.FaultLocatorMethod), 0 + 1},
		{"unknown method", func(a, b *host, m *wire.I2) { m.Locators.Locators[1].Method = 77 }, engine.Reason(shim6.FaultLocatorMethod), 1},
		{"link-local locator", func(a, b *host, m *wire.I2) { m.Locators.Locators[1].Addr = netip.MustParseAddr("fe80::1") }, engine.Reason(shim6.FaultLocatorAddress), 1},
		{"no PDS", func(a, b *host, m *wire.I2) { m.PDS = nil }, engine.Reason(shim6.FaultListWithoutPDS), 0},
		{"empty list", func(a, b *host, m *wire.I2) { m.Locators.Locators = nil }, engine.Reason(shim6.FaultEmptyList), 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, a, b, m := responder(t)
			tt.change(a, b, m)
			b.send(a.addr(0), b.addr(0), m)
			w.settle()
			acts := b.take()
			if reasons(acts) != string(tt.reason) || len(b.e.Contexts()) != 0 {
				t.Errorf("%q, %d contexts", reasons(acts), len(b.e.Contexts()))
			}
			es := messages[*wire.ErrorMsg](t, acts)
			if tt.pointer == 0 {
				if len(es) != 0 {
					t.Errorf("Error %+v", es[0])
				}
				return
			}
			// RFC 5533 section 5.14: code 2, "the Pointer field references [...] the octet" of the method.
			if len(es) != 1 || es[0].Code != wire.CodeVerificationFailed {
				t.Fatalf("errors %+v", es)
			}
			quoted := es[0].Packet
			list := bytes.Index(quoted, []byte{0, 4, 0, 44}) // Locator List with two locators
			i := 0
			if tt.name != "no signature" {
				i = 1
			}
			if want := list + 4 + 5 + i; list < 0 || int(es[0].Pointer) != want {
				t.Errorf("pointer %d, want %d", es[0].Pointer, want)
			}
		})
	}
}

// No switch turns verification off: without an answer there is no context, and no R2.
func TestNothingHappensBeforeVerification(t *testing.T) {
	w, a, b, m := responder(t)
	b.noVerify = true
	acts := b.send(a.addr(0), b.addr(0), m)
	if kinds(acts) != "Verify" || len(b.e.Contexts()) != 0 {
		t.Fatalf("%s, %d contexts", kinds(acts), len(b.e.Contexts()))
	}
	v := acts[0].(engine.Verify)
	if v.ULID != a.addr(0) || !bytes.Equal(v.PDS, m.PDS) || !bytes.Equal(v.Signature, m.Signature) || len(v.List.Locators) != 2 {
		t.Errorf("%+v", v)
	}
	// A retransmission does not start another one.
	silent(t, b.send(a.addr(0), b.addr(0), m), engine.ReasonVerifyPending)
	b.handle(verify(v))
	w.settle()
	agree(t, a, b)
	silent(t, b.handle(engine.VerifyDone{ID: v.ID}), engine.ReasonUnknownID)
	silent(t, b.handle(engine.VerifyDone{ID: 99999}), engine.ReasonUnknownID)
}

// A peer without parameters has its ULID and nothing else (RFC 5533 section 3: a host with one address need not be a CGA).
func TestPeerWithPlainAddress(t *testing.T) {
	w := newWorld(t)
	a := w.add("a", engine.Config{}, plain("2001:db8:a1::1", "2001:db8:a2::1"))
	b := w.add("b", engine.Config{}, locators(t, "b", "2001:db8:b1::/64", "2001:db8:b2::/64"))
	a.trigger(b)
	w.settle()
	agree(t, a, b)
	if s := b.only(); len(s.LocatorsPeer) != 1 || len(s.LocatorsLocal) != 2 {
		t.Errorf("%+v", s.LocatorsPeer)
	}
	if n := len(pick[engine.Verify](b.acts)); n != 0 {
		t.Errorf("%d verifications of nothing", n)
	}
	if i2 := messages[*wire.I2](t, a.acts)[0]; i2.Locators != nil || i2.PDS != nil || i2.Signature != nil {
		t.Errorf("%+v", i2)
	}
}

// A39: with a ULID Pair option the source must be a locator that the list names and that verifies, otherwise anybody could
// claim a ULID from anywhere.
func TestI2FromAnotherLocator(t *testing.T) {
	for _, tt := range []struct {
		name  string
		list  bool
		known bool
		ok    bool
	}{
		{"named by the list", true, true, true}, {"not named", true, false, false}, {"without a list", false, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, a, b, m := responder(t)
			src := a.addr(1)
			if !tt.known {
				src = netip.MustParseAddr("2001:db8:666::1")
			}
			option := &wire.ULIDPairOption{Sender: a.addr(0), Receiver: b.addr(0)}
			r1 := messages[*wire.R1](t, b.send(src, b.addr(1), &wire.I1{
				InitiatorTag: m.InitiatorTag, InitNonce: 1, Options: wire.Options{ULIDs: option},
			}))[0]
			w.queue = nil
			m.ULIDs, m.RespNonce, m.Validator = option, r1.RespNonce, r1.Validator
			if !tt.list {
				m.Locators, m.PDS, m.Signature = nil, nil, nil
			}
			acts := b.send(src, b.addr(1), m)
			if !tt.ok {
				silent(t, acts, engine.ReasonNotALocator)
				return
			}
			w.settle()
			// The exchange proved that pair, so payload starts on it.
			if s := b.only(); s.Current != (engine.LocatorPair{Local: b.addr(1), Peer: src}) || s.ULIDs.Peer != a.addr(0) {
				t.Errorf("current %v", s.Current)
			}
			if r2 := pick[engine.SendPacket](b.acts); r2[len(r2)-1].Dst != src {
				t.Errorf("R2 to %v", r2[len(r2)-1].Dst)
			}
		})
	}
}

// RFC 5533 section 7.13: in ESTABLISHED "the host updates the context information (CT(peer), Ls(peer)) with the data contained
// in the I2 message, and the host MUST send an R2 message back [...]. The context STATE remains unchanged."
func TestI2OfAPeerThatLostTheContext(t *testing.T) {
	w, a, b := established(t, engine.Config{})
	before := b.only()
	a.handle(engine.DeleteContext{Tag: a.only().TagLocal})
	a.take()
	a.trigger(b)
	w.settle()
	agree(t, a, b)
	after := b.only()
	if after.TagLocal != before.TagLocal || after.TagPeer == before.TagPeer || after.Since != before.Since {
		t.Errorf("before %+v\nafter %+v", before, after)
	}
	ps := pick[engine.ProgramContext](b.acts)
	if len(ps) != 1 || ps[0].TagPeer != a.only().TagLocal {
		t.Errorf("programmed %+v", ps)
	}
}

// RFC 5533 section 7.16: the R2 must have our nonce and come on the locators of the exchange. "If the STATE is ESTABLISHED,
// the R2 message is silently ignored".
func TestR2ThatIsDropped(t *testing.T) {
	w, a, b := pair(t, engine.Config{})
	b.take()
	w.lost = func(p engine.SendPacket) bool { return p.Payload[2] == byte(wire.TypeR2) }
	a.trigger(b)
	w.settle()
	r2 := messages[*wire.R2](t, b.take())[0]
	change := func(f func(m *wire.R2)) *wire.R2 {
		m := *r2
		f(&m)
		return &m
	}
	silent(t, a.send(b.addr(0), a.addr(0), change(func(m *wire.R2) { m.InitNonce++ })), engine.ReasonNoContext)
	silent(t, a.send(b.addr(1), a.addr(0), r2), engine.ReasonNoContext)
	silent(t, a.send(b.addr(0), a.addr(1), r2), engine.ReasonNoContext)
	silent(t, a.send(b.addr(0), a.addr(0), change(func(m *wire.R2) { m.ResponderTag = 0 })), engine.ReasonBadTag)
	// "If a CGA Parameter Data Structure (PDS) is included in the message, then the host MUST verify that the actual PDS [...]
	// corresponds to the ULID(peer) [...]. If the verification fails, then the message is silently dropped."
	a.take()
	a.send(b.addr(0), a.addr(0), change(func(m *wire.R2) { m.PDS = a.locs[0].PDS }))
	w.settle()
	if acts := a.take(); reasons(acts) != "verify-failed" || sent(t, acts) != "" || a.only().State != shim6.StateI2Sent {
		t.Errorf("%q, sent %q, %v", reasons(acts), sent(t, acts), a.only().State)
	}
	bad := change(func(m *wire.R2) {
		m.Locators = &wire.LocatorList{Generation: 1, Locators: []wire.Locator{{Addr: b.addr(0), Method: 9}}}
	})
	if acts := a.send(b.addr(0), a.addr(0), bad); reasons(acts) != string(shim6.FaultLocatorMethod) || sent(t, acts) != "Error" {
		t.Errorf("%q, sent %q", reasons(acts), sent(t, acts))
	}
	// The true one still does.
	w.lost = nil
	w.queue = nil
	a.send(b.addr(0), a.addr(0), r2)
	w.settle()
	agree(t, a, b)
	silent(t, a.send(b.addr(0), a.addr(0), r2), engine.ReasonNoContext) // ESTABLISHED
}

// RFC 5533 section 7.15: "If either or both are different, then the peer is reusing the Context Tag [...] we are in a context
// confusion situation, and the host MUST NOT use the old context to send any packets. It MAY just discard the old context".
func TestContextConfusion(t *testing.T) {
	w, a, b := established(t, engine.Config{})
	old := b.only()
	// a forgets, and by chance uses the tag again for another ULID pair.
	i1 := &wire.I1{InitiatorTag: old.TagPeer, InitNonce: 1}
	r1 := messages[*wire.R1](t, b.send(a.addr(1), b.addr(1), i1))
	if len(r1) != 1 || len(b.e.Contexts()) != 1 {
		// Section 7.6: "an I1 message with a duplicate Context Tag should not cause the removal of the old context state".
		t.Fatalf("an I1: %d R1, %d contexts", len(r1), len(b.e.Contexts()))
	}
	w.queue = nil
	_, _, _, m := responder(t)
	m.InitiatorTag, m.RespNonce, m.Validator = old.TagPeer, r1[0].RespNonce, r1[0].Validator
	m.PDS = a.locs[1].PDS
	b.take()
	b.send(a.addr(1), b.addr(1), m)
	w.settle()
	acts := b.take()
	if gone := pick[engine.RemoveContext](acts); len(gone) != 1 || gone[0].Tag != old.TagLocal {
		t.Errorf("removed %+v: %s", gone, reasons(acts))
	}
	if s := b.only(); s.ULIDs.Peer != a.addr(1) || s.TagLocal == old.TagLocal {
		t.Errorf("%+v", s)
	}
	// The old one goes before the R2 does.
	removed := false
	for _, act := range acts {
		if _, ok := act.(engine.RemoveContext); ok {
			removed = true
		}
		if p, ok := act.(engine.SendPacket); ok && p.Payload[2] == byte(wire.TypeR2) && !removed {
			t.Error("the R2 went before the old context")
		}
	}
}

// The same tag of another peer is no confusion: 47 bits are each host's own.
func TestEqualTagsOfDifferentPeers(t *testing.T) {
	w, _, b := established(t, engine.Config{})
	c := w.add("c", engine.Config{}, plain("2001:db8:c1::1"))
	r1 := messages[*wire.R1](t, b.send(c.addr(0), b.addr(0), &wire.I1{InitiatorTag: b.only().TagPeer, InitNonce: 1}))[0]
	b.send(c.addr(0), b.addr(0), &wire.I2{
		InitiatorTag: b.only().TagPeer, RespNonce: r1.RespNonce, Options: wire.Options{Validator: r1.Validator},
	})
	if n := len(b.e.Contexts()); n != 2 {
		t.Errorf("%d contexts", n)
	}
}

// RFC 5533 section 7.8: "it makes sense for the host to remember not to try again to establish a context with that ULID."
// Appendix B: other than that, the context is as good as none.
func TestHolddown(t *testing.T) {
	w, a, b := pair(t, engine.Config{})
	w.lost = func(engine.SendPacket) bool { return true }
	a.trigger(b)
	fail(t, a)
	if s := a.only(); s.TagLocal != 0 {
		t.Fatalf("tag %v", s.TagLocal)
	}
	silent(t, a.trigger(b), engine.ReasonHolddown)
	w.lost = nil
	b.trigger(a)
	w.settle()
	agree(t, a, b)
	silent(t, a.trigger(b), engine.ReasonContextExists)

	w, a, b = pair(t, engine.Config{})
	w.lost = func(engine.SendPacket) bool { return true }
	a.trigger(b)
	fail(t, a)
	w.advance(time.Minute)
	if n := len(a.e.Contexts()); n != 0 || !a.e.Deadline().IsZero() {
		t.Errorf("%d contexts after the hold-down", n)
	}
	a.take()
	w.advance(time.Hour)
	if len(a.take()) != 0 {
		t.Error("tries again though nobody asked") // only traffic may ask
	}
}

// fail waits for the one context of a host to fail.
func fail(t *testing.T, h *host) {
	t.Helper()
	for range 200 {
		if h.only().State == shim6.StateEFailed {
			return
		}
		h.w.advance(time.Second)
	}
	t.Fatalf("still in %v", h.only().State)
}

func TestTriggerThatCannotBe(t *testing.T) {
	_, a, b := pair(t, engine.Config{})
	for want, u := range map[engine.Reason]engine.ULIDPair{
		engine.ReasonNotLocal:   {Local: b.addr(0), Peer: a.addr(0)},
		engine.ReasonSelf:       {Local: a.addr(0), Peer: a.addr(1)},
		engine.ReasonBadAddress: {Local: a.addr(0), Peer: netip.MustParseAddr("ff02::1")},
	} {
		silent(t, a.handle(engine.Trigger{ULIDs: u}), want)
	}
	silent(t, a.handle(engine.Trigger{}), engine.ReasonBadAddress)
}

// RFC 5533 section 7.8: ICMP "Unrecognized Next Header" about our I1 "is a more reliable indication that the peer ULID does
// not implement Shim6".
func TestNoSupport(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(ev *engine.ICMPError)
		ok     bool
	}{
		{"our I1", func(*engine.ICMPError) {}, true},
		{"other type", func(ev *engine.ICMPError) { ev.Type = 1 }, false},
		{"other code", func(ev *engine.ICMPError) { ev.Code = 0 }, false},
		{"other nonce", func(ev *engine.ICMPError) {
			ev.Quoted[40+12]++
			ev.Quoted[40+4]--
		}, false},
		{"other source", func(ev *engine.ICMPError) { ev.Quoted[8]++ }, false},
		{"other header", func(ev *engine.ICMPError) { ev.Quoted[6] = 6 }, false},
		{"cut", func(ev *engine.ICMPError) { ev.Quoted = ev.Quoted[:50] }, false},
		{"nothing", func(ev *engine.ICMPError) { ev.Quoted = nil }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, a, b := pair(t, engine.Config{})
			w.lost = func(engine.SendPacket) bool { return true }
			i1 := pick[engine.SendPacket](a.trigger(b))[0]
			quoted := make([]byte, 40)
			src, dst := i1.Src.As16(), i1.Dst.As16()
			quoted[0], quoted[6] = 0x60, wire.Protocol
			copy(quoted[8:], src[:])
			copy(quoted[24:], dst[:])
			ev := engine.ICMPError{Src: b.addr(0), Type: 4, Code: 1, Quoted: append(quoted, i1.Payload...)}
			tt.change(&ev)
			acts := a.handle(ev)
			if tt.ok {
				if a.only().State != shim6.StateNoSupport || sent(t, acts) != "" {
					t.Errorf("%v, sent %q", a.only().State, sent(t, acts))
				}
				silent(t, a.trigger(b), engine.ReasonHolddown)
				w.advance(11 * time.Minute)
				if len(a.e.Contexts()) != 0 {
					t.Error("remembered too long")
				}
				return
			}
			silent(t, acts, engine.ReasonICMP)
		})
	}
}

// A plain ULID is announced alone, so an exchange for it on another address of the host would make a context whose path the
// peer does not know.
func TestExchangeOnUnannouncedAddress(t *testing.T) {
	w := newWorld(t)
	a := w.add("a", engine.Config{}, plain("2001:db8:a1::1"))
	b := w.add("b", engine.Config{}, plain("2001:db8:b1::1", "2001:db8:b2::1"))
	option := wire.Options{ULIDs: &wire.ULIDPairOption{Sender: a.addr(0), Receiver: b.addr(0)}}
	silent(t, b.send(a.addr(0), b.addr(1), &wire.I1{InitiatorTag: 1, Options: option}), engine.ReasonNotLocal)
	if acts := b.send(a.addr(0), b.addr(0), &wire.I1{InitiatorTag: 1, Options: option}); sent(t, acts) != "R1" {
		t.Errorf("%s", kinds(acts))
	}
}

// An R2 that answers the I1 of an established peer tells it all our locators, so payload to any of them must be taken.
func TestR2OfEstablishedTellsNewLocators(t *testing.T) {
	w, _, b, i1, _, _, _ := exchange(t)
	b.setLocators(locators(t, "b", "2001:db8:b1::/64", "2001:db8:b2::/64", "2001:db8:b3::/64"))
	w.settle()
	acts := b.sendRaw(i1.Src, i1.Dst, i1.Payload)
	p := pick[engine.ProgramContext](acts)
	if len(p) != 1 || len(p[0].LocatorsLocal) != 3 {
		t.Errorf("%s: %+v", kinds(acts), p)
	}
	if r2 := messages[*wire.R2](t, acts); len(r2) != 1 || len(r2[0].Locators.Locators) != 3 {
		t.Errorf("%+v", r2)
	}
	if n := len(b.only().LocatorsLocal); n != 3 {
		t.Errorf("%d local locators", n)
	}
}

// SPDX-License-Identifier: MIT

package engine_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"shim6/daemon/engine"
	"shim6/daemon/reap"
	"shim6/daemon/shim6"
	"shim6/daemon/wire"
	"shim6/internal/cga"
)

// signed makes a locator list with its signature.
func signed(t *testing.T, key string, generation uint32, addrs ...netip.Addr) wire.Options {
	t.Helper()
	o := wire.Options{Locators: &wire.LocatorList{Generation: generation}}
	for _, a := range addrs {
		o.Locators.Locators = append(o.Locators.Locators, wire.Locator{Addr: a, Method: wire.VerifyCGA})
	}
	sig, err := cga.Sign(keys()[key], cga.SignedData(generation, addrs))
	if err != nil {
		t.Fatal(err)
	}
	o.Signature = sig
	return o
}

// update makes a's Update Request for b, with these locators.
func update(t *testing.T, b *host, generation uint32, addrs ...netip.Addr) *wire.UpdateRequest {
	t.Helper()
	return &wire.UpdateRequest{ReceiverTag: b.only().TagLocal, ReqNonce: 99, Options: signed(t, "a", generation, addrs...)}
}

// RFC 5533 section 10.4: a verified list replaces the old one, and an Update Acknowledgement with the same nonce goes back. The
// parameters were given in the I2, so they are not repeated (section 10.1).
func TestUpdateRequest(t *testing.T) {
	w, a, b := established(t, engine.Config{})
	a3 := netip.MustParseAddr("2001:db8:a3::3")
	acts := b.send(a.addr(1), b.addr(1), update(t, b, 7, a.addr(0), a.addr(1), a3))
	if kinds(acts) != "Verify" {
		t.Fatalf("%s: %s", kinds(acts), reasons(acts))
	}
	silent(t, b.send(a.addr(1), b.addr(1), update(t, b, 7, a.addr(0), a.addr(1), a3)), engine.ReasonVerifyPending)
	b.take()
	w.settle()
	acts = b.take()
	uas := messages[*wire.UpdateAck](t, acts)
	if len(uas) != 1 || uas[0].ReqNonce != 99 || uas[0].ReceiverTag != a.only().TagLocal {
		t.Fatalf("%+v, %q", uas, reasons(acts))
	}
	if p := pick[engine.SendPacket](acts)[0]; p.Src != b.addr(1) || p.Dst != a.addr(1) {
		t.Errorf("acknowledged from %v to %v", p.Src, p.Dst)
	}
	s := b.only()
	if s.GenerationPeer != 7 || len(s.LocatorsPeer) != 3 || !s.LocatorsPeer[2].Verified || s.LocatorsPeer[2].Addr != a3 {
		t.Errorf("%+v", s.LocatorsPeer)
	}
	if s.Reap != reap.Operational || s.Current.Peer != a.addr(0) {
		t.Errorf("%v on %v", s.Reap, s.Current)
	}
	// A retransmission is acknowledged again, without a new verification.
	acts = b.send(a.addr(1), b.addr(1), update(t, b, 7, a.addr(0), a.addr(1), a3))
	if sent(t, acts) != "UpdateAck" || len(pick[engine.Verify](acts)) != 0 {
		t.Errorf("%s", kinds(acts))
	}
	// RFC 5534 section 6.1: it counts as payload.
	if r := pick[engine.SetReap](acts); len(r) != 2 || r[0].Keepalive != reap.TimerStart || r[1].Send != reap.TimerStart {
		t.Errorf("%+v", r)
	}
	// Now the new locator is probed when the others are dead.
	w.lost = func(engine.SendPacket) bool { return true }
	b.timeout()
	w.advance(30 * time.Second)
	found := false
	for _, p := range pick[engine.SendPacket](b.take()) {
		found = found || p.Dst == a3
	}
	if !found {
		t.Error("the new locator was never probed")
	}
}

// RFC 5533 section 10.4: "nothing further processed; old list kept", and an Error message that says where the fault is.
func TestUpdateRequestThatIsRefused(t *testing.T) {
	foreign := netip.MustParseAddr("2001:db8:666::1")
	preferences := func(generation uint32, size uint8, n int) *wire.LocatorPreferences {
		p := &wire.LocatorPreferences{Generation: generation, ElementLen: size}
		for range n {
			p.Elements = append(p.Elements, wire.Preference{})
		}
		return p
	}
	for _, tt := range []struct {
		name   string
		change func(m *wire.UpdateRequest, b *host)
		want   engine.Reason
		code   wire.ErrorCode
		at     int // where the Error points, less the 40 octets of the IPv6 header; 0 for no Error
	}{
		{"signature", func(m *wire.UpdateRequest, _ *host) { m.Signature[3] ^= 1 }, engine.ReasonVerifyFailed, 0, 0},
		{"unsigned locator", func(m *wire.UpdateRequest, _ *host) { m.Locators.Locators[1].Addr = foreign }, engine.ReasonVerifyFailed, 0, 0},
		{"method", func(m *wire.UpdateRequest, _ *host) { m.Locators.Locators[1].Method = wire.VerifyHBA }, engine.ReasonVerifyFailed, 2, 16 + 4 + 5 + 1},
		{"unknown method", func(m *wire.UpdateRequest, _ *host) { m.Locators.Locators[0].Method = 9 }, engine.Reason(shim6.FaultLocatorMethod), 2, 16 + 4 + 5},
		{"PDS of another", func(m *wire.UpdateRequest, b *host) { m.PDS = b.locs[0].PDS }, engine.ReasonVerifyFailed, 0, 0},
		{"PDS of another, alone", func(m *wire.UpdateRequest, b *host) {
			m.PDS, m.Locators, m.Signature = b.locs[0].PDS, nil, nil
		}, engine.ReasonVerifyFailed, 0, 0},
		{"preferences of another list", func(m *wire.UpdateRequest, _ *host) {
			m.Preferences = preferences(8, 1, 2)
		}, engine.Reason(shim6.FaultGeneration), 3, 16 + 48 + 4},
		{"one preference for two locators", func(m *wire.UpdateRequest, _ *host) {
			m.Preferences = preferences(7, 1, 1)
		}, engine.Reason(shim6.FaultPreferenceCount), 4, 16 + 48 + 2},
		{"preferences of no octets", func(m *wire.UpdateRequest, _ *host) {
			m.Preferences = preferences(7, 0, 0)
		}, engine.Reason(shim6.FaultPreferenceCount), 4, 16 + 48 + 2},
		{"preferences alone, of another list", func(m *wire.UpdateRequest, b *host) {
			m.Locators, m.Signature = nil, nil
			m.Preferences = preferences(b.only().GenerationPeer+1, 1, 2)
		}, engine.Reason(shim6.FaultGeneration), 3, 16 + 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w, a, b := established(t, engine.Config{})
			before := b.only()
			m := update(t, b, 7, a.addr(0), a.addr(1))
			tt.change(m, b)
			b.send(a.addr(0), b.addr(0), m)
			w.settle()
			acts := b.take()
			if reasons(acts) != string(tt.want) {
				t.Errorf("dropped for %q, want %q", reasons(acts), tt.want)
			}
			es := messages[*wire.ErrorMsg](t, acts)
			switch {
			case tt.at == 0 && sent(t, acts) != "":
				t.Errorf("sent %s", sent(t, acts))
			case tt.at != 0 && (len(es) != 1 || es[0].Code != tt.code || int(es[0].Pointer) != 40+tt.at):
				t.Errorf("errors %+v, want code %d at %d", es, tt.code, 40+tt.at)
			}
			if d := cmp.Diff(before, b.only(), cmp.Comparer(sameAddr)); d != "" {
				t.Error(d)
			}
		})
	}
}

// RFC 5533 section 10.4: the peer may give up a locator, or say that it does not work; "Lp(peer)" changes once another was
// probed.
func TestCurrentPeerLocatorGivenUp(t *testing.T) {
	for name, change := range map[string]func(m *wire.UpdateRequest, a, b *host){
		"broken": func(m *wire.UpdateRequest, a, b *host) {
			m.Preferences = &wire.LocatorPreferences{Generation: b.only().GenerationPeer, ElementLen: 2, Elements: []wire.Preference{
				{}, {Flags: wire.FlagBroken, Priority: 1},
			}}
		},
		"removed": func(m *wire.UpdateRequest, a, b *host) { *m = *update(t, b, 8, a.addr(0)) },
	} {
		t.Run(name, func(t *testing.T) {
			w, a, b := established(t, engine.Config{})
			w.lost = func(p engine.SendPacket) bool { return p.Src == a.addr(0) || p.Dst == a.addr(0) }
			b.timeout()
			w.advance(5 * time.Second)
			if b.only().Current.Peer != a.addr(1) {
				t.Fatalf("on %v", b.only().Current)
			}
			w.lost = nil
			m := &wire.UpdateRequest{ReceiverTag: b.only().TagLocal, ReqNonce: 5}
			change(m, a, b)
			b.take()
			b.send(a.addr(1), b.addr(0), m)
			w.settle()
			w.advance(time.Second)
			if s := b.only(); s.Current.Peer != a.addr(0) || s.Reap != reap.Operational {
				t.Errorf("%v on %v: %s", s.Reap, s.Current, reasons(b.acts))
			}
			if name == "broken" && !b.only().LocatorsPeer[1].Broken {
				t.Errorf("%+v", b.only().LocatorsPeer)
			}
		})
	}
}

// RFC 5534 section 5.3: the option may come in an Update Request; without it the old value stays.
func TestUpdateOfKeepaliveTimeout(t *testing.T) {
	_, a, b := established(t, engine.Config{})
	m := &wire.UpdateRequest{ReceiverTag: b.only().TagLocal, ReqNonce: 5, Options: wire.Options{KeepaliveTimeout: new(uint16(30))}}
	acts := b.send(a.addr(0), b.addr(0), m)
	if p := pick[engine.ProgramContext](acts); len(p) != 1 || p[0].KeepaliveTimeout != 30*time.Second || sent(t, acts) != "UpdateAck" {
		t.Errorf("%+v, sent %s", p, sent(t, acts))
	}
	m.KeepaliveTimeout = nil
	b.send(a.addr(0), b.addr(0), m)
	if s := b.only(); s.KeepaliveTimeout != 30*time.Second {
		t.Errorf("%v", s.KeepaliveTimeout)
	}
}

// RFC 5533 section 10.5: an acknowledgement that fits no request is ignored.
func TestUpdateAckIsIgnored(t *testing.T) {
	_, a, b := established(t, engine.Config{})
	silent(t, b.send(a.addr(0), b.addr(0), &wire.UpdateAck{ReceiverTag: b.only().TagLocal}), engine.ReasonNotAsked)
}

// The context may change while an Update Request is being verified; what no longer fits it is refused then.
func TestUpdateRequestOvertaken(t *testing.T) {
	w, a, b := established(t, engine.Config{})
	generation := b.only().GenerationPeer
	b.noVerify = true
	slow := &wire.UpdateRequest{ReceiverTag: b.only().TagLocal, ReqNonce: 1, Options: wire.Options{
		PDS: a.locs[0].PDS,
		Preferences: &wire.LocatorPreferences{Generation: generation, ElementLen: 1, Elements: []wire.Preference{
			{}, {Flags: wire.FlagBroken},
		}},
	}}
	first := pick[engine.Verify](b.send(a.addr(0), b.addr(0), slow))
	second := pick[engine.Verify](b.send(a.addr(0), b.addr(0), update(t, b, generation, a.addr(0))))
	if len(first) != 1 || len(second) != 1 {
		t.Fatalf("%d and %d verifications", len(first), len(second))
	}
	b.handle(verify(second[0]))
	if n := len(b.only().LocatorsPeer); n != 1 {
		t.Fatalf("%d locators", n)
	}
	acts := b.handle(verify(first[0]))
	if reasons(acts) != string(shim6.FaultPreferenceCount) || sent(t, acts) != "Error" {
		t.Errorf("%q, sent %s", reasons(acts), sent(t, acts))
	}
	w.settle()
	// Or it is gone.
	b.send(a.addr(0), b.addr(0), update(t, b, generation+1, a.addr(0)))
	last := pick[engine.Verify](b.acts)
	b.forget()
	if acts := b.handle(verify(last[len(last)-1])); reasons(acts) != "no-context" {
		t.Errorf("%q", reasons(acts))
	}
}

// The last Update Request that comes is the one that counts, even where the check of an earlier one takes longer.
func TestSlowlyVerifiedUpdateIsOvertaken(t *testing.T) {
	w, a, b := established(t, engine.Config{})
	b.send(a.addr(1), b.addr(1), update(t, b, 7, a.addr(0), a.addr(1)))
	w.settle()
	b.take()
	early, late := update(t, b, 6, a.addr(0)), update(t, b, 7, a.addr(0), a.addr(1))
	early.ReqNonce = 98
	if acts := b.send(a.addr(1), b.addr(1), early); kinds(acts) != "Verify" {
		t.Fatal(kinds(acts))
	}
	if acts := b.send(a.addr(1), b.addr(1), late); sent(t, acts) != "UpdateAck" {
		t.Fatal(kinds(acts))
	}
	b.take()
	w.settle()
	silent(t, b.take(), engine.ReasonOvertaken)
	if s := b.only(); s.GenerationPeer != 7 || len(s.LocatorsPeer) != 2 {
		t.Errorf("generation %d, %+v", s.GenerationPeer, s.LocatorsPeer)
	}
}

// RFC 5533 section 10.4: a list replaces the one before it. A ULID that the new one leaves out is kept as the last to be tried,
// but payload that goes there looks for another way at once, however often the path has changed lately.
func TestUpdateThatLeavesOutTheCurrentULID(t *testing.T) {
	_, a, b := established(t, engine.Config{})
	check := pick[engine.Verify](b.send(a.addr(1), b.addr(0), update(t, b, 11, a.addr(1))))
	if len(check) != 1 {
		t.Fatalf("%d verifications", len(check))
	}
	changed := pick[engine.ReapChanged](b.handle(verify(check[0])))
	if len(changed) != 1 || changed[0].To != reap.Exploring || changed[0].Why != "peer locator gone" {
		t.Errorf("%+v", changed)
	}
}

// SPDX-License-Identifier: MIT

package shim6_test

import (
	"reflect"
	"testing"
	"time"

	"shim6/daemon/shim6"
	"shim6/daemon/wire"
)

var (
	ulids   = shim6.ULIDPair{Local: a1, Peer: b1}
	onULIDs = shim6.LocatorPair(ulids)
)

// alone announces a1 alone.
func alone(t *testing.T) *shim6.Announcement {
	t.Helper()
	anns := shim6.NewAnnouncements(newRand(1))
	anns.Update([]shim6.LocalLocator{{Addr: a1}}, nil)
	return anns.For(a1)
}

func newContext(seed byte) *shim6.Context {
	return shim6.New(shim6.Params{Rand: newRand(seed), ULIDs: ulids})
}

// run lets a context's deadlines come until it has none, and tells the gaps and what was sent.
func run(t *testing.T, c *shim6.Context, now time.Time) (gaps []time.Duration, sent []wire.Message, states []shim6.State) {
	t.Helper()
	for !c.Deadline().IsZero() {
		if len(gaps) == 100 {
			t.Fatal("no end")
		}
		gaps = append(gaps, c.Deadline().Sub(now))
		now = c.Deadline()
		if acts := c.Expire(now.Add(-1)); acts != nil {
			t.Fatal("expired early")
		}
		for _, a := range c.Expire(now) {
			switch a := a.(type) {
			case shim6.Send:
				sent = append(sent, a.Message)
			case shim6.Changed:
				states = append(states, a.To)
			}
		}
	}
	return gaps, sent, states
}

// within checks gaps against nominal ones, seconds, that are off by a half at most.
func within(t *testing.T, gaps []time.Duration, nominal ...float64) {
	t.Helper()
	if len(gaps) != len(nominal) {
		t.Fatalf("gaps %v, want about %v s", gaps, nominal)
	}
	for i, g := range gaps {
		if s := g.Seconds(); s < nominal[i]/2 || s > nominal[i]*3/2 {
			t.Errorf("gap %d is %v, want about %v s", i, g, nominal[i])
		}
	}
}

// RFC 5533 section 7.8: "The retransmissions should use a retransmission timer with binary exponential backoff [...]. Also,
// the actual timeout value should be randomized between 0.5 and 1.5 of the nominal value to avoid self-synchronization. If,
// after I1_RETRIES_MAX retransmissions, there is no response, then most likely the peer does not implement the Shim6
// protocol [...] any such negative caching should be retained for at most NO_R1_HOLDDOWN_TIME".
func TestI1Retransmission(t *testing.T) {
	firsts := map[time.Duration]bool{}
	for seed := range byte(20) {
		c := newContext(seed)
		acts := c.Initiate(start, onULIDs, 5, 6)
		if len(acts) != 2 || acts[0] != (shim6.Changed{From: shim6.StateIdle, To: shim6.StateI1Sent, Why: "context wanted"}) {
			t.Fatalf("%+v", acts)
		}
		i1 := acts[1].(shim6.Send)
		if want := (&wire.I1{InitiatorTag: 5, InitNonce: 6}); i1.Pair != onULIDs || !reflect.DeepEqual(i1.Message, want) {
			t.Fatalf("%+v", i1)
		}
		gaps, sent, states := run(t, c, start)
		if last := gaps[len(gaps)-1]; last != time.Minute {
			t.Errorf("hold-down of %v", last)
		}
		within(t, gaps[:len(gaps)-1], 4, 8, 16, 32, 64)
		firsts[gaps[0]] = true
		if len(sent) != 4 {
			t.Errorf("%d retransmissions", len(sent))
		}
		for _, m := range sent {
			if !reflect.DeepEqual(m, i1.Message) {
				t.Errorf("retransmitted %+v", m)
			}
		}
		if !reflect.DeepEqual(states, []shim6.State{shim6.StateEFailed, shim6.StateIdle}) {
			t.Errorf("states %v", states)
		}
	}
	if len(firsts) != 20 {
		t.Errorf("20 contexts, %d different timeouts", len(firsts))
	}
}

// RFC 5533 section 7.12: "in the case that the initiator still does not receive an R2 message after retransmitting I2
// messages I2_RETRIES_MAX times, the initiator SHOULD fall back to retransmitting the I1 message."
func TestI2Retransmission(t *testing.T) {
	c := newContext(1)
	c.Initiate(start, onULIDs, 5, 6)
	now := start
	answer := func() []shim6.Action {
		acts, err := c.R1(now, onULIDs, &wire.R1{InitNonce: 6, RespNonce: 7, Options: wire.Options{Validator: []byte{8}}}, alone(t))
		if err != nil || c.State() != shim6.StateI2Sent {
			t.Fatalf("%v, %v", c.State(), err)
		}
		return acts
	}
	i2 := answer()[1].(shim6.Send).Message
	var gaps []time.Duration
	for c.State() == shim6.StateI2Sent {
		gaps = append(gaps, c.Deadline().Sub(now))
		now = c.Deadline()
		for _, a := range c.Expire(now) {
			if s, ok := a.(shim6.Send); ok && c.State() == shim6.StateI2Sent && !reflect.DeepEqual(s.Message, i2) {
				t.Errorf("retransmitted %+v, want %+v", s.Message, i2)
			}
		}
	}
	within(t, gaps, 4, 8, 16)
	if c.State() != shim6.StateI1Sent || c.InitNonce != 6 || c.TagLocal != 5 {
		t.Fatalf("%v with nonce %d and tag %v", c.State(), c.InitNonce, c.TagLocal)
	}
	// A peer that answers every I1 and no I2 is given up in the end.
	for range 2 {
		if c.State() != shim6.StateI1Sent {
			t.Fatalf("%v", c.State())
		}
		answer()
		for c.State() == shim6.StateI2Sent {
			now = c.Deadline()
			c.Expire(now)
		}
	}
	if c.State() != shim6.StateEFailed {
		t.Errorf("%v", c.State())
	}
}

// RFC 5533 section 7.19: "in the case that the initiator still does not receive an R2 message after retransmitting I2bis
// messages I2bis_RETRIES_MAX times, the initiator SHOULD fall back to retransmitting the I1 message."
func TestI2bisRetransmission(t *testing.T) {
	c := shim6.Restore(shim6.Params{Rand: newRand(1), ULIDs: ulids, FII: 3}, shim6.Restored{
		TagLocal: 5, TagPeer: 6, Exchange: onULIDs,
		Local: shim6.LocatorSet{Locators: []shim6.Locator{{Addr: a1, Verified: true}}},
		Peer:  shim6.LocatorSet{Locators: []shim6.Locator{{Addr: b1, Verified: true}, {Addr: b2, Verified: true}}},
	})
	pair := shim6.LocatorPair{Local: a1, Peer: b2}
	acts, err := c.R1bis(start, pair, &wire.R1bis{PacketTag: 6, RespNonce: 7, Options: wire.Options{Validator: []byte{8}}}, alone(t), 9)
	if err != nil || len(acts) != 2 {
		t.Fatalf("%+v, %v", acts, err)
	}
	want := &wire.I2bis{InitiatorTag: 5, InitNonce: 9, RespNonce: 7, PacketTag: 6, Options: wire.Options{
		Validator: []byte{8}, ULIDs: &wire.ULIDPairOption{Sender: a1, Receiver: b1}, FII: new(uint32(3)),
	}}
	if s := acts[1].(shim6.Send); s.Pair != pair || !reflect.DeepEqual(s.Message, want) {
		t.Errorf("%+v on %v", s.Message, s.Pair)
	}
	sent, now := 0, start
	var gaps []time.Duration
	for c.State() == shim6.StateI2bisSent {
		gaps, now = append(gaps, c.Deadline().Sub(now)), c.Deadline()
		for _, a := range c.Expire(now) {
			if s, ok := a.(shim6.Send); ok && c.State() == shim6.StateI2bisSent {
				sent++
				if !reflect.DeepEqual(s.Message, want) {
					t.Errorf("retransmitted %+v", s.Message)
				}
			} else if ok {
				// RFC 5533 section 5.4: "ULID pair: When the IPv6 source and destination addresses in the IPv6 header does
				// not match the ULID pair, this option MUST be included."
				if i1 := s.Message.(*wire.I1); i1.ULIDs == nil || i1.FII == nil || *i1.FII != 3 || s.Pair != pair {
					t.Errorf("%+v on %v", i1, s.Pair)
				}
			}
		}
	}
	if sent != 2 || c.State() != shim6.StateI1Sent {
		t.Errorf("%d retransmissions, then %v", sent, c.State())
	}
	within(t, gaps, 4, 8, 16)
}

// RFC 5533 section 7.8: "Such negative caching should be retained for at most ICMP_HOLDDOWN_TIME".
func TestNoSupport(t *testing.T) {
	c := newContext(1)
	c.Initiate(start, onULIDs, 5, 6)
	c.NotSupported(start, "icmp")
	gaps, sent, states := run(t, c, start)
	if len(gaps) != 1 || gaps[0] != 10*time.Minute || len(sent) != 0 || states[0] != shim6.StateIdle {
		t.Errorf("%v, %v, %v", gaps, sent, states)
	}
	c = newContext(1)
	c.Initiate(start, onULIDs, 5, 6)
	c.R1(start, onULIDs, &wire.R1{InitNonce: 6}, alone(t))
	if acts := c.NotSupported(start, "icmp"); acts != nil || c.State() != shim6.StateI2Sent {
		t.Error("a peer that sent an R1 does not speak Shim6?")
	}
}

// RFC 5533 section 7.11: the I2 "includes the Responder Validator option that was in the R1 message"; what does not fit a
// message cannot be echoed.
func TestR1WithHugeValidator(t *testing.T) {
	c := newContext(1)
	c.Initiate(start, onULIDs, 5, 6)
	acts, err := c.R1(start, onULIDs, &wire.R1{InitNonce: 6, Options: wire.Options{Validator: make([]byte, 1300)}}, alone(t))
	if err == nil || acts != nil || c.State() != shim6.StateI1Sent {
		t.Errorf("%v, %v, %v", acts, err, c.State())
	}
	if _, err := c.R1(start, onULIDs, &wire.R1{InitNonce: 6, Options: wire.Options{Validator: make([]byte, 1001)}}, alone(t)); err != nil {
		t.Error(err)
	}
}

// RFC 5534 section 5.3: "If the node is using a non-default Send Timeout value, it MUST communicate this value as a
// Keepalive Timeout value to the peer in the below option." Its unit is the second.
func TestAnnouncedTimeout(t *testing.T) {
	for d, want := range map[time.Duration]uint16{
		0: 0, 15 * time.Second: 0, 100 * time.Millisecond: 1, time.Second: 1, 1001 * time.Millisecond: 2, 3 * time.Second: 3,
		14999 * time.Millisecond: 15, 16 * time.Second: 16, time.Hour: 3600,
	} {
		c := shim6.New(shim6.Params{Rand: newRand(1), ULIDs: ulids, SendTimeout: d})
		c.Initiate(start, onULIDs, 5, 6)
		o := c.I1(start, onULIDs, &wire.I1{}, alone(t))[0].(shim6.Send).Message.(*wire.R2).KeepaliveTimeout
		if (o == nil) != (want == 0) || o != nil && *o != want {
			t.Errorf("%v is announced as %v, want %d", d, o, want)
		}
	}
}

// RFC 5533 appendix B: in I2-SENT, what shows that the peer is established makes the I2 go out again; not for every packet,
// though.
func TestNudge(t *testing.T) {
	c := newContext(1)
	c.Initiate(start, onULIDs, 5, 6)
	if acts := c.Nudge(start.Add(time.Minute)); acts != nil {
		t.Errorf("in I1-SENT: %+v", acts)
	}
	c.R1(start, onULIDs, &wire.R1{InitNonce: 6}, alone(t))
	deadline := c.Deadline()
	for ms, want := range []int{0: 0, 1: 0, 2: 1, 3: 0, 4: 1, 5: 0} {
		if acts := c.Nudge(start.Add(time.Duration(ms) * 500 * time.Millisecond)); len(acts) != want {
			t.Errorf("after %d ms: %+v", ms*500, acts)
		}
	}
	if c.Deadline() != deadline || c.State() != shim6.StateI2Sent {
		t.Error("a nudge changed the state or its timer")
	}
}

func TestStateNames(t *testing.T) {
	for s, want := range map[shim6.State]string{
		shim6.StateIdle: "IDLE", shim6.StateI1Sent: "I1-SENT", shim6.StateI2Sent: "I2-SENT", shim6.StateI2bisSent: "I2BIS-SENT",
		shim6.StateEstablished: "ESTABLISHED", shim6.StateEFailed: "E-FAILED", shim6.StateNoSupport: "NO-SUPPORT", 99: "state 99",
	} {
		if s.String() != want {
			t.Errorf("%q, want %q", s, want)
		}
	}
}

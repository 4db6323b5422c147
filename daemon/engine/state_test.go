// SPDX-License-Identifier: MIT

package engine_test

import (
	"testing"
	"time"

	"shim6/daemon/engine"
	"shim6/daemon/shim6"
	"shim6/daemon/wire"
)

// An outcome is what a sends and the state it is in then.
type outcome struct {
	sent  string
	state shim6.State
}

// stays is an outcome without a change of state.
func stays(sent string) func(shim6.State) outcome {
	return func(s shim6.State) outcome { return outcome{sent, s} }
}

// byState gives an outcome for each state; those without a context, or with one that only remembers a failure, have that of IDLE.
func byState(idle, i1, i2, established, i2bis outcome) func(shim6.State) outcome {
	return func(s shim6.State) outcome {
		switch s {
		case shim6.StateI1Sent:
			return i1
		case shim6.StateI2Sent:
			return i2
		case shim6.StateEstablished:
			return established
		case shim6.StateI2bisSent:
			return i2bis
		}
		if idle.state == shim6.StateIdle { // nothing is remembered of it, and no failure is forgotten
			return outcome{idle.sent, s}
		}
		return idle
	}
}

// Each cell of the state machine of RFC 5533, section 6.2 and appendix B with the sections on each message: what comes in, in which
// state, and what comes of it.
func TestStateEventTable(t *testing.T) {
	const (
		idle, i1Sent, i2Sent    = shim6.StateIdle, shim6.StateI1Sent, shim6.StateI2Sent
		established, i2bisSent  = shim6.StateEstablished, shim6.StateI2bisSent
		eFailed, noSupport      = shim6.StateEFailed, shim6.StateNoSupport
		second                  = time.Second
		unlearned, learned, any = "unlearned", "learned", ""
	)
	for _, tt := range []struct {
		event string
		do    func(s *stage) []engine.Action
		want  func(shim6.State) outcome
		peer  string // whether CT(peer) and Ls(peer) are learned where there is a context
	}{{
		// Section 7.9: "If the STATE is I1-SENT, I2-SENT or I2BIS-SENT [...] the host leaves CT(peer) unchanged and replies
		// with an R2 message." "If there is no state (IDLE), or [...] the Context Tags do not match, [...] R1".
		"I1", func(s *stage) []engine.Action {
			return s.from(s.b.addr(0), &wire.I1{InitiatorTag: stageTag, InitNonce: 6})
		},
		byState(outcome{"R1", idle}, outcome{"R2", i1Sent}, outcome{"R2", i2Sent}, outcome{"R1", established}, outcome{"R2", i2bisSent}),
		unlearned,
	}, {
		// Section 7.11: "If the STATE is I1-SENT, an I2 message is sent [...] and the STATE becomes I2-SENT." "In any other STATE
		// (I2-SENT, I2BIS-SENT, ESTABLISHED) [...] this R1 message MUST be silently discarded."
		"R1", func(s *stage) []engine.Action { return s.from(s.b.addr(0), s.goodR1()) },
		byState(outcome{"", idle}, outcome{"I2", i2Sent}, outcome{"", i2Sent}, outcome{"", established}, outcome{"", i2bisSent}),
		unlearned,
	}, {
		"R1 with another nonce", func(s *stage) []engine.Action { return s.from(s.b.addr(0), &wire.R1{InitNonce: s.nonce + 1}) },
		stays(""), unlearned,
	}, {
		// Section 7.13: "If any of the above verifications fail, then the host silently discards the message".
		"I2 with a bad validator", func(s *stage) []engine.Action {
			m := s.i2(s.r1, s.offer())
			m.Validator = append([]byte{m.Validator[0] ^ 1}, m.Validator[1:]...)
			return s.from(s.b.addr(0), m)
		}, stays(""), unlearned,
	}, {
		"I2 with the parameters of another", func(s *stage) []engine.Action {
			o := s.offer()
			o.PDS = s.a.locs[0].PDS
			return s.from(s.b.addr(0), s.i2(s.r1, o))
		}, stays(""), unlearned,
	}, {
		// Section 7.13: in IDLE the host "sends an R2 message back [...] transitions to ESTABLISHED"; in I1-SENT it "MUST send an R2
		// message back" and "transitions to ESTABLISHED"; in ESTABLISHED, I2-SENT and I2BIS-SENT it "MUST send an R2 message back
		// [...]. The context STATE remains unchanged."
		"I2", func(s *stage) []engine.Action { return s.from(s.b.addr(0), s.i2(s.r1, s.offer())) },
		byState(outcome{"R2", established}, outcome{"R2", established}, outcome{"R2", i2Sent}, outcome{"R2", established}, outcome{"R2", i2bisSent}),
		learned,
	}, {
		// "that the source locator is included in the Locator List [...] and that verification of this locator succeeds"
		"I2 from a locator that its list names", func(s *stage) []engine.Action {
			o := s.offer()
			o.ULIDs = s.ulids()
			return s.from(s.b.addr(1), s.i2(s.named, o))
		},
		byState(outcome{"R2", established}, outcome{"R2", established}, outcome{"R2", i2Sent}, outcome{"R2", established}, outcome{"R2", i2bisSent}),
		learned,
	}, {
		// In IDLE the section has no test of the source; here it is the same, or anybody could claim a ULID from anywhere.
		"I2 from a stranger", func(s *stage) []engine.Action {
			o := s.offer()
			o.ULIDs = s.ulids()
			return s.from(stranger, s.i2(s.strange, o))
		}, stays(""), unlearned,
	}, {
		// Section 7.20: as section 7.13.
		"I2bis", func(s *stage) []engine.Action { return s.from(s.b.addr(0), s.i2bis(s.r1bis, s.offer())) },
		byState(outcome{"R2", established}, outcome{"R2", established}, outcome{"R2", i2Sent}, outcome{"R2", established}, outcome{"R2", i2bisSent}),
		learned,
	}, {
		"I2bis from a stranger", func(s *stage) []engine.Action {
			o := s.offer()
			o.ULIDs = s.ulids()
			return s.from(stranger, s.i2bis(s.strangeBis, o))
		}, stays(""), unlearned,
	}, {
		// Section 7.20: "the host MUST verify that the actual PDS contained in the message corresponds to the ULID(peer)".
		"I2bis with the parameters of another", func(s *stage) []engine.Action {
			o := s.offer()
			o.PDS = s.a.locs[0].PDS
			return s.from(s.b.addr(0), s.i2bis(s.r1bis, o))
		}, stays(""), unlearned,
	}, {
		// Section 7.16: in I1-SENT, I2-SENT and I2BIS-SENT the host "records the information from the R2 message in the context
		// state [...] and transitions to ESTABLISHED"; "If the STATE is ESTABLISHED, the R2 message is silently ignored".
		// What an R2 answers may be the I1, which told nothing of our locators.
		"R2", func(s *stage) []engine.Action {
			acts := s.from(s.b.addr(0), s.r2())
			if s.now() != s.state {
				s.checkPeer(learned, established)
			}
			return acts
		},
		byState(outcome{"", idle}, outcome{"UpdateRequest", established}, outcome{"", established}, outcome{"", established}, outcome{"", established}),
		any,
	}, {
		// Section 7.16: "If the verification fails, then the message is silently dropped."
		"R2 with the parameters of another", func(s *stage) []engine.Action {
			m := s.r2()
			m.PDS = s.a.locs[0].PDS
			return s.from(s.b.addr(0), m)
		}, stays(""), unlearned,
	}, {
		// Section 7.18: "If the STATE is I1-SENT, I2-SENT, or I2BIS-SENT, then the R1bis message is silently discarded." In
		// ESTABLISHED the host "leaves CT(peer) unchanged [...], transitions to I2BIS-SENT STATE, and sends an I2bis message".
		"R1bis", func(s *stage) []engine.Action {
			m := &wire.R1bis{PacketTag: s.peer, RespNonce: 3, Options: wire.Options{Validator: []byte{1}}}
			acts := s.from(s.b.addr(0), m)
			for _, i2bis := range messages[*wire.I2bis](s.t, acts) {
				if i2bis.InitNonce == s.nonce || i2bis.InitiatorTag != s.tag {
					s.t.Errorf("nonce %x, as before; tag %v, want %v", i2bis.InitNonce, i2bis.InitiatorTag, s.tag)
				}
			}
			return acts
		},
		byState(outcome{"", idle}, outcome{"", i1Sent}, outcome{"", i2Sent}, outcome{"I2bis", i2bisSent}, outcome{"", i2bisSent}),
		unlearned,
	}, {
		// Section 12.2: "If no context was found for the Receiver Context Tag, then the receiver SHOULD generate an R1bis message".
		"payload with an unknown tag", func(s *stage) []engine.Action {
			s.a.handle(engine.UnknownTag{Src: s.b.addr(0), Dst: s.a.addr(0), Tag: unknownTag + 2})
			return s.a.take()
		}, stays("R1bis"), unlearned,
	}, {
		// Appendix B: in I1-SENT discard, in I2-SENT and I2BIS-SENT send I2 or I2bis. The kernel asks only where it has no context.
		"payload with the tag of the context", func(s *stage) []engine.Action {
			s.world.now = s.world.now.Add(second)
			s.a.handle(engine.UnknownTag{Src: s.b.addr(0), Dst: s.a.addr(0), Tag: s.known()})
			return s.a.take()
		},
		byState(outcome{"R1bis", idle}, outcome{"", i1Sent}, outcome{"I2", i2Sent}, outcome{"", established}, outcome{"I2bis", i2bisSent}),
		unlearned,
	}, {
		// Section 10.4: "If the STATE is I1-SENT, [...] discard"; in I2-SENT and I2BIS-SENT an I2 or I2bis goes out. What is in the
		// message waits for its retransmission: in I2-SENT there is neither CT(peer) nor Ls(peer) to answer it with.
		"Update Request", func(s *stage) []engine.Action {
			s.world.now = s.world.now.Add(second)
			return s.from(s.b.addr(0), &wire.UpdateRequest{ReceiverTag: s.known(), ReqNonce: 8})
		},
		byState(outcome{"R1bis", idle}, outcome{"", i1Sent}, outcome{"I2", i2Sent}, outcome{"UpdateAck", established}, outcome{"I2bis", i2bisSent}),
		unlearned,
	}, {
		// Section 12.4 has the locators looked at first, but in I1-SENT none of the peer's are known.
		"Update Request from a stranger", func(s *stage) []engine.Action {
			return s.from(stranger, &wire.UpdateRequest{ReceiverTag: s.known(), ReqNonce: 8})
		},
		byState(outcome{"R1bis", idle}, outcome{"", i1Sent}, outcome{"R1bis", i2Sent}, outcome{"R1bis", established}, outcome{"R1bis", i2bisSent}),
		unlearned,
	}, {
		// Section 10.5. The section has an R2 sent in I2-SENT, where an initiator has none to give; appendix B has the I2.
		"Update Acknowledgement", func(s *stage) []engine.Action {
			s.world.now = s.world.now.Add(second)
			return s.from(s.b.addr(0), &wire.UpdateAck{ReceiverTag: s.known(), ReqNonce: 8})
		},
		byState(outcome{"R1bis", idle}, outcome{"", i1Sent}, outcome{"I2", i2Sent}, outcome{"", established}, outcome{"I2bis", i2bisSent}),
		unlearned,
	}, {
		// RFC 5534 section 5.1: a valid Keepalive has a context "in state ESTABLISHED".
		"Keepalive", func(s *stage) []engine.Action {
			s.world.now = s.world.now.Add(second)
			return s.from(s.b.addr(0), &wire.Keepalive{ReceiverTag: s.known()})
		},
		byState(outcome{"R1bis", idle}, outcome{"", i1Sent}, outcome{"I2", i2Sent}, outcome{"", established}, outcome{"I2bis", i2bisSent}),
		unlearned,
	}, {
		"Probe", func(s *stage) []engine.Action {
			s.world.now = s.world.now.Add(second)
			return s.from(s.b.addr(0), &wire.Probe{ReceiverTag: s.known(), State: 1, Sent: []wire.ProbeReport{
				{Src: s.b.addr(0), Dst: s.a.addr(0), Nonce: 1},
			}})
		},
		byState(outcome{"R1bis", idle}, outcome{"", i1Sent}, outcome{"I2", i2Sent}, outcome{"Probe", established}, outcome{"I2bis", i2bisSent}),
		unlearned,
	}, {
		// Sections 7.8, 7.12 and 7.19: I1_RETRIES_MAX is 4, I2_RETRIES_MAX and I2bis_RETRIES_MAX are 2; then E-FAILED, or back to I1.
		// A failure is remembered for NO_R1_HOLDDOWN_TIME or ICMP_HOLDDOWN_TIME.
		"time passes", func(s *stage) []engine.Action {
			begun := s.world.now
			for s.now() == s.state && !s.a.e.Deadline().IsZero() {
				s.world.now = s.a.e.Deadline()
				s.a.handle(engine.Tick{})
			}
			took := s.world.now.Sub(begun)
			if s.state == eFailed && took > time.Minute || s.state == noSupport && took > 10*time.Minute {
				s.t.Errorf("remembered for %v", took)
			}
			return s.a.take()
		},
		func(st shim6.State) outcome {
			return map[shim6.State]outcome{
				idle: {"", idle}, i1Sent: {"I1 I1 I1 I1", eFailed}, i2Sent: {"I2 I2 I1", i1Sent},
				i2bisSent: {"I2bis I2bis I1", i1Sent}, established: {"", established}, eFailed: {"", idle}, noSupport: {"", idle},
			}[st]
		}, unlearned,
	}, {
		// Section 7.8: ICMP "Unrecognized Next Header" for an I1: the host "should remember" that the peer does not speak Shim6.
		"ICMP error that quotes the I1", func(s *stage) []engine.Action {
			i1, err := wire.Marshal(&wire.I1{InitiatorTag: s.known(), InitNonce: s.nonce})
			if err != nil {
				s.t.Fatal(err)
			}
			s.a.handle(notSupported(engine.SendPacket{Src: s.a.addr(0), Dst: s.b.addr(0), Payload: i1}))
			return s.a.take()
		},
		func(st shim6.State) outcome {
			if st == i1Sent {
				return outcome{"", noSupport}
			}
			return outcome{"", st}
		}, unlearned,
	}, {
		// Section 7.7; section 7.8: "it makes sense for the host to remember not to try again".
		"a context is wanted", func(s *stage) []engine.Action { s.a.trigger(s.b); return s.a.take() },
		func(st shim6.State) outcome {
			if st == idle {
				return outcome{"I1", i1Sent}
			}
			return outcome{"", st}
		}, unlearned,
	}, {
		// Section 9: no message ends a context.
		"no payload for long", func(s *stage) []engine.Action {
			s.world.now = s.world.now.Add(10 * time.Minute)
			s.a.handle(engine.ContextIdle{Tag: s.known(), Idle: 10 * time.Minute})
			acts := s.a.take()
			if n := len(pick[engine.SendPacket](acts)); s.state == established && n != 0 {
				s.t.Errorf("%d messages", n)
			}
			if s.state != established { // what was due meanwhile is none of this
				return nil
			}
			return acts
		},
		func(st shim6.State) outcome { return outcome{"", idle} }, any,
	}, {
		// Section 1.5: when a ULID becomes invalid, "the communication is terminated"; nothing tells the peer.
		"the ULID becomes invalid", func(s *stage) []engine.Action {
			s.a.noSign = true
			ulid := s.a.addr(0)
			s.a.handle(engine.LocalLocators{Locators: s.a.locs[1:]})
			s.a.take()
			s.a.handle(engine.ULIDEnds{ULID: ulid, At: s.world.now})
			return s.a.take()
		},
		func(shim6.State) outcome { return outcome{"", idle} }, any,
	}} {
		for _, state := range states {
			if skip := tt.event == "the ULID becomes invalid" || tt.event == "no payload for long"; skip && !state.Alive() {
				continue // there is no context that could end
			}
			t.Run(tt.event+" in "+state.String(), func(t *testing.T) {
				s := newStage(t, state)
				acts := tt.do(s)
				want := tt.want(state)
				if got := sent(t, acts); got != want.sent {
					t.Errorf("sent %q, want %q; dropped for %q", got, want.sent, reasons(acts))
				}
				if got := s.now(); got != want.state {
					t.Errorf("in %v, want %v", got, want.state)
				}
				s.checkKernel(acts, want.state)
				s.checkPeer(tt.peer, want.state)
				if verifies := len(pick[engine.Verify](acts)); want.sent == "R2" && tt.peer == learned && verifies != 1 {
					t.Errorf("%d verifications before the R2", verifies) // "SHOULD perform" it then
				}
			})
		}
	}
}

// checkKernel: RFC 5533 section 11 has payload rewritten in ESTABLISHED and I2BIS-SENT, and in no other state.
func (s *stage) checkKernel(acts []engine.Action, state shim6.State) {
	s.t.Helper()
	want := state == shim6.StateEstablished || state == shim6.StateI2bisSent
	if got := len(s.a.paths) == 1; got != want {
		s.t.Errorf("in %v the kernel has %d contexts", state, len(s.a.paths))
	}
}

// checkPeer looks at what a knows of b.
func (s *stage) checkPeer(want string, state shim6.State) {
	s.t.Helper()
	cs := s.a.e.Contexts()
	if want == "" || len(cs) != 1 || !state.Alive() {
		return
	}
	c := cs[0]
	got := c.TagPeer == stageTag && c.GenerationPeer == generation7 && len(c.LocatorsPeer) == 2
	switch {
	case want == "learned" && !got:
		s.t.Errorf("tag of the peer %v, generation %d, locators %+v", c.TagPeer, c.GenerationPeer, c.LocatorsPeer)
	case want == "unlearned" && c.TagPeer != s.peer:
		s.t.Errorf("tag of the peer %v, was %v", c.TagPeer, s.peer)
	}
	if s.tag != 0 && c.TagLocal != s.tag && s.state.Alive() {
		s.t.Errorf("own tag %v, was %v", c.TagLocal, s.tag)
	}
	if s.tag == 0 && (c.TagLocal == unknownTag || c.TagLocal == 0) {
		s.t.Errorf("own tag %v is that of the R1bis", c.TagLocal)
	}
}

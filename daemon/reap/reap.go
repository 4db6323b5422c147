// SPDX-License-Identifier: MIT

// Package reap is the failure detection and locator pair exploration of one context (RFC 5534). It is pure: time comes in
// as an argument, randomness from a generator that is given, and what is to be done comes back as a list of actions.
//
// Payload never reaches this package. The kernel runs the Send Timer and the Keepalive Timer, moves between states on
// payload as RFC 5534 sections 6.1 to 6.4 say, and tells of it with the epoch that the last SetTimers gave it.
package reap

import (
	"fmt"
	"math/rand/v2"
	"time"

	"shim6/daemon/wire"
)

// A State is a REAP state; its value is that of the Probe message and of the kernel interface (RFC 5534 section 5.2).
type State uint8

// The states of RFC 5534 section 4.2.
const (
	Operational State = 0
	Exploring   State = 1
	InboundOk   State = 2
)

// String gives the name as the RFC writes it in Probe messages.
func (s State) String() string {
	switch s {
	case Operational:
		return "Operational"
	case Exploring:
		return "Exploring"
	case InboundOk:
		return "InboundOk"
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// A Machine is the REAP state of one context. Its methods return what is to be done, in order.
type Machine struct {
	rng   *rand.Rand
	state State
	epoch uint32

	current     Pair
	local, peer []Candidate
	watch       watcher
	*episode    // nil where there is nothing to keep

	out []Action
}

// New makes a Machine in Operational that uses current. Its first epoch is random, so that events meant for an earlier
// Machine of the same context are told apart.
func New(rng *rand.Rand, current Pair) *Machine {
	return &Machine{rng: rng, epoch: rng.Uint32(), current: current}
}

// State gives the state.
func (m *Machine) State() State { return m.state }

// Current gives the current locator pair.
func (m *Machine) Current() Pair { return m.current }

// Deadline is when Expire must be called; zero means never.
func (m *Machine) Deadline() time.Time {
	var first time.Time
	if m.episode == nil {
		return first
	}
	for _, t := range [...]time.Time{m.retransmit, m.suspicion.at, m.watches.due, m.watches.check, m.move.due} {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}

// ControlReceived counts a Shim6 message of the peer, other than Keepalive and Probe, as payload (RFC 5534 section 6.1).
func (m *Machine) ControlReceived(now time.Time) []Action {
	switch m.state {
	case Operational:
		m.setTimers(TimerStop, TimerStart)
	case Exploring:
		m.inbound(now, "control message received")
	case InboundOk:
		m.setTimers(TimerStop, TimerKeep)
	}
	return m.take()
}

// ControlSent counts a Shim6 message to the peer, other than Keepalive and Probe, as payload (RFC 5534 section 6.2).
func (m *Machine) ControlSent() []Action {
	switch m.state {
	case Operational:
		m.setTimers(TimerStart, TimerStop)
	case InboundOk:
		m.setTimers(TimerStart, TimerKeep)
	}
	return m.take()
}

// PayloadSeen says that the kernel went from Exploring to InboundOk because payload arrived (RFC 5534 section 6.1).
func (m *Machine) PayloadSeen(now time.Time, epoch uint32) []Action {
	m.wake()
	if !m.fresh(epoch) {
		return m.take()
	}
	if m.state == Operational {
		// The event of the Send Timer before this one was lost.
		m.explore("send timeout")
		m.arm(now)
	}
	if m.state == Exploring {
		m.setState(InboundOk, "payload received")
		m.hears(now)
	}
	return m.take()
}

// SendTimeoutExpired says that the kernel's Send Timer expired and that the kernel is in Exploring (RFC 5534 section 6.4).
func (m *Machine) SendTimeoutExpired(now time.Time, epoch uint32) []Action {
	m.wake()
	if m.fresh(epoch) && m.state != Exploring {
		m.explore("send timeout")
		m.retransmitProbe(now)
	}
	return m.take()
}

// KeepaliveDue says that a Keepalive is due by the kernel's Keepalive Timer (RFC 5534 sections 6.1 and 6.3).
func (m *Machine) KeepaliveDue(epoch uint32) []Action {
	if m.fresh(epoch) && m.state == Operational {
		m.do(SendKeepalive{m.current})
	}
	return m.take()
}

// Keepalive handles a Keepalive (RFC 5534 section 6.6).
func (m *Machine) Keepalive(now time.Time) []Action {
	switch m.state {
	case Operational, InboundOk:
		m.setTimers(TimerStop, TimerKeep)
	case Exploring:
		m.inbound(now, "keepalive received")
	}
	return m.take()
}

// Explore starts an exploration without waiting for the Send Timer, because of evidence from outside or an operator's wish
// (RFC 5534 sections 3 and 4.1). With currentFirst the current pair is the first to be probed, otherwise the last. It does
// nothing where an exploration is under way.
func (m *Machine) Explore(now time.Time, why string, currentFirst bool) []Action {
	m.wake()
	m.examine(now, why, currentFirst)
	return m.take()
}

func (m *Machine) examine(now time.Time, why string, currentFirst bool) {
	if m.state != Operational {
		return
	}
	m.explore(why)
	m.doubt = now.Add(doubtTime)
	m.setTimers(TimerStop, TimerStop)
	if currentFirst {
		m.hurry(m.current)
	}
	m.retransmitProbe(now)
}

// SetCandidates tells which addresses may be probed: local ones that may be a source now, and peer ones that are verified.
// While exploring, pairs that are new are probed at once.
func (m *Machine) SetCandidates(now time.Time, local, peer []Candidate) []Action {
	before := m.pairSet()
	m.local, m.peer = local, peer
	if m.episode != nil {
		m.measures.keep(m.candidate)
		if !m.candidate(m.move.to) {
			m.endMove("it is no pair of usable locators any more")
		}
	}
	if m.state != Operational {
		m.wake()
		if m.recount(before) {
			m.probes = 0
			m.repeat(now)
		}
	}
	m.review(now)
	return m.take()
}

// Reset goes back to Operational with current as the current pair, all timers stopped.
func (m *Machine) Reset(current Pair, why string) []Action {
	m.wake()
	m.history = history{}
	m.exploration, m.suspicion = exploration{}, suspicion{}
	m.endMove(why)
	m.watches.list = nil
	m.watches.doubt()
	if m.state != Operational {
		m.setState(Operational, why)
	}
	m.setCurrent(current)
	m.setTimers(TimerStop, TimerStop)
	return m.take()
}

// Halt stops all timers and changes nothing else: the peer has lost the context, and nothing can be found out until it is there
// again. A kernel that was told of Operational now would have connections retransmit in vain.
func (m *Machine) Halt() []Action {
	m.setTimers(TimerStop, TimerStop)
	return m.take()
}

// Sync tells a kernel that knows nothing of this context its state.
func (m *Machine) Sync() []Action {
	send := TimerKeep
	if m.state == InboundOk {
		send = TimerStart
	}
	m.setTimers(send, TimerKeep)
	return m.take()
}

// Probe handles a Probe that arrived on a pair, seen from here: pair.Local is its destination (RFC 5534 sections 6.7 to
// 6.9).
func (m *Machine) Probe(now time.Time, pair Pair, p *wire.Probe) []Action {
	m.wake()
	if first := p.Sent[0]; first.Src != pair.Peer || first.Dst != pair.Local {
		m.do(Refused{BadReport, fmt.Sprintf("report of %v to %v", first.Src, first.Dst)})
		return m.take()
	}
	from := State(p.State)
	if from != Operational && !m.mayReply(now) {
		m.do(Refused{TooManyProbes, ""})
		return m.take()
	}
	if m.state == Operational && (from == Exploring || now.Sub(m.ended) > historyTime) {
		m.history = history{}
	}
	m.history.received(p.Sent[0])
	m.measures.reported(now, p.Received)
	m.early = false
	if m.state == Operational {
		m.moveAnswered(p.Received)
		m.watchAnswered(now, p.Received)
	}
	why := "probe " + from.String() + " received"
	switch from {
	case Exploring:
		m.peerExplores(now, pair, why)
	case InboundOk:
		m.peerHears(now, pair, p.Received, why)
	case Operational:
		answered := m.answered(p.Received)
		if m.state != Operational {
			m.selectPair(now, answered)
		}
		if m.astray(answered, why) {
			break
		}
		m.operational(now, why)
		m.setTimers(TimerStop, TimerStart)
	}
	m.review(now)
	return m.take()
}

// astray goes on exploring where the peer hears something of us, but it is not known on which pair, and the current one is
// no candidate or one to avoid: the answer may be to what was sent before the current locator went.
func (m *Machine) astray(answered []Pair, why string) bool {
	if m.state == Operational || len(answered) > 0 || !m.avoidable(m.current) {
		return false
	}
	if m.state == Exploring {
		m.setState(InboundOk, why)
		m.setTimers(TimerStart, TimerStop)
	}
	return true
}

// peerExplores is RFC 5534 section 6.7.
func (m *Machine) peerExplores(now time.Time, pair Pair, why string) {
	switch m.state {
	case Operational:
		m.begin()
		m.setState(InboundOk, why)
		m.setTimers(TimerRestart, TimerStop)
		m.arm(now)
	case Exploring:
		m.setState(InboundOk, why)
		m.setTimers(TimerStart, TimerStop)
	case InboundOk:
		m.setTimers(TimerRestart, TimerKeep)
	}
	m.probe(now, m.reply(pair))
}

// peerHears is RFC 5534 section 6.8. The new path comes before all else: payload waits for it.
func (m *Machine) peerHears(now time.Time, pair Pair, reports []wire.ProbeReport, why string) {
	answered := m.answered(reports)
	m.selectPair(now, answered)
	if m.astray(answered, why) {
		// What the peer does not know either is which pairs work: it waits for this.
		m.probe(now, m.reply(pair))
		return
	}
	m.operational(now, why)
	m.setTimers(TimerRestart, TimerStop)
	to := m.current
	for _, a := range answered {
		if a == pair {
			to = pair
		}
	}
	m.probe(now, to)
}

// answered gives the pairs of own probes that the peer says it received, newest probe first. A report counts only when its
// nonce and its addresses are those of a probe sent in this exploration: the nonce is the proof that the peer got it.
func (m *Machine) answered(reports []wire.ProbeReport) []Pair {
	pairs := m.history.answered(reports)
	kept := pairs[:0]
	for _, p := range pairs {
		if m.candidate(p) {
			kept = append(kept, p)
			m.do(Answered{p})
		}
	}
	return kept
}

// selectPair makes the first of pairs current, unless the current one is among them.
func (m *Machine) selectPair(now time.Time, pairs []Pair) {
	for _, p := range pairs {
		if p == m.current {
			return
		}
	}
	if len(pairs) > 0 {
		if !m.hinted {
			m.damping.count(now)
		}
		m.setCurrent(pairs[0])
	}
}

func (m *Machine) setCurrent(p Pair) {
	if p != m.current {
		m.do(PathChanged{From: m.current, To: p})
		m.current = p
	}
}

// inbound leaves Exploring because the peer is heard (RFC 5534 sections 6.1 and 6.6).
func (m *Machine) inbound(now time.Time, why string) {
	m.wake()
	m.setState(InboundOk, why)
	m.setTimers(TimerStart, TimerStop)
	m.hears(now)
}

// hears tells the peer that it is heard, unless that may be over.
func (m *Machine) hears(now time.Time) {
	if m.early = now.Before(m.doubt); !m.early {
		m.probe(now, m.pick(m.current))
	}
}

func (m *Machine) operational(now time.Time, why string) {
	if m.state != Operational {
		m.setState(Operational, why)
		m.ended = now
	}
	m.exploration = exploration{}
}

func (m *Machine) setState(to State, why string) {
	m.do(StateChanged{From: m.state, To: to, Why: why})
	m.state = to
}

func (m *Machine) setTimers(send, keepalive TimerOp) {
	m.epoch++
	m.do(SetTimers{Epoch: m.epoch, State: m.state, Send: send, Keepalive: keepalive})
}

// fresh tells whether a kernel event belongs to what SetTimers last set.
func (m *Machine) fresh(epoch uint32) bool {
	if epoch != m.epoch {
		m.do(Refused{StaleEvent, fmt.Sprintf("epoch %d, now %d", epoch, m.epoch)})
	}
	return epoch == m.epoch
}

// mayReply takes one reply from the allowance of the context.
func (m *Machine) mayReply(now time.Time) bool {
	if m.replies.Before(now) {
		m.replies = now
	}
	if m.replies.Sub(now) > (replyBurst-1)*replyInterval {
		return false
	}
	m.replies = m.replies.Add(replyInterval)
	return true
}

func (m *Machine) do(a Action) { m.out = append(m.out, a) }

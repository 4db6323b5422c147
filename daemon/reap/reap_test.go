// SPDX-License-Identifier: MIT

package reap_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"shim6/daemon/reap"
	"shim6/daemon/wire"
)

var (
	a1, a2 = netip.MustParseAddr("2001:db8:a1::1"), netip.MustParseAddr("2001:db8:a2::1")
	b1, b2 = netip.MustParseAddr("2001:db8:b1::1"), netip.MustParseAddr("2001:db8:b2::1")
	b3     = netip.MustParseAddr("2001:db8:b3::1")
	names  = map[netip.Addr]string{a1: "a1", a2: "a2", b1: "b1", b2: "b2", b3: "b3"}

	first = reap.Pair{Local: a1, Peer: b1}
	other = reap.Pair{Local: a2, Peer: b2}
	start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
)

// A bench holds a Machine, its clock and what it last did.
type bench struct {
	*reap.Machine
	now    time.Time
	epoch  uint32
	probes []*wire.Probe // all sent
	pairs  []reap.Pair   // of probes
	nonce  uint32        // of the peer's last probe
}

func newBench(seed byte) *bench {
	m := reap.New(rand.New(rand.NewChaCha8([32]byte{seed})), first)
	b := &bench{Machine: m, now: start, nonce: 1000}
	b.took(m.SetCandidates(b.now, addrs(a1, a2), addrs(b1, b2)))
	b.took(m.Sync())
	return b
}

// took remembers probes and the epoch and writes actions as one line each.
func (b *bench) took(acts []reap.Action) []string {
	var lines []string
	for _, a := range acts {
		switch a := a.(type) {
		case reap.SendProbe:
			b.probes, b.pairs = append(b.probes, a.Probe), append(b.pairs, a.Pair)
			lines = append(lines, fmt.Sprintf("probe %v sent %d received %d", reap.State(a.Probe.State), len(a.Probe.Sent),
				len(a.Probe.Received)))
		case reap.SendKeepalive:
			lines = append(lines, "keepalive "+pairName(a.Pair))
		case reap.SetTimers:
			b.epoch = a.Epoch
			lines = append(lines, fmt.Sprintf("timers %v send %v keepalive %v", a.State, a.Send, a.Keepalive))
		case reap.StateChanged:
			lines = append(lines, fmt.Sprintf("%v to %v", a.From, a.To))
		case reap.PathChanged:
			lines = append(lines, "path "+pairName(a.To))
		case reap.Answered:
			lines = append(lines, "answered "+pairName(a.Pair))
		case reap.Refused:
			lines = append(lines, fmt.Sprintf("refused %d", a.Why))
		}
	}
	return lines
}

func pairName(p reap.Pair) string { return names[p.Local] + ">" + names[p.Peer] }

// probe makes the peer's probe arrive on a pair, seen from here.
func (b *bench) probe(pair reap.Pair, s reap.State, received ...wire.ProbeReport) []string {
	b.nonce++
	return b.took(b.Probe(b.now, pair, &wire.Probe{
		State:    uint8(s),
		Sent:     []wire.ProbeReport{{Src: pair.Peer, Dst: pair.Local, Nonce: b.nonce, Data: 7}},
		Received: received,
	}))
}

// expire moves the clock to the next deadline.
func (b *bench) expire() []string {
	b.now = b.Deadline()
	return b.took(b.Expire(b.now))
}

func (b *bench) lastReport() wire.ProbeReport { return b.probes[len(b.probes)-1].Sent[0] }
func (b *bench) lastPair() reap.Pair          { return b.pairs[len(b.pairs)-1] }

// in gives a bench in a state.
func in(s reap.State) *bench {
	b := newBench(1)
	switch s {
	case reap.Exploring:
		b.took(b.SendTimeoutExpired(b.now, b.epoch))
	case reap.InboundOk:
		b.took(b.SendTimeoutExpired(b.now, b.epoch))
		b.took(b.PayloadSeen(b.now, b.epoch))
	}
	if b.State() != s {
		panic(fmt.Sprintf("%v, want %v", b.State(), s))
	}
	b.now = b.now.Add(100 * time.Millisecond)
	return b
}

// Each cell of the state machine, rows and columns of RFC 5534 section 6. What the kernel does to its own timers does not
// show: events it raises are followed by no timers line.
func TestStateMachine(t *testing.T) {
	type cell = string
	for _, tt := range []struct {
		event                     string
		do                        func(b *bench) []string
		operational, exploring    cell
		inboundOk                 cell
		afterOp, afterEx, afterIn reap.State
	}{{
		// RFC 5534 section 6.1: "Upon the reception of a payload packet in the Operational state, the node starts the
		// Keepalive Timer if it was not yet running, and stops the Send Timer if it was running. If the node is in the
		// Exploring state, it transitions to the InboundOK state, sends a Probe message, and starts the Send Timer. [...] In
		// the InboundOK state, the node stops the Send Timer if it was running, but does not do anything else. The reception
		// of Shim6 control messages other than the Keepalive and Probe messages are treated the same as the reception of
		// payload packets."
		"control message received", func(b *bench) []string { return b.took(b.ControlReceived(b.now)) },
		"timers Operational send stop keepalive start",
		"Exploring to InboundOk; timers InboundOk send start keepalive stop; probe InboundOk sent 2 received 0",
		"timers InboundOk send stop keepalive keep",
		reap.Operational, reap.InboundOk, reap.InboundOk,
	}, {
		"payload received, told by the kernel", func(b *bench) []string { return b.took(b.PayloadSeen(b.now, b.epoch)) },
		"Operational to Exploring; Exploring to InboundOk; probe InboundOk sent 1 received 0", // the first event was lost
		"Exploring to InboundOk; probe InboundOk sent 2 received 0",
		"",
		reap.InboundOk, reap.InboundOk, reap.InboundOk,
	}, {
		// RFC 5534 section 6.2: "Upon sending a payload packet in the Operational state, the node stops the Keepalive Timer
		// if it was running and starts the Send Timer if it was not running. In the Exploring state there is no effect, and
		// in the InboundOK state the node simply starts the Send Timer if it was not yet running. (The sending of Shim6
		// control messages is again treated the same.)"
		"control message sent", func(b *bench) []string { return b.took(b.ControlSent()) },
		"timers Operational send start keepalive stop", "", "timers InboundOk send start keepalive keep",
		reap.Operational, reap.Exploring, reap.InboundOk,
	}, {
		// RFC 5534 section 6.3: "Upon a timeout on the Keepalive Timer, the node sends one last Keepalive message. This can
		// only happen in the Operational state. [...] It is sent using the current address pair."
		"keepalive due", func(b *bench) []string { return b.took(b.KeepaliveDue(b.epoch)) },
		"keepalive a1>b1", "", "",
		reap.Operational, reap.Exploring, reap.InboundOk,
	}, {
		// RFC 5534 section 6.4: "Upon a timeout on the Send Timer, the node enters the Exploring state and sends a Probe
		// message."
		"send timeout", func(b *bench) []string { return b.took(b.SendTimeoutExpired(b.now, b.epoch)) },
		"Operational to Exploring; probe Exploring sent 1 received 0", "",
		"InboundOk to Exploring; probe Exploring sent 3 received 0",
		reap.Exploring, reap.Exploring, reap.Exploring,
	}, {
		// RFC 5534 section 6.5: "While in the Exploring state, the node keeps retransmitting its Probe messages to different
		// (or the same) addresses as defined in Section 4.3. A similar process is employed in the InboundOk state, except
		// that upon such retransmission, the Send Timer is started if it was not running already."
		"retransmission", func(b *bench) []string { return b.expire() },
		"", "probe Exploring sent 2 received 0",
		"timers InboundOk send start keepalive keep; probe InboundOk sent 3 received 0",
		reap.Operational, reap.Exploring, reap.InboundOk,
	}, {
		// RFC 5534 section 6.6: "Upon the reception of a Keepalive message in the Operational state, the node stops the Send
		// Timer if it was running. If the node is in the Exploring state, it transitions to the InboundOK state, sends a
		// Probe message, and starts the Send Timer. [...] In the InboundOK state, the Send Timer is stopped if it was running."
		"keepalive received", func(b *bench) []string { return b.took(b.Keepalive(b.now)) },
		"timers Operational send stop keepalive keep",
		"Exploring to InboundOk; timers InboundOk send start keepalive stop; probe InboundOk sent 2 received 0",
		"timers InboundOk send stop keepalive keep",
		reap.Operational, reap.InboundOk, reap.InboundOk,
	}, {
		// RFC 5534 section 6.7: "Upon receiving a Probe message with State set to Exploring, the node enters the InboundOK
		// state, sends a Probe message as described in Section 6.1, stops the Keepalive Timer if it was running, and
		// restarts the Send Timer."
		"probe Exploring", func(b *bench) []string { return b.probe(first, reap.Exploring) },
		"Operational to InboundOk; timers InboundOk send restart keepalive stop; probe InboundOk sent 1 received 1",
		"Exploring to InboundOk; timers InboundOk send start keepalive stop; probe InboundOk sent 2 received 1",
		"timers InboundOk send restart keepalive keep; probe InboundOk sent 3 received 1",
		reap.InboundOk, reap.InboundOk, reap.InboundOk,
	}, {
		// RFC 5534 section 6.8: "Upon the reception of a Probe message with State set to InboundOk, the node sends a Probe
		// message, restarts the Send Timer, stops the Keepalive Timer if it was running, and transitions to the Operational
		// state. [...] If no received probes have been reported, the current address pair is unchanged."
		"probe InboundOk", func(b *bench) []string { return b.probe(first, reap.InboundOk) },
		"timers Operational send restart keepalive stop; probe Operational sent 1 received 1",
		"Exploring to Operational; timers Operational send restart keepalive stop; probe Operational sent 2 received 1",
		"InboundOk to Operational; timers Operational send restart keepalive stop; probe Operational sent 3 received 1",
		reap.Operational, reap.Operational, reap.Operational,
	}, {
		// RFC 5534 section 6.9: "Upon the reception of a Probe message with State set to Operational, the node stops the Send
		// Timer if it was running, starts the Keepalive Timer if it was not yet running, and transitions to the Operational
		// state."
		"probe Operational", func(b *bench) []string { return b.probe(first, reap.Operational) },
		"timers Operational send stop keepalive start",
		"Exploring to Operational; timers Operational send stop keepalive start",
		"InboundOk to Operational; timers Operational send stop keepalive start",
		reap.Operational, reap.Operational, reap.Operational,
	}, {
		// RFC 5534 section 3.1: "If a node loses the address it is currently using for communications, another address must
		// replace it." Such evidence from below starts the exploration before the Send Timer does; probes decide.
		"outside evidence", func(b *bench) []string { return b.took(b.Explore(b.now, "address gone", false)) },
		"Operational to Exploring; timers Exploring send stop keepalive stop; probe Exploring sent 1 received 0", "", "",
		reap.Exploring, reap.Exploring, reap.InboundOk,
	}} {
		for _, c := range []struct {
			from, to reap.State
			want     cell
		}{
			{reap.Operational, tt.afterOp, tt.operational},
			{reap.Exploring, tt.afterEx, tt.exploring},
			{reap.InboundOk, tt.afterIn, tt.inboundOk},
		} {
			t.Run(fmt.Sprintf("%s in %v", tt.event, c.from), func(t *testing.T) {
				b := in(c.from)
				if got := strings.Join(tt.do(b), "; "); got != c.want {
					t.Errorf("did  %s\nwant %s", got, c.want)
				}
				if b.State() != c.to {
					t.Errorf("state %v, want %v", b.State(), c.to)
				}
				// RFC 5534 section 6.5: probes are retransmitted in Exploring and InboundOk.
				if probing := !b.Deadline().IsZero(); probing != (c.to != reap.Operational) {
					t.Errorf("in %v, probe timer runs: %v", c.to, probing)
				}
				if d := b.Deadline(); !d.IsZero() && !d.After(b.now) {
					t.Errorf("deadline %v is not after %v", d, b.now)
				}
			})
		}
	}
}

// A kernel event that was raised before the last SetTimers was carried out says nothing about now.
func TestStaleEventsAreRefused(t *testing.T) {
	for _, s := range []reap.State{reap.Operational, reap.Exploring, reap.InboundOk} {
		for name, do := range map[string]func(b *bench, epoch uint32) []reap.Action{
			"send timeout":  func(b *bench, e uint32) []reap.Action { return b.SendTimeoutExpired(b.now, e) },
			"payload seen":  func(b *bench, e uint32) []reap.Action { return b.PayloadSeen(b.now, e) },
			"keepalive due": func(b *bench, e uint32) []reap.Action { return b.KeepaliveDue(e) },
		} {
			b := in(s)
			for _, off := range []uint32{1, 2, ^uint32(0)} {
				if got, want := b.took(do(b, b.epoch+off)), []string{"refused 0"}; !slices.Equal(got, want) {
					t.Errorf("%s in %v: %q, want %q", name, s, got, want)
				}
			}
			if b.State() != s {
				t.Errorf("%s moved %v to %v", name, s, b.State())
			}
		}
	}
}

func TestEpochIsFreshEachTime(t *testing.T) {
	b := newBench(3)
	seen := map[uint32]bool{b.epoch: true}
	for range 50 {
		b.now = b.now.Add(time.Second)
		b.took(b.ControlReceived(b.now))
		if seen[b.epoch] {
			t.Fatalf("epoch %d again", b.epoch)
		}
		seen[b.epoch] = true
	}
	if newBench(4).epoch == newBench(5).epoch {
		t.Error("machines start with the same epoch")
	}
}

// RFC 5534 section 6.8: "A new current address pair is chosen for the connection, based on the reports of received probes
// in the message that we just received." Payload is to use it as soon as can be, so the change comes first.
func TestPathChangesBeforeAllElse(t *testing.T) {
	b := in(reap.Exploring)
	if b.lastPair() != other {
		t.Fatalf("probed %v first", b.lastPair())
	}
	got := b.probe(other, reap.InboundOk, b.lastReport())
	want := []string{
		"answered a2>b2", "path a2>b2", "Exploring to Operational",
		"timers Operational send restart keepalive stop", "probe Operational sent 1 received 1",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if b.Current() != other {
		t.Errorf("current %v", b.Current())
	}
}

// A reset leaves nothing of an exploration, and a report from before it moves nothing.
func TestReset(t *testing.T) {
	b := in(reap.InboundOk)
	report := b.probes[0].Sent[0]
	got := b.took(b.Reset(first, "recovered"))
	if d := cmp.Diff([]string{"InboundOk to Operational", "timers Operational send stop keepalive stop"}, got); d != "" {
		t.Error(d)
	}
	if !b.Deadline().IsZero() {
		t.Error("still probing")
	}
	b.probe(other, reap.InboundOk, report)
	if b.Current() != first {
		t.Error("a report from before the reset moved the path")
	}
	if got := b.took(b.Reset(other, "recovered")); !slices.Contains(got, "path a2>b2") {
		t.Errorf("%q", got)
	}
}

// RFC 5534 section 8: "the exploration itself can cause a number of packets to be sent. As a result, it may be used as a
// tool for packet amplification in flooding attacks." Ten replies a second are more than any exploration needs.
func TestRepliesAreLimited(t *testing.T) {
	b := newBench(6)
	for range 1000 {
		b.now = b.now.Add(time.Millisecond)
		b.probe(first, reap.Exploring)
	}
	// 10 at once and 10 in the second, plus the timer-driven ones, which did not run here.
	if n := len(b.probes); n < 15 || n > 21 {
		t.Errorf("1000 probes in a second gave %d replies", n)
	}
	b.now = b.now.Add(time.Minute)
	if got := b.probe(first, reap.Exploring); slices.Contains(got, "refused 2") {
		t.Errorf("a minute later: %q", got)
	}
}

// RFC 5534 section 5.2: the first probe sent report is mandatory and is about the very message.
func TestProbeAboutAnotherPairIsRefused(t *testing.T) {
	for _, r := range []wire.ProbeReport{{Src: b2, Dst: a1, Nonce: 5}, {Src: b1, Dst: a2, Nonce: 5}} {
		b := newBench(7)
		got := b.took(b.Probe(b.now, first, &wire.Probe{State: 1, Sent: []wire.ProbeReport{r}}))
		if !slices.Equal(got, []string{"refused 1"}) || b.State() != reap.Operational {
			t.Errorf("%q, %v", got, b.State())
		}
	}
}

// addrs makes candidates.
func addrs(as ...netip.Addr) []reap.Candidate {
	var cs []reap.Candidate
	for _, a := range as {
		cs = append(cs, reap.Candidate{Addr: a})
	}
	return cs
}

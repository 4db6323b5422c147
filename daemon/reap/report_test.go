// SPDX-License-Identifier: MIT

package reap_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"shim6/daemon/reap"
	"shim6/daemon/wire"
)

var ignoreNonces = cmpopts.IgnoreFields(wire.ProbeReport{}, "Nonce")

// RFC 5534 section 6.1: "It fills the Psent and corresponding Probe Source Address, Probe Destination Address, Probe Nonce,
// and Probe Data fields with information about recent Probe messages that have not yet been reported as seen by the peer."
func TestSentReports(t *testing.T) {
	b := in(reap.Exploring)
	for range 3 {
		b.expire()
	}
	reports := func() []wire.ProbeReport { return b.probes[len(b.probes)-1].Sent }
	if len(reports()) != 4 {
		t.Fatalf("%d reports", len(reports()))
	}
	for i, r := range reports() {
		p := b.pairs[len(b.pairs)-1-i]
		if d := cmp.Diff(wire.ProbeReport{Src: p.Local, Dst: p.Peer}, r, ignoreNonces, cmp.Comparer(sameAddr)); d != "" {
			t.Errorf("report %d: %s", i, d)
		}
	}
	// What the peer saw is reported no more.
	b = in(reap.Exploring)
	b.expire()
	seen := b.probes[1].Sent[0]
	b.probe(first, reap.InboundOk, seen)
	if got := reports(); slices.Contains(got, seen) || len(got) != 2 {
		t.Errorf("after one of two was seen: %d reports", len(got))
	}
}

// RFC 5534 section 5.2: the counts are fields of 4 bits.
func TestReportsAreBounded(t *testing.T) {
	b := in(reap.Exploring)
	for range 40 {
		b.now = b.now.Add(time.Second)
		b.probe(first, reap.Exploring)
		b.expire()
	}
	p := b.probes[len(b.probes)-1]
	if len(p.Sent) != 15 || len(p.Received) != 15 {
		t.Fatalf("%d sent and %d received reports", len(p.Sent), len(p.Received))
	}
	if b.nonce != p.Received[0].Nonce {
		t.Error("the newest probe received is not the first report")
	}
	p.ReceiverTag = 1
	m, err := wire.Marshal(p)
	if err != nil || len(m) > wire.MaxControl {
		t.Errorf("%d octets, %v", len(m), err)
	}
}

// RFC 5534 section 5.2: "The Probe Data field is copied back with no changes."
func TestReceivedReportsAreVerbatim(t *testing.T) {
	b := in(reap.Operational)
	r := wire.ProbeReport{Src: b2, Dst: a2, Nonce: 0xfedcba98, Data: 0x89abcdef}
	msg := &wire.Probe{State: 1, Sent: []wire.ProbeReport{r, {Src: b1, Dst: a1, Nonce: 1, Data: 2}}}
	b.took(b.Probe(b.now, other, msg))
	b.took(b.Probe(b.now, other, msg)) // a duplicate on the way is reported once
	if d := cmp.Diff([]wire.ProbeReport{r}, b.probes[len(b.probes)-1].Received, cmp.Comparer(sameAddr)); d != "" {
		t.Error(d)
	}
}

// RFC 5534 section 5.2: the received reports are those since the last transition to Exploring.
func TestReceivedReportsBeginWithExploring(t *testing.T) {
	b := in(reap.InboundOk)
	b.probe(first, reap.Exploring)
	b.took(b.SendTimeoutExpired(b.now, b.epoch))
	if n := len(b.probes[len(b.probes)-1].Received); n != 0 {
		t.Errorf("%d received reports after a new transition to Exploring", n)
	}
	b = in(reap.Exploring)
	b.probe(first, reap.Operational)
	b.took(b.SendTimeoutExpired(b.now, b.epoch))
	if p := b.probes[len(b.probes)-1]; len(p.Received) != 0 || len(p.Sent) != 1 {
		t.Errorf("a new exploration begins with %d sent and %d received reports", len(p.Sent), len(p.Received))
	}
}

// RFC 5534 section 5.2: "It is highly RECOMMENDED that the Nonce field be at least moderately hard to guess".
func TestNoncesAreFresh(t *testing.T) {
	seen := map[uint32]bool{}
	for seed := range byte(20) {
		b := newBench(seed)
		b.took(b.SendTimeoutExpired(b.now, b.epoch))
		for range 20 {
			b.expire()
		}
		for _, p := range b.probes {
			if seen[p.Sent[0].Nonce] {
				t.Fatalf("nonce %08x again", p.Sent[0].Nonce)
			}
			seen[p.Sent[0].Nonce] = true
		}
	}
}

// RFC 5534 section 8: "its Probe Nonces can be used as a return routability check that the claimed address is indeed
// willing to receive traffic."
func TestForgedReportsMoveNothing(t *testing.T) {
	for _, state := range []reap.State{reap.InboundOk, reap.Operational} {
		for name, forge := range map[string]func(r *wire.ProbeReport){
			"nonce":       func(r *wire.ProbeReport) { r.Nonce++ },
			"source":      func(r *wire.ProbeReport) { r.Src = a1 },
			"destination": func(r *wire.ProbeReport) { r.Dst = b3 },
		} {
			b := in(reap.Exploring)
			r := b.lastReport()
			forge(&r)
			b.probe(other, state, r)
			if b.Current() != first {
				t.Errorf("probe %v with another %s moved the path to %s", state, name, pairName(b.Current()))
			}
		}
		b := in(reap.Exploring)
		b.probe(other, state, b.lastReport())
		if b.Current() != other {
			t.Errorf("probe %v with the right report left the path at %s", state, pairName(b.Current()))
		}
	}
}

// RFC 5534 section 6.8 says only "based on the reports": the current pair is kept where it works, otherwise the pair of the
// newest probe that arrived is taken.
func TestPairSelection(t *testing.T) {
	all := func(order ...int) (*bench, []wire.ProbeReport) {
		b := in(reap.Exploring)
		for range 3 {
			b.expire()
		}
		var rs []wire.ProbeReport
		for _, i := range order {
			rs = append(rs, b.probes[i].Sent[0])
		}
		return b, rs
	}
	b, rs := all(0, 1, 2, 3) // the last is the current pair
	b.probe(first, reap.InboundOk, rs...)
	if b.Current() != first {
		t.Errorf("the current pair works, and the path is %s", pairName(b.Current()))
	}
	for _, order := range [][]int{{0, 1}, {1, 0}} {
		b, rs = all(order...)
		b.probe(first, reap.InboundOk, rs...)
		if b.Current() != b.pairs[1] {
			t.Errorf("path %s, want that of the newest probe seen, %s", pairName(b.Current()), pairName(b.pairs[1]))
		}
	}
}

// An answer that comes when all is over may name a better pair, but not for ever: an old one may be replayed.
func TestOldReportsMoveNothing(t *testing.T) {
	for _, tt := range []struct {
		after time.Duration
		moves bool
	}{{9 * time.Second, true}, {11 * time.Second, false}} {
		b := in(reap.Exploring)
		late := b.lastReport()
		b.took(b.Keepalive(b.now))
		b.probe(first, reap.Operational)
		b.now = b.now.Add(tt.after)
		b.probe(first, reap.InboundOk, late)
		if moved := b.Current() != first; moved != tt.moves {
			t.Errorf("report after %v moved the path: %v", tt.after, moved)
		}
	}
}

// RFC 5534 section 6.9: with state Operational on both sides nothing is chosen any more.
func TestOperationalInOperationalMovesNothing(t *testing.T) {
	b := in(reap.Exploring)
	late := b.lastReport()
	b.probe(first, reap.Operational)
	b.probe(first, reap.Operational, late)
	if b.Current() != first {
		t.Errorf("path %s", pairName(b.Current()))
	}
}

func sameAddr(x, y netip.Addr) bool { return x == y }

// An answer may come when the address it is for is gone.
func TestReportOfAGoneAddressMovesNothing(t *testing.T) {
	b := in(reap.Exploring)
	r := b.lastReport()
	b.took(b.SetCandidates(b.now, addrs(a1), addrs(b1, b2)))
	got := b.probe(reap.Pair{Local: a1, Peer: b2}, reap.InboundOk, r)
	if b.Current() != first || slices.Contains(got, "answered a2>b2") {
		t.Errorf("path %s: %q", pairName(b.Current()), got)
	}
}

// RFC 5534 section 6.8 has the current pair go on when the peer hears something. Where the peer has said that it left the current
// locator and does not say what it hears, that pair is the wrong one, and the peer is told at once which pairs it could be.
func TestPeerHearsSomethingWhileTheCurrentLocatorIsToBeAvoided(t *testing.T) {
	for name, peer := range map[string][]reap.Candidate{
		"gone":    addrs(b2),
		"avoided": append(addrs(b2), reap.Candidate{Addr: b1, Avoid: true}),
	} {
		b := in(reap.InboundOk)
		b.took(b.SetCandidates(b.now, addrs(a1, a2), peer))
		sent := len(b.probes)
		b.probe(other, reap.InboundOk)
		if b.State() != reap.InboundOk || b.Current() != first {
			t.Errorf("%s: %v on %s", name, b.State(), pairName(b.Current()))
		}
		if len(b.probes) != sent+1 || b.lastPair() != other || len(b.probes[sent].Received) == 0 {
			t.Errorf("%s: the peer was sent %d probes, the last on %s", name, len(b.probes)-sent, pairName(b.lastPair()))
			continue
		}
		b.probe(other, reap.Operational, b.lastReport())
		if b.State() != reap.Operational || b.Current() != other {
			t.Errorf("%s: %v on %s in the end", name, b.State(), pairName(b.Current()))
		}
	}
	// When there is nothing else, it stays.
	b := in(reap.InboundOk)
	b.took(b.SetCandidates(b.now, addrs(a1), []reap.Candidate{{Addr: b1, Avoid: true}}))
	b.probe(first, reap.InboundOk)
	if b.State() != reap.Operational || b.Current() != first {
		t.Errorf("%v on %s", b.State(), pairName(b.Current()))
	}
}

// SPDX-License-Identifier: MIT

package sim

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"shim6/daemon/engine"
	"shim6/daemon/reap"
	"shim6/daemon/shim6"
	"shim6/daemon/wire"
)

// invariants is what a host remembers to find out whether its engine keeps the rules.
type invariants struct {
	reached map[netip.Addr]bool // where a control message of ours arrived
	epochs  map[epoch]bool
	probes  []time.Time
}

// An epoch is one that the kernel was given for a context.
type epoch struct {
	tag   wire.ContextTag
	epoch uint32
}

// mostProbes bounds the probes of one context in one second: a burst of ten replies and ten more, and those of the timer.
const mostProbes = 25

func newInvariants() invariants {
	return invariants{reached: map[netip.Addr]bool{}, epochs: map[epoch]bool{}}
}

// fail remembers the first rule that is broken.
func (h *Host) fail(format string, args ...any) {
	if h.w.err == nil {
		h.w.err = fmt.Errorf("at %.3f s: %s: %s", h.w.Now.Sub(Epoch).Seconds(), h.Name, fmt.Sprintf(format, args...))
	}
}

// check looks at what an engine made of an event.
func (h *Host) check(ev engine.Event, acts []engine.Action) {
	if d := h.Engine.Deadline(); !d.IsZero() && !d.After(h.now()) {
		h.fail("%T: the deadline %v has passed", ev, d)
	}
	var in wire.Message
	p, isPacket := ev.(engine.PacketIn)
	if isPacket {
		in, _ = wire.Parse(p.Payload)
	}
	sent := 0
	for _, a := range acts {
		switch a := a.(type) {
		case engine.SendPacket:
			sent++
			h.checkSent(p, in, a)
		case engine.ProgramContext:
			h.checkProgram(a)
		case engine.SetReap:
			k := epoch{a.Tag, a.Epoch}
			switch {
			case h.epochs[k]:
				h.fail("%T: epoch %d of %v again", ev, a.Epoch, a.Tag)
			case a.State == reap.Exploring && (a.Send > reap.TimerStop || a.Keepalive > reap.TimerStop):
				h.fail("%T: %+v starts a timer in Exploring", ev, a)
			case a.Send > reap.TimerStop && a.Keepalive > reap.TimerStop:
				h.fail("%T: %+v runs both timers", ev, a)
			}
			h.epochs[k] = true
		case engine.StateChanged:
			h.checkState(ev, in, a)
		}
	}
	if isPacket && sent > 4 {
		h.fail("one %T made %d packets", in, sent)
	}
}

// checkState: a responder holds no state before a valid I2.
func (h *Host) checkState(ev engine.Event, in wire.Message, a engine.StateChanged) {
	if a.From != shim6.StateIdle {
		return
	}
	switch ev.(type) {
	case engine.Trigger, engine.AdoptContext, engine.VerifyDone, engine.SignDone, engine.LocalLocators:
		return
	case engine.PacketIn:
		switch in.(type) {
		case *wire.I2, *wire.I2bis:
			return
		}
	}
	h.fail("%T (%T) made a context", ev, in)
}

// checkSent: answers to strangers are not much longer than questions, and nothing is sent from an address that is not there
// or to one that is not the peer's.
func (h *Host) checkSent(p engine.PacketIn, in wire.Message, a engine.SendPacket) {
	const header = 40
	m, err := wire.Parse(a.Payload)
	if err != nil || len(a.Payload) > wire.MaxControl {
		h.fail("sends %d octets of nonsense: %v", len(a.Payload), err)
		return
	}
	switch m.(type) {
	case *wire.R1, *wire.R1bis, *wire.ErrorMsg:
		if in != nil && (a.Dst != p.Src || a.Src != p.Dst || header+len(a.Payload) >= 3*(header+len(p.Payload))) {
			h.fail("%v of %d octets answers %v of %d", m.Type(), len(a.Payload), in.Type(), len(p.Payload))
		}
	case *wire.Probe, *wire.UpdateRequest, *wire.Keepalive:
		if !h.has(a.Src) {
			h.fail("%v from %s, which is not there", m.Type(), h.w.Name(a.Src))
		}
		if !h.has(a.Dst) && h.w.owner[a.Dst] == h {
			h.fail("%v to %s, which was ours", m.Type(), h.w.Name(a.Dst))
		}
	}
	if _, ok := m.(*wire.Probe); !ok {
		return
	}
	h.probes = append(h.probes, h.now())
	h.probes = h.probes[max(0, len(h.probes)-mostProbes*len(h.w.hosts)):]
	if len(h.probes) == mostProbes*len(h.w.hosts) && h.now().Sub(h.probes[0]) < time.Second {
		h.fail("%d probes in %v", len(h.probes), h.now().Sub(h.probes[0]))
	}
}

// checkProgram: payload goes only where the peer was found to be: nothing unverified and unprobed is a destination.
func (h *Host) checkProgram(a engine.ProgramContext) {
	peer := h.w.owner[a.ULIDs.Peer]
	for _, path := range a.Paths {
		switch {
		case h.w.owner[path.Peer] != peer || h.w.owner[path.Local] != h:
			h.fail("payload for %s goes from %s to %s", h.w.Name(a.ULIDs.Peer), h.w.Name(path.Local), h.w.Name(path.Peer))
		case path.Peer != a.ULIDs.Peer && !h.reached[path.Peer]:
			h.fail("payload goes to %s, where nothing ever arrived", h.w.Name(path.Peer))
		}
	}
	if n := len(a.LocatorsLocal); n < 1 || n > shim6.MaxLocators {
		h.fail("%d local locators", n)
	}
}

// Settled tells what is wrong where the network has been well for long: each two hosts that have a context agree about it, both
// are Operational, and payload arrives.
func (w *World) Settled() error {
	for _, h := range w.hosts {
		if h.Engine == nil {
			continue
		}
		for _, s := range h.Engine.Contexts() {
			peer := w.owner[s.ULIDs.Peer]
			if peer.Engine == nil || s.State == shim6.StateEFailed || s.State == shim6.StateNoSupport {
				continue
			}
			if err := h.agrees(s, peer); err != nil {
				return fmt.Errorf("%s with %s: %w", h.Name, peer.Name, err)
			}
		}
		for _, to := range w.hosts {
			f := h.flows[to.Name]
			if f != nil && !f.stopped && to.Engine != nil && f.LastArrival.Before(w.Now.Add(-2*f.interval-time.Second)) {
				return fmt.Errorf("payload from %s to %s is lost", h.Name, to.Name)
			}
		}
	}
	return nil
}

func (h *Host) agrees(s engine.Snapshot, peer *Host) error {
	i := slices.IndexFunc(peer.Engine.Contexts(), func(t engine.Snapshot) bool {
		return t.ULIDs.Local == s.ULIDs.Peer && t.ULIDs.Peer == s.ULIDs.Local && t.FII == s.FII
	})
	switch {
	case s.State != shim6.StateEstablished:
		return fmt.Errorf("context in %v", s.State)
	case s.Reap != reap.Operational:
		return fmt.Errorf("REAP in %v", s.Reap)
	case i < 0:
		return nil // forgotten, and nothing was sent since
	}
	t := peer.Engine.Contexts()[i]
	if s.TagLocal != t.TagPeer || s.TagPeer != t.TagLocal {
		return fmt.Errorf("tags %v and %v, at the peer %v and %v", s.TagLocal, s.TagPeer, t.TagPeer, t.TagLocal)
	}
	if s.Untold {
		return fmt.Errorf("an Update Request is not acknowledged")
	}
	if h.life > 0 || peer.life > 0 {
		return nil // what changed just before the daemon ended was not saved; an R1bis mends that when it matters
	}
	for _, l := range s.LocatorsLocal {
		if !slices.ContainsFunc(t.LocatorsPeer, func(m engine.LocatorInfo) bool { return m.Addr == l.Addr && m.Preference == l.Preference }) {
			return fmt.Errorf("the peer knows otherwise of %s", h.w.Name(l.Addr))
		}
	}
	for _, l := range t.LocatorsPeer {
		if l.Addr != s.ULIDs.Local && !slices.ContainsFunc(s.LocatorsLocal, func(m engine.LocatorInfo) bool { return m.Addr == l.Addr }) {
			return fmt.Errorf("the peer still has %s", h.w.Name(l.Addr))
		}
	}
	return nil
}

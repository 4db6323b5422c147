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
	probes  map[wire.ContextTag][]time.Time // sent, by the peer's tag
	ends    map[netip.Addr]time.Time        // when contexts with a ULID that is gone are to end
	asked   map[wire.ContextTag]int         // I1 sent with a tag since its context was established
	full    time.Time                       // when a context was last refused for lack of room
}

// An epoch is one that the kernel was given for a context.
type epoch struct {
	tag   wire.ContextTag
	epoch uint32
}

// mostProbes bounds the probes of one context in one second: a burst of ten replies and ten more, those of the timer, and those of
// seven pairs that are watched.
const mostProbes = 32

// mostI1 bounds the I1 messages of one exchange. RFC 5533 section 7.8: I1_RETRIES_MAX is 4; an I2 that nobody answers falls
// back to I1 (section 7.12).
const mostI1 = 20

func newInvariants() invariants {
	return invariants{
		reached: map[netip.Addr]bool{}, epochs: map[epoch]bool{}, asked: map[wire.ContextTag]int{},
		probes: map[wire.ContextTag][]time.Time{}, ends: map[netip.Addr]time.Time{},
	}
}

// fail remembers the first rule that is broken.
func (h *Host) fail(format string, args ...any) {
	if h.w.err == nil {
		h.w.err = fmt.Errorf("at %.3f s: %s: %s", h.w.Now.Sub(Epoch).Seconds(), h.Name, fmt.Sprintf(format, args...))
	}
}

// check looks at what an engine made of an event, which is the message in where that is a packet. What was due anyway is not
// made by that.
func (h *Host) check(ev engine.Event, in wire.Message, due bool, acts []engine.Action) {
	if d := h.Engine.Deadline(); !d.IsZero() && !d.After(h.now()) {
		h.fail("%T: the deadline %v has passed", ev, d)
	}
	sent := 0
	for _, a := range acts {
		switch a := a.(type) {
		case engine.SendPacket:
			sent++
		case engine.ProgramContext:
			h.checkProgram(a)
		case engine.SetReap:
			h.checkReap(ev, a)
		case engine.StateChanged:
			if a.To == shim6.StateEstablished {
				delete(h.asked, a.TagLocal)
			}
			h.checkState(ev, in, a)
		case engine.Dropped:
			if a.Reason == engine.ReasonContextsFull {
				h.full = h.w.Now
			}
		}
	}
	if in != nil && !due && sent > 4 {
		h.fail("one %T made %d packets", in, sent)
	}
}

func (h *Host) checkReap(ev engine.Event, a engine.SetReap) {
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
}

// checkState: a responder holds no state before a valid I2.
func (h *Host) checkState(ev engine.Event, in wire.Message, a engine.StateChanged) {
	if a.From != shim6.StateIdle {
		return
	}
	switch ev.(type) {
	case engine.Trigger, engine.Fork, engine.AdoptContext, engine.VerifyDone, engine.SignDone, engine.LocalLocators:
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
// or to one that is not the peer's. It gives the message.
func (h *Host) checkSent(ev engine.Event, in wire.Message, a engine.SendPacket) wire.Message {
	const header = 40
	m, err := wire.Parse(a.Payload)
	if err != nil || len(a.Payload) > wire.MaxControl {
		h.fail("sends %d octets of nonsense: %v", len(a.Payload), err)
		return nil
	}
	switch m := m.(type) {
	case *wire.R1, *wire.R1bis, *wire.ErrorMsg:
		p, ok := ev.(engine.PacketIn)
		if ok && (a.Dst != p.Src || a.Src != p.Dst || header+len(a.Payload) >= 3*(header+len(p.Payload))) {
			h.fail("%v of %d octets answers %T of %d", m.Type(), len(a.Payload), in, len(p.Payload))
		}
		if _, ok := in.(*wire.ErrorMsg); ok {
			h.fail("%v answers an Error message", m.Type())
		}
	case *wire.I1:
		if h.asked[m.InitiatorTag]++; h.asked[m.InitiatorTag] > mostI1 {
			h.fail("asks %s for the %dth time", h.w.Name(a.Dst), h.asked[m.InitiatorTag])
		}
	case *wire.Probe, *wire.UpdateRequest, *wire.Keepalive:
		if !h.has(a.Src) {
			h.fail("%v from %s, which is not there", m.Type(), h.w.Name(a.Src))
		}
		if !h.has(a.Dst) && h.w.owner[a.Dst] == h {
			h.fail("%v to %s, which was ours", m.Type(), h.w.Name(a.Dst))
		}
	}
	if p, ok := m.(*wire.Probe); ok {
		h.checkRate(p.ReceiverTag)
	}
	return m
}

func (h *Host) checkRate(tag wire.ContextTag) {
	sent := append(h.probes[tag], h.now())
	sent = sent[max(0, len(sent)-mostProbes):]
	if h.probes[tag] = sent; len(sent) == mostProbes && h.now().Sub(sent[0]) < time.Second {
		h.fail("%d probes in %v", len(sent), h.now().Sub(sent[0]))
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

// audit looks at what holds between any two events: contexts stay below their cap, and the kernel has those that are established,
// on their path and in their state.
func (w *World) audit() error {
	for _, h := range w.hosts {
		if h.Engine == nil || h.asleep() {
			continue
		}
		ss := h.Engine.Contexts()
		if most := h.cfg.Limits.Contexts; most > 0 && len(ss) > most {
			return fmt.Errorf("%s has %d contexts, the cap is %d", h.Name, len(ss), most)
		}
		for _, s := range ss {
			if end, ok := h.ends[s.ULIDs.Local]; ok && s.State.Alive() && h.now().After(end) && h.deadline().After(h.now()) {
				return fmt.Errorf("%s: the context with %s outlives its ULID %s", h.Name, w.Name(s.ULIDs.Peer), w.Name(s.ULIDs.Local))
			}
			if s.State != shim6.StateEstablished {
				continue
			}
			switch k := h.kernel.byTag(s.TagLocal); {
			case k == nil:
				return fmt.Errorf("%s: the kernel lacks the context with %s", h.Name, w.Name(s.ULIDs.Peer))
			case k.ULIDs != s.ULIDs || k.TagPeer != s.TagPeer || k.Paths[0] != s.Current:
				return fmt.Errorf("%s: the kernel sends to %s on %s, not on %s", h.Name, w.Name(s.ULIDs.Peer), w.pair(k.Paths[0]),
					w.pair(s.Current))
			case !slices.Equal(k.Paths, s.Paths):
				return fmt.Errorf("%s: the kernel has %d paths to %s, and should have %d", h.Name, len(k.Paths), w.Name(s.ULIDs.Peer),
					len(s.Paths))
			case k.state != s.Reap:
				return fmt.Errorf("%s: the kernel is in %v with %s, not in %v", h.Name, k.state, w.Name(s.ULIDs.Peer), s.Reap)
			}
		}
		for i, k := range h.kernel.contexts {
			if slices.ContainsFunc(h.kernel.contexts[:i], func(o *kernelContext) bool { return o.ULIDs == k.ULIDs && o.FII == k.FII }) {
				return fmt.Errorf("%s: the kernel has two contexts with %s", h.Name, w.Name(k.ULIDs.Peer))
			}
			if !slices.ContainsFunc(ss, func(s engine.Snapshot) bool { return s.TagLocal == k.TagLocal }) {
				return fmt.Errorf("%s: nobody knows the kernel's context %v with %s", h.Name, k.TagLocal, w.Name(k.ULIDs.Peer))
			}
		}
	}
	return nil
}

// lastTry is within which one that is refused for lack of room tries again: an I2, or a Probe at the longest intervals. While it
// does, the one without room may have a context in its way whose tag the other uses again.
const lastTry = 75 * time.Second

// Settled tells what is wrong where the network has been well for long: each two hosts that have a context agree about it, both
// are Operational, and payload arrives.
func (w *World) Settled() error {
	for _, h := range w.hosts {
		if h.Engine == nil {
			continue
		}
		for _, s := range h.Engine.Contexts() {
			peer := w.owner[s.ULIDs.Peer]
			if peer.Engine == nil || s.State == shim6.StateEFailed || s.State == shim6.StateNoSupport ||
				w.Now.Sub(peer.full) < lastTry || w.Now.Sub(h.full) < lastTry {
				continue
			}
			if err := h.agrees(s, peer); err != nil {
				return fmt.Errorf("%s with %s: %w", h.Name, peer.Name, err)
			}
			if found, all := len(s.Paths), min(8, len(s.LocatorsLocal)*len(s.LocatorsPeer)); h.cfg.Multipath && h.watches(s) && found < all {
				return fmt.Errorf("%s with %s: %d paths work and %d are used", h.Name, peer.Name, all, found)
			}
		}
		for _, f := range h.flows {
			to := w.owner[f.ulids.Peer]
			if !f.stopped && (to.Engine != nil || to.foreign) && f.LastArrival.Before(w.Now.Add(-2*f.interval-time.Second)) {
				return fmt.Errorf("payload from %s to %s is lost", w.Name(f.ulids.Local), w.Name(f.ulids.Peer))
			}
		}
	}
	return nil
}

// watches tells whether a context has carried payload on its current pair for long enough to know all its paths: another pair
// takes that one's place among those that are watched, and is first probed with them.
func (h *Host) watches(s engine.Snapshot) bool {
	k := h.kernel.byTag(s.TagLocal)
	return k != nil && h.kernelNow().Sub(k.used) < 5*time.Second && h.kernelNow().Sub(k.moved) > time.Minute &&
		h.now().Sub(s.Since) > 4*time.Minute
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

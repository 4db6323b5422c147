// SPDX-License-Identifier: MIT

package engine

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"shim6/daemon/shim6"
)

// A waiting is what is to be done once a signature of ours is there.
type waiting struct {
	sig   *shim6.Signature
	again func(now time.Time)
}

// announcement gives what to tell peers about our ULID of a pair. While its signature is being made there is none, and
// again is called when that ends.
func (e *Engine) announcement(p PacketIn, ulids ULIDPair, again func(now time.Time)) *shim6.Announcement {
	own := e.own.For(ulids.Local)
	switch {
	case own == nil:
		e.drop(p, ReasonNotLocal, "")
	case own.Ready():
		return own
	case len(e.waiting) >= e.cfg.Limits.Waiting:
		e.drop(p, ReasonWaitingFull, "")
	default:
		e.waiting = append(e.waiting, waiting{own.Sig, again})
	}
	return nil
}

// wake lets go on what waits for a signature; some of it may come to wait again.
func (e *Engine) wake(now time.Time, which func(*shim6.Signature) bool) {
	var ready []waiting
	e.waiting = slices.DeleteFunc(e.waiting, func(w waiting) bool {
		if which(w.sig) {
			ready = append(ready, w)
			return true
		}
		return false
	})
	for _, w := range ready {
		w.again(now)
	}
}

func (e *Engine) onSignDone(now time.Time, ev SignDone) {
	sig := e.signing[ev.ID]
	if sig == nil {
		e.refuse(ReasonUnknownID, "signature")
		return
	}
	delete(e.signing, ev.ID)
	value := ev.Signature
	if ev.Err != nil {
		e.refuse(ReasonSignFailed, fmt.Sprintf("key %s: %v", sig.KeyID, ev.Err))
		value = nil
	}
	e.own.Signed(sig, value)
	e.wake(now, func(s *shim6.Signature) bool { return s == sig })
	e.informAll(now, sig)
}

// onLocalLocators replaces the local locators. The peers of contexts are told; the loss of a current one starts an exploration
// at once (RFC 5534 section 3.1).
func (e *Engine) onLocalLocators(now time.Time, ev LocalLocators) {
	var own []shim6.LocalLocator
	costs := map[netip.Addr]uint8{}
	for _, l := range ev.Locators {
		known := slices.ContainsFunc(own, func(o shim6.LocalLocator) bool { return o.Addr == l.Addr })
		switch {
		case !shim6.Usable(l.Addr):
			e.refuse(ReasonOwnLocator, fmt.Sprintf("%v is not a global unicast address", l.Addr))
		case !known && len(own) == shim6.MaxLocators:
			e.refuse(ReasonOwnLocator, fmt.Sprintf("%v is one too many", l.Addr))
		case !known:
			own = append(own, shim6.LocalLocator{Addr: l.Addr, PDS: l.PDS, KeyID: l.KeyID, Preference: l.Preference})
			if l.Cost != 0 {
				costs[l.Addr] = l.Cost
			}
		}
	}
	e.costs = costs
	e.sign(e.own.Update(own, e.table.ulids()))
	e.wake(now, func(*shim6.Signature) bool { return true })
	for _, c := range e.table.all() {
		if e.own.Has(c.ULIDs.Local) {
			c.ends = time.Time{}
			e.table.schedule(c)
		}
		switch c.State() {
		case shim6.StateEstablished:
			e.setCandidates(now, c)
			e.leave(now, c)
		case shim6.StateI1Sent, shim6.StateI2Sent, shim6.StateI2bisSent:
			e.detour(now, c)
		}
	}
	e.informAll(now, nil)
}

// onULIDEnds is RFC 5533 section 1.5: communication that uses a ULID ends when the ULID becomes invalid. An address that only
// went away, with its interface or its network, is valid as long as it was to be.
func (e *Engine) onULIDEnds(now time.Time, ev ULIDEnds) {
	if e.own.Has(ev.ULID) {
		e.refuse(ReasonStaleEvent, fmt.Sprintf("end of %v, which is a local locator", ev.ULID))
		return
	}
	for _, c := range e.table.all() {
		if c.ULIDs.Local == ev.ULID {
			c.ends = ev.At
			e.table.schedule(c)
		}
	}
}

// sign asks for signatures, and tells what cannot be announced.
func (e *Engine) sign(signatures []*shim6.Signature, problems []shim6.Problem) {
	for _, p := range problems {
		e.refuse(ReasonOwnParameters, fmt.Sprintf("%v: %v", p.Addr, p.Err))
	}
	for _, sig := range signatures {
		id := e.newID()
		e.signing[id] = sig
		e.do(Sign{ID: id, KeyID: sig.KeyID, Data: sig.Data})
	}
}

// detour moves an exchange whose local locator is gone to one that is there. An exchange that began for a ULID which is gone
// ends: nothing can use it any more (RFC 5533 section 1.5).
func (e *Engine) detour(now time.Time, c *context) {
	if e.own.Has(c.Exchange.Local) {
		return
	}
	if !c.inKernel && !e.own.Has(c.ULIDs.Local) {
		e.apply(now, c, c.Close(now, "ULID gone"))
		return
	}
	if own := e.own.For(c.ULIDs.Local); own != nil {
		for _, l := range own.Set.Locators {
			if e.own.Works(l.Addr) {
				e.apply(now, c, c.Detour(now, LocatorPair{Local: l.Addr, Peer: c.Exchange.Peer}))
				return
			}
		}
	}
}

// leave looks for another path where the local locator of the current one is of no use any more.
func (e *Engine) leave(now time.Time, c *context) {
	switch current := c.reap.Current().Local; {
	case !e.own.Has(current):
		e.reapDo(now, c, c.reap.Explore(now, "local locator gone", false))
	case !e.own.Works(current):
		e.reapDo(now, c, c.reap.Suspect(now, "local locator broken", false))
	}
}

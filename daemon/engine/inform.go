// SPDX-License-Identifier: MIT

package engine

import (
	"net/netip"
	"slices"
	"time"

	"shim6/daemon/reap"
	"shim6/daemon/shim6"
	"shim6/daemon/wire"
)

// A change of the local locators concerns every context: so many peers are told at once, the rest one in each interval.
const (
	informBurst    = 64
	informInterval = time.Millisecond
)

// informAll tells all peers what they do not know of our locators; with a signature, those that waited for it.
func (e *Engine) informAll(now time.Time, sig *shim6.Signature) {
	told := 0
	for _, c := range e.table.all() {
		own := e.own.For(c.ULIDs.Local)
		if own == nil || sig != nil && own.Sig != sig {
			continue
		}
		if e.inform(now, c, time.Duration(max(0, told-informBurst+1))*informInterval) {
			told++
		}
	}
}

// inform tells the peer of an established context what it does not know of our locators, unless the signature for that is
// still being made. It tells whether there was something.
func (e *Engine) inform(now time.Time, c *context, after time.Duration) bool {
	own := e.own.For(c.ULIDs.Local)
	if own == nil || !own.Ready() || e.own.Empty() || c.State() != shim6.StateEstablished {
		return false
	}
	acts, ok := c.Inform(now, after, own, e.own.Preference)
	if !ok {
		return false
	}
	e.program(c) // a peer that has taken the notice may use what is new, before that is known here
	e.apply(now, c, acts)
	return true
}

// notify sends an Update Request.
func (e *Engine) notify(now time.Time, c *context, a shim6.Notify) {
	pairs := e.noticePairs(c)
	if len(pairs) == 0 {
		return
	}
	pair := pairs[a.Retries%len(pairs)]
	c.noticed = &pair
	if e.send(pair, a.Request) {
		e.do(MessageSent{ULIDs: c.ULIDs, TagLocal: c.TagLocal, Pair: pair, Type: a.Request.Type()})
		e.reapDo(now, c, c.reap.ControlSent())
	}
}

// noticePairs lists where an Update Request may go: the current pair while that works, and no other where the peer is sure to
// know its source. Of the rest, sources that the peer knows come first; from others it is answered with an R1bis, by which the
// peer comes to know them as well (RFC 5533 sections 7.5 and 10.4).
func (e *Engine) noticePairs(c *context) []LocatorPair {
	current := LocatorPair(c.reap.Current())
	sources := e.working(c.Sources())
	var pairs []LocatorPair
	if c.reap.State() == reap.Operational && e.own.Works(current.Local) {
		pairs = []LocatorPair{current}
		if slices.Contains(sources, current.Local) {
			return pairs
		}
	}
	if len(sources) == 0 {
		sources = e.working(c.LocalAddrs())
	}
	destinations := []netip.Addr{current.Peer}
	for _, broken := range []bool{false, true} {
		for _, l := range c.Peer.Locators {
			if l.Verified && l.Broken == broken && l.Addr != current.Peer && !e.own.Has(l.Addr) {
				destinations = append(destinations, l.Addr)
			}
		}
	}
	for _, d := range destinations {
		for _, s := range sources {
			pairs = append(pairs, LocatorPair{Local: s, Peer: d})
		}
	}
	return pairs
}

// working picks those of our locators that may be a source.
func (e *Engine) working(as []netip.Addr) []netip.Addr {
	return slices.DeleteFunc(as, func(a netip.Addr) bool { return !e.own.Works(a) })
}

// onUpdateAck is RFC 5533 section 10.5.
func (e *Engine) onUpdateAck(now time.Time, p PacketIn, c *context, m *wire.UpdateAck) {
	acts, ok := c.Acknowledge(now, m.ReqNonce)
	if !ok {
		e.drop(p, ReasonNotAsked, "")
		return
	}
	e.took(c, p, m.Type())
	e.apply(now, c, acts)
}

// onSetTimeouts changes the timeouts of a context.
func (e *Engine) onSetTimeouts(now time.Time, c *context, ev SetTimeouts) {
	cfg := Config{Seed: [32]byte{1}, SendTimeout: ev.SendTimeout, Teardown: ev.Teardown}
	if err := cfg.Validate(); err != nil {
		e.refuse(ReasonBadTimeout, err.Error())
		return
	}
	if ev.Teardown != 0 {
		c.teardown = ev.Teardown
	}
	if ev.SendTimeout == 0 || ev.SendTimeout == c.sendTimeout {
		return
	}
	c.told = max(c.told, c.sendTimeout)
	c.sendTimeout = ev.SendTimeout
	c.SetSendTimeout(ev.SendTimeout)
	if c.State() == shim6.StateEstablished && !e.inform(now, c, 0) {
		e.program(c)
	}
}

// informed lets new locators be sources: the peer knows them.
func (e *Engine) informed(now time.Time, c *context) {
	if c.TimeoutTold() {
		c.told = 0
	}
	e.program(c)
	e.setCandidates(now, c)
	e.reapDo(now, c, c.reap.ControlReceived(now))
}

// localAddrs gives the destinations that the kernel is to take payload at, not more than it can: those that are there first.
func (e *Engine) localAddrs(c *context) []netip.Addr {
	as := c.LocalAddrs()
	if len(as) > shim6.MaxLocators {
		as = slices.DeleteFunc(as, func(a netip.Addr) bool { return !e.own.Has(a) })
	}
	return as
}

// SPDX-License-Identifier: MIT

package engine

import (
	"time"

	"shim6/daemon/shim6"
	"shim6/daemon/wire"
)

// onUpdateRequest is RFC 5533 section 10.4.
func (e *Engine) onUpdateRequest(now time.Time, p PacketIn, c *context, m *wire.UpdateRequest) {
	offer := c.UpdateOffer(m)
	if !e.checkUpdate(now, p, c, m, offer) {
		return
	}
	c.updatesCome++
	if offer.NeedsVerification() && !c.Known(offer) {
		e.verify(now, &verification{packet: p, key: c.key(), offer: offer, update: m, turn: c.updatesCome})
		return
	}
	c.updateTaken = c.updatesCome
	e.took(c, p, m.Type())
	e.apply(now, c, c.Update(pairOf(p), m, offer))
}

// update takes over a verified Update Request, unless the context has become another since it came, or one that came later
// was taken already: that needed no verification, or less time for it.
func (e *Engine) update(now time.Time, c *context, v *verification) {
	switch {
	case !e.checkUpdate(now, v.packet, c, v.update, v.offer):
	case v.turn < c.updateTaken:
		e.drop(v.packet, ReasonOvertaken, "")
	default:
		c.updateTaken = v.turn
		e.took(c, v.packet, v.update.Type())
		e.apply(now, c, c.Update(pairOf(v.packet), v.update, v.offer))
	}
}

func (e *Engine) checkUpdate(now time.Time, p PacketIn, c *context, m *wire.UpdateRequest, offer shim6.Offer) bool {
	r, ok := c.CheckUpdate(m, offer)
	if !ok {
		e.drop(p, Reason(r.Fault), "")
		if r.Reply {
			e.sendError(now, p, r.Code, r.Pointer)
		}
	}
	return ok
}

// relocate makes kernel and REAP follow an Update Request. Where the peer gave up its current locator, or says that it is
// broken, another one is looked for; until it is found, payload keeps to the old one (RFC 5533 section 10.4).
func (e *Engine) relocate(now time.Time, c *context) {
	e.endConfusion(now, c, c.TagPeer, shim6.Offer{}) // a locator that comes back may be what two contexts share
	e.program(c)
	e.setCandidates(now, c)
	e.reapDo(now, c, c.reap.ControlReceived(now))
	current := c.reap.Current().Peer
	switch {
	case !c.Peer.HasVerified(current), c.Peer.LeftOut(current):
		e.reapDo(now, c, c.reap.Explore(now, "peer locator gone", false))
	case c.Peer.Broken(current):
		e.reapDo(now, c, c.reap.Suspect(now, "peer locator broken", false))
	}
}

// SPDX-License-Identifier: MIT

package engine

import (
	"time"

	"shim6/daemon/shim6"
	"shim6/daemon/wire"
)

// onUnknownTag is the payload half of RFC 5533 section 12.2: the kernel does not know the tag, so there is no context, or
// its exchange is not over, or the kernel lost it.
func (e *Engine) onUnknownTag(now time.Time, ev UnknownTag) {
	p := PacketIn{Src: ev.Src, Dst: ev.Dst}
	if !shim6.Usable(p.Src) || !shim6.Usable(p.Dst) {
		e.drop(p, ReasonBadAddress, "payload with an unknown tag")
		return
	}
	c := e.table.byTag[ev.Tag]
	switch {
	case c == nil:
		e.recover(now, p, ev.Tag)
	case c.State() == shim6.StateEstablished:
		e.program(c)
		e.reapDo(now, c, c.reap.Sync())
	default:
		e.apply(now, c, c.Nudge(now))
	}
}

// recover tells the sender of a packet that its context tag means nothing here (RFC 5533 section 7.17). No state is kept.
func (e *Engine) recover(now time.Time, p PacketIn, tag wire.ContextTag) {
	switch {
	case !tag.Valid():
		e.drop(p, ReasonBadTag, "")
	case !e.own.Has(p.Dst):
		e.drop(p, ReasonNotLocal, "")
	case e.own.Has(p.Src):
		e.drop(p, ReasonSelf, "")
	case !e.limits.allow(now, limitRecovery, p.Src):
		e.drop(p, ReasonRecoveryRate, "")
	default:
		nonce, validator := e.validators.Issue(now, shim6.Binding{Bis: true, Tag: tag, Locators: pairOf(p)})
		e.send(pairOf(p), &wire.R1bis{
			PacketTag: tag, RespNonce: nonce, Options: wire.Options{Validator: validator},
		})
	}
}

// onR1bis is RFC 5533 section 7.18. The section asks for the current locators; section 16.2 wants recovery to work while
// other pairs are probed, so any pair of the two sets will do.
func (e *Engine) onR1bis(now time.Time, p PacketIn, m *wire.R1bis) {
	for _, c := range e.table.withPeerTag(m.PacketTag) {
		if !c.Peer.HasVerified(p.Src) || !c.HasLocal(p.Dst) {
			continue
		}
		if c.State() != shim6.StateEstablished {
			e.drop(p, ReasonWrongState, "R1bis in "+c.State().String())
			return
		}
		own := e.announcement(p, c.ULIDs, func(now time.Time) { e.onR1bis(now, p, m) })
		if own == nil {
			return
		}
		e.took(c, p, m.Type())
		acts, err := c.R1bis(now, pairOf(p), m, own, e.newNonce())
		if err != nil {
			e.drop(p, ReasonTooLong, err.Error())
		}
		e.apply(now, c, acts)
		return
	}
	e.drop(p, ReasonNoContext, "R1bis")
}

// onI2bis is RFC 5533 section 7.20.
func (e *Engine) onI2bis(now time.Time, p PacketIn, m *wire.I2bis) {
	k, ok := e.identify(p, m.InitiatorTag, &m.Options)
	if !ok || !e.validated(now, p, m.RespNonce, m.Validator, shim6.Binding{
		Bis: true, Tag: m.PacketTag, Locators: pairOf(p),
	}) {
		return
	}
	e.request(now, p, k, shim6.Request{
		Pair: pairOf(p), Tag: m.InitiatorTag, InitNonce: m.InitNonce, Offer: shim6.NewOffer(&m.Options),
		Bis: true, Why: "I2bis received",
	})
}

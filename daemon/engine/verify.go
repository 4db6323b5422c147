// SPDX-License-Identifier: MIT

package engine

import (
	"time"

	"shim6/daemon/shim6"
	"shim6/daemon/wire"
)

// A verification is what a Verify action is about and what is to follow it: one of request, r2 and update.
type verification struct {
	packet  PacketIn
	key     contextKey
	offer   shim6.Offer
	request *shim6.Request
	r2      *wire.R2
	update  *wire.UpdateRequest
	turn    uint64 // of update among those of its context; of request, that of the last update before it
}

// verify asks for the checks of an offer. It comes after everything that costs less: a validator or nonce of ours has come
// back, so the source is where it says.
func (e *Engine) verify(now time.Time, v *verification) {
	switch {
	case e.beingVerified(v):
		e.drop(v.packet, ReasonVerifyPending, "")
		return
	case len(e.verifying) >= e.cfg.Limits.Verifying:
		e.drop(v.packet, ReasonVerifyFull, "")
		return
	case !e.limits.allow(now, limitVerify, v.packet.Src):
		e.drop(v.packet, ReasonVerifyRate, "")
		return
	}
	id := e.newID()
	e.verifying[id] = v
	e.do(Verify{ID: id, ULID: v.key.ulids.Peer, PDS: v.offer.PDS, List: v.offer.List, Signature: v.offer.Signature})
}

// beingVerified tells whether a retransmission of the same message is being verified.
func (e *Engine) beingVerified(v *verification) bool {
	for _, w := range e.verifying {
		switch {
		case w.key != v.key:
		case v.request != nil && w.request != nil && w.request.Tag == v.request.Tag && w.request.Pair == v.request.Pair,
			v.r2 != nil && w.r2 != nil && w.r2.ResponderTag == v.r2.ResponderTag,
			v.update != nil && w.update != nil && w.update.ReqNonce == v.update.ReqNonce:
			return true
		}
	}
	return false
}

// onVerifyDone goes on where verify left off. The context may have changed in between, so it is looked up again.
func (e *Engine) onVerifyDone(now time.Time, ev VerifyDone) {
	v := e.verifying[ev.ID]
	if v == nil {
		e.refuse(ReasonUnknownID, "verification")
		return
	}
	delete(e.verifying, ev.ID)
	if ev.Err != nil {
		e.drop(v.packet, ReasonVerifyFailed, ev.Err.Error())
		if l := v.offer.List; l != nil && ev.BadLocator >= 0 && ev.BadLocator < len(l.Locators) {
			e.sendError(now, v.packet, wire.CodeVerificationFailed, l.MethodOffset(ev.BadLocator))
		}
		return
	}
	switch {
	case v.request != nil:
		e.accept(now, v.packet, v.key, *v.request, v.turn)
		return
	case v.update != nil:
		if c := e.receiver(now, v.packet, v.update.ReceiverTag); c != nil && c.key() == v.key {
			e.update(now, c, v)
		}
		return
	}
	c := e.table.find(v.key)
	if c == nil || !c.AwaitsR2(pairOf(v.packet), v.r2) {
		e.drop(v.packet, ReasonNoContext, "R2")
		return
	}
	e.complete(now, v.packet, c, v.r2, v.offer)
}

// SPDX-License-Identifier: MIT

package engine

import (
	"fmt"
	"net/netip"
	"time"

	"shim6/daemon/shim6"
	"shim6/daemon/wire"
)

// onTrigger starts an exchange (RFC 5533 section 7.7). A failure that is remembered keeps it from starting.
func (e *Engine) onTrigger(now time.Time, ev Trigger) {
	u := ev.ULIDs
	c := e.table.find(contextKey{ulids: u})
	switch {
	case !shim6.Usable(u.Local) || !shim6.Usable(u.Peer):
		e.refuse(ReasonBadAddress, fmt.Sprintf("trigger for %v and %v", u.Local, u.Peer))
	case !e.own.Has(u.Local):
		e.refuse(ReasonNotLocal, fmt.Sprintf("trigger for %v", u.Local))
	case e.own.Has(u.Peer):
		e.refuse(ReasonSelf, fmt.Sprintf("trigger for peer %v", u.Peer))
	case e.policy(u.Peer).Refuse || e.policy(u.Peer).NoTrigger:
		e.refuse(ReasonPolicy, fmt.Sprintf("trigger for peer %v", u.Peer))
	case c != nil && c.State().Alive():
		e.refuse(ReasonContextExists, fmt.Sprintf("trigger for peer %v", u.Peer))
	case c != nil:
		e.refuse(ReasonHolddown, fmt.Sprintf("trigger for peer %v", u.Peer))
	case !e.hasRoom():
		e.refuse(ReasonContextsFull, "trigger")
	default:
		c := e.newContext(now, contextKey{ulids: u}, 0)
		e.apply(now, c, c.Initiate(now, LocatorPair(u), e.newTag(), e.newNonce()))
	}
}

// hasRoom tells whether there may be another context. A failure that is remembered gives way to it: hosts that do not speak
// Shim6 are many, and do not keep out those that do.
func (e *Engine) hasRoom() bool {
	return len(e.table.byKey) < e.cfg.Limits.Contexts || e.table.failures.Len() > 0
}

// makeRoom forgets the oldest failure where hasRoom counts on that.
func (e *Engine) makeRoom(now time.Time) {
	if oldest := e.table.failures.Front(); oldest != nil && len(e.table.byKey) >= e.cfg.Limits.Contexts {
		c := oldest.Value.(*context)
		e.apply(now, c, c.Close(now, "room needed"))
	}
}

// newContext makes a context; a Send Timeout of zero stands for the one that is configured for the peer.
func (e *Engine) newContext(now time.Time, k contextKey, sendTimeout time.Duration) *context {
	e.makeRoom(now)
	configured, teardown := e.timeouts(k.ulids.Peer)
	if sendTimeout == 0 {
		sendTimeout = configured
	}
	c := &context{
		Context: shim6.New(e.params(k, sendTimeout)), sendTimeout: sendTimeout, teardown: teardown,
	}
	c.home = (*LocatorPair)(&c.ULIDs)
	e.table.add(c)
	return c
}

func (e *Engine) params(k contextKey, sendTimeout time.Duration) shim6.Params {
	return shim6.Params{Rand: e.rng, ULIDs: k.ulids, FII: k.fii, SendTimeout: sendTimeout}
}

// identify tells which context an I1, I2 or I2bis means (RFC 5533 sections 7.9, 7.13 and 7.20), and whether it can be one
// of ours at all.
func (e *Engine) identify(p PacketIn, tag wire.ContextTag, o *wire.Options) (k contextKey, ok bool) {
	k.ulids = ULIDPair(pairOf(p))
	if o.ULIDs != nil {
		k.ulids = ULIDPair{Local: o.ULIDs.Receiver, Peer: o.ULIDs.Sender}
	}
	if o.FII != nil {
		k.fii = *o.FII
	}
	switch {
	case !tag.Valid():
		e.drop(p, ReasonBadTag, "")
	case !shim6.Usable(k.ulids.Local) || !shim6.Usable(k.ulids.Peer):
		e.drop(p, ReasonBadAddress, "in ULID pair")
	case !e.announced(k, p.Dst):
		e.drop(p, ReasonNotLocal, "")
	case e.own.Has(k.ulids.Peer):
		e.drop(p, ReasonSelf, "ULID of the peer is a local locator")
	case e.policy(k.ulids.Peer).Refuse && e.table.find(k) == nil:
		e.drop(p, ReasonPolicy, "")
	default:
		return k, true
	}
	return k, false
}

// announced tells whether an address of ours is one that peers are told of together with a ULID of ours. A ULID that is no
// locator any more takes no new contexts (RFC 5533 section 1.5).
func (e *Engine) announced(k contextKey, addr netip.Addr) bool {
	own := e.own.For(k.ulids.Local)
	return own != nil && own.Set.Has(addr) && (e.own.Has(k.ulids.Local) || e.table.find(k) != nil)
}

// onI1 is RFC 5533 section 7.9.
func (e *Engine) onI1(now time.Time, p PacketIn, m *wire.I1) {
	k, ok := e.identify(p, m.InitiatorTag, &m.Options)
	if !ok {
		return
	}
	if !e.limits.allow(now, limitR1, p.Src) {
		e.drop(p, ReasonR1Rate, "")
		return
	}
	c := e.table.find(k)
	if c == nil || !c.AnswersI1(now, pairOf(p), m) {
		nonce, validator := e.validators.Issue(now, shim6.Binding{
			Tag: m.InitiatorTag, ULIDs: k.ulids, FII: k.fii, Locators: pairOf(p),
		})
		e.send(pairOf(p), &wire.R1{
			InitNonce: m.InitNonce, RespNonce: nonce, Options: wire.Options{Validator: validator},
		})
		return
	}
	own := e.announcement(p, k.ulids, func(now time.Time) { e.onI1(now, p, m) })
	if own == nil {
		return
	}
	e.apply(now, c, c.I1(now, pairOf(p), m, own))
}

// onR1 is RFC 5533 section 7.11.
func (e *Engine) onR1(now time.Time, p PacketIn, m *wire.R1) {
	c := e.table.byNonce[m.InitNonce]
	switch {
	case c == nil, pairOf(p) != c.Exchange && (!c.Peer.HasVerified(p.Src) || !c.Local.Has(p.Dst)):
		e.drop(p, ReasonNoContext, "R1")
		return
	case c.State() != shim6.StateI1Sent:
		e.drop(p, ReasonWrongState, "R1 in "+c.State().String())
		return
	}
	own := e.announcement(p, c.ULIDs, func(now time.Time) { e.onR1(now, p, m) })
	if own == nil {
		return
	}
	e.took(c, p, m.Type())
	acts, err := c.R1(now, pairOf(p), m, own)
	if err != nil {
		e.drop(p, ReasonTooLong, err.Error())
	}
	e.apply(now, c, acts)
}

// onI2 is RFC 5533 section 7.13.
func (e *Engine) onI2(now time.Time, p PacketIn, m *wire.I2) {
	k, ok := e.identify(p, m.InitiatorTag, &m.Options)
	if !ok || !e.validated(now, p, m.RespNonce, m.Validator, shim6.Binding{
		Tag: m.InitiatorTag, ULIDs: k.ulids, FII: k.fii, Locators: pairOf(p),
	}) {
		return
	}
	e.request(now, p, k, shim6.Request{
		Pair: pairOf(p), Tag: m.InitiatorTag, InitNonce: m.InitNonce, Offer: shim6.NewOffer(&m.Options), Why: "I2 received",
	})
}

// validated tells whether a Responder Validator is one of ours, not too old, and for this very message.
func (e *Engine) validated(now time.Time, p PacketIn, nonce uint32, validator []byte, b shim6.Binding) bool {
	switch e.validators.Check(now, nonce, validator, b) {
	case shim6.StaleNonce:
		e.drop(p, ReasonStaleNonce, "")
	case shim6.WrongValidator:
		e.drop(p, ReasonBadValidator, "")
	default:
		return true
	}
	return false
}

// request checks an I2 or I2bis whose validator is good, and has the rest of it verified.
func (e *Engine) request(now time.Time, p PacketIn, k contextKey, r shim6.Request) {
	if !e.checkOffer(now, p, k.ulids.Peer, r.Offer) {
		return
	}
	c := e.table.find(k)
	var turn uint64
	if c != nil {
		turn = c.updatesCome
	}
	switch {
	case !e.sourceFits(c, k, r):
		e.drop(p, ReasonNotALocator, r.Why)
	case c == nil && !e.hasRoom():
		e.drop(p, ReasonContextsFull, r.Why)
	case c != nil && c.Accepted(r), !r.Offer.NeedsVerification():
		e.accept(now, p, k, r, turn)
	default:
		e.verify(now, &verification{packet: p, key: k, request: &r, offer: r.Offer, turn: turn})
	}
}

// sourceFits tells whether the source of an I2 or I2bis is the claimed ULID, or a locator that the list in it names, or
// where there is none that is known to be the peer's. RFC 5533 section 7.13 asks for that where there is a context; without one, anybody
// could claim a ULID from anywhere.
func (e *Engine) sourceFits(c *context, k contextKey, r shim6.Request) bool {
	src := r.Pair.Peer
	if src == k.ulids.Peer || r.Offer.Names(src) {
		return true
	}
	return r.Offer.List == nil && c != nil && c.Peer.HasVerified(src)
}

// accept takes over an I2 or I2bis that passed every check, making the context where there is none. Turn is that of the last
// Update Request before it: where a later one was taken while this waited to be verified, or for our signature, it is an old
// copy, for the peer sends none before its exchange is over.
func (e *Engine) accept(now time.Time, p PacketIn, k contextKey, r shim6.Request, turn uint64) {
	c := e.table.find(k)
	if c != nil && r.Tag == c.TagPeer && turn < c.updateTaken {
		e.drop(p, ReasonOvertaken, r.Why)
		return
	}
	own := e.announcement(p, k.ulids, func(now time.Time) { e.accept(now, p, k, r, turn) })
	if own == nil {
		return
	}
	switch {
	case !own.Set.Has(r.Pair.Local), c == nil && !e.own.Has(k.ulids.Local): // gone since it was verified
		e.drop(p, ReasonNotLocal, r.Why)
		return
	case !e.sourceFits(c, k, r):
		e.drop(p, ReasonNotALocator, r.Why)
		return
	case c == nil && !e.hasRoom():
		e.drop(p, ReasonContextsFull, r.Why)
		return
	case c == nil:
		c = e.newContext(now, k, 0)
	}
	fresh := !c.State().Alive()
	if fresh {
		c.TagLocal = e.newTag()
	}
	e.took(c, p, r.Type())
	e.endConfusion(now, c, r.Tag, r.Offer)
	e.apply(now, c, c.Accept(now, r, own))
	if fresh && r.Bis {
		e.reapDo(now, c, c.reap.Rest(now, true)) // the peer wants it back, but nobody has said that there is payload
	}
}

// onR2 is RFC 5533 section 7.16.
func (e *Engine) onR2(now time.Time, p PacketIn, m *wire.R2) {
	c := e.table.byNonce[m.InitNonce]
	switch {
	case c == nil || !c.AwaitsR2(pairOf(p), m):
		e.drop(p, ReasonNoContext, "R2")
		return
	case !m.ResponderTag.Valid():
		e.drop(p, ReasonBadTag, "R2")
		return
	}
	offer := shim6.NewOffer(&m.Options)
	if !e.checkOffer(now, p, c.ULIDs.Peer, offer) {
		return
	}
	if offer.NeedsVerification() {
		e.verify(now, &verification{packet: p, key: c.key(), r2: m, offer: offer})
		return
	}
	e.complete(now, p, c, m, offer)
}

// complete ends the exchange with a verified R2. Its source becomes a destination, so it must be among the locators.
func (e *Engine) complete(now time.Time, p PacketIn, c *context, m *wire.R2, offer shim6.Offer) {
	if !c.PeerWith(offer).HasVerified(p.Src) {
		e.drop(p, ReasonNotALocator, "R2")
		return
	}
	e.took(c, p, m.Type())
	e.endConfusion(now, c, m.ResponderTag, offer)
	e.apply(now, c, c.R2(now, m, offer))
}

// checkOffer refuses what no verification could make good. Faults of one locator are told to the peer (RFC 5533 section
// 7.2).
func (e *Engine) checkOffer(now time.Time, p PacketIn, ulid netip.Addr, o shim6.Offer) bool {
	fault, locator := o.Check(ulid)
	if fault == shim6.FaultNone {
		return true
	}
	e.drop(p, Reason(fault), "")
	if locator >= 0 {
		e.sendError(now, p, wire.CodeVerificationFailed, o.List.MethodOffset(locator))
	}
	return false
}

// endConfusion removes contexts that the peer must have lost, since it uses their tag for another one (RFC 5533 section
// 7.15).
func (e *Engine) endConfusion(now time.Time, c *context, tag wire.ContextTag, offer shim6.Offer) {
	for _, old := range e.table.withPeerTag(tag) {
		inUse := old.State() == shim6.StateEstablished || old.State() == shim6.StateI2bisSent
		if old != c && inUse && old.Peer.Overlaps(c.PeerWith(offer)) {
			e.apply(now, old, old.Close(now, "context confusion"))
		}
	}
}

// SPDX-License-Identifier: MIT

package shim6

import (
	"fmt"
	"time"

	"shim6/daemon/wire"
)

// Initiate starts an exchange on a pair (RFC 5533 section 7.7).
func (c *Context) Initiate(now time.Time, pair LocatorPair, tag wire.ContextTag, nonce uint32) []Action {
	c.wake()
	c.TagLocal, c.InitNonce, c.fallbacks, c.told = tag, nonce, 0, false
	c.Exchange = pair
	c.sendI1(now, "context wanted")
	return c.take()
}

func (c *Context) sendI1(now time.Time, why string) {
	c.stop()
	if c.Local.listed() > 0 {
		c.wake()
		c.owing = now // an R2 that answers the I1 does not tell whether the list ever arrived
	}
	c.setState(now, StateI1Sent, why)
	c.hold(now, I1Timeout, &wire.I1{
		InitiatorTag: c.TagLocal, InitNonce: c.InitNonce, Options: c.addressing(c.Exchange),
	})
}

// AnswersI1 tells whether an I1 on a pair is for this context to answer, with an R2. Otherwise an R1 is due, as for a
// context that does not exist (RFC 5533 section 7.9). A source that is not known to be the peer's never gets an R2: that
// is long. Nor does one that just got one: before the context is established there is no tag to tell a peer, whose I1s are
// seconds apart, from who floods it in its own name. A peer that gets the R1 comes to its R2 by an I2.
func (c *Context) AnswersI1(now time.Time, pair LocatorPair, m *wire.I1) bool {
	switch {
	case !c.state.Alive() || !c.Peer.Has(pair.Peer) || !c.HasLocal(pair.Local):
		return false
	case c.state == StateEstablished:
		return m.InitiatorTag == c.TagPeer
	}
	return now.Sub(c.waits().answered) >= nudgeInterval
}

// I1 answers an I1 with an R2 (RFC 5533 section 7.9). The context tag of the I1 is not learned.
func (c *Context) I1(now time.Time, pair LocatorPair, m *wire.I1, own *Announcement) []Action {
	if c.state == StateEstablished {
		c.tell(own)
		c.do(Updated{})
	} else {
		c.wake()
		c.answered = now
	}
	c.sendR2(pair, m.InitNonce, own)
	return c.take()
}

// R1 answers an R1 with an I2 (RFC 5533 section 7.11). It fails, and does nothing, where the I2 would be too long.
func (c *Context) R1(now time.Time, pair LocatorPair, m *wire.R1, own *Announcement) ([]Action, error) {
	i2 := &wire.I2{
		InitiatorTag: c.TagLocal, InitNonce: c.InitNonce, RespNonce: m.RespNonce, Options: c.addressing(pair),
	}
	if i1, ok := c.waits().held.(*wire.I1); ok && i1.ULIDs != nil {
		i2.ULIDs = i1.ULIDs
	}
	i2.Validator = m.Validator
	c.announce(&i2.Options, own)
	if _, err := wire.Marshal(i2); err != nil {
		return nil, fmt.Errorf("answer to R1: %w", err)
	}
	c.stopSending()
	if c.told && !c.Local.tells(own.Set) {
		c.owing = now // the R2 may be that of a message which told another list
	}
	c.Local, c.told = own.Set, true
	c.Exchange = pair
	c.setState(now, StateI2Sent, "R1 received")
	c.hold(now, I2Timeout, i2)
	return c.take(), nil
}

// A Request is an I2 or I2bis that passed every check.
type Request struct {
	Pair      LocatorPair // it came on
	Tag       wire.ContextTag
	InitNonce uint32
	Offer     Offer
	Bis       bool // an I2bis
	Why       string
}

// Type gives the type of the message.
func (r Request) Type() wire.MessageType {
	if r.Bis {
		return wire.TypeI2bis
	}
	return wire.TypeI2
}

// Accept takes over what a Request says and answers it with an R2 (RFC 5533 sections 7.13 and 7.20). TagLocal must be set.
func (c *Context) Accept(now time.Time, r Request, own *Announcement) []Action {
	c.learn(r.Tag, r.Offer)
	c.tell(own)
	switch c.state {
	case StateI2Sent, StateI2bisSent:
		c.do(Updated{})
	case StateEstablished:
		c.Exchange = r.Pair
		c.do(Updated{})
	default:
		c.Exchange = r.Pair
		c.establish(now, r.Why)
	}
	c.sendR2(r.Pair, r.InitNonce, own)
	return c.take()
}

// Accepted tells whether the context is what accepting a Request made it, so that it needs no new check.
func (c *Context) Accepted(r Request) bool {
	return c.state == StateEstablished && c.TagPeer == r.Tag && c.digest == r.Offer.Digest() &&
		c.KeepaliveTimeout == r.Offer.Timeout && c.Peer.Has(r.Pair.Peer)
}

// AwaitsR2 tells whether an R2 that came on a pair answers this context's I1, I2 or I2bis (RFC 5533 section 7.16).
func (c *Context) AwaitsR2(pair LocatorPair, m *wire.R2) bool {
	switch c.state {
	case StateI1Sent, StateI2Sent, StateI2bisSent:
		return m.InitNonce == c.InitNonce && pair == c.Exchange
	}
	return false
}

// R2 ends the exchange (RFC 5533 section 7.16).
func (c *Context) R2(now time.Time, m *wire.R2, offer Offer) []Action {
	c.learn(m.ResponderTag, offer)
	c.establish(now, "R2 received")
	return c.take()
}

// establish ends the exchange; what is owed to the peer remains.
func (c *Context) establish(now time.Time, why string) {
	c.stopSending()
	c.setState(now, StateEstablished, why)
}

// Nudge sends the I2 or I2bis again because the peer shows that it is established: the R2 was lost. The State is that of
// RFC 5533 appendix B; nothing else of the peer's message is looked at.
func (c *Context) Nudge(now time.Time) []Action {
	if (c.state == StateI2Sent || c.state == StateI2bisSent) && now.Sub(c.nudged) >= nudgeInterval {
		c.nudged = now
		c.send(c.Exchange, c.held)
	}
	return c.take()
}

// PeerWith gives the Ls(peer) that a verified offer leads to: without a list the old one stays.
func (c *Context) PeerWith(o Offer) LocatorSet {
	if o.List == nil {
		return c.Peer
	}
	return o.set(c.ULIDs.Peer)
}

// learn takes over what a peer says about itself.
func (c *Context) learn(tag wire.ContextTag, o Offer) {
	c.TagPeer = tag
	c.Peer = c.PeerWith(o)
	c.KeepaliveTimeout = o.Timeout
	c.digest = o.Digest()
	if o.PDS != nil {
		c.PDSPeer = o.PDS
	}
}

func (c *Context) sendR2(pair LocatorPair, nonce uint32, own *Announcement) {
	r2 := &wire.R2{ResponderTag: c.TagLocal, InitNonce: nonce}
	c.announce(&r2.Options, own)
	c.tell(own)
	c.send(pair, r2)
}

// announce adds what we tell about ourselves.
func (c *Context) announce(o *wire.Options, own *Announcement) {
	own.addTo(o)
	o.KeepaliveTimeout = c.sendTimeout
}

// hold sends a message that is to be repeated.
func (c *Context) hold(now time.Time, timeout time.Duration, m wire.Message) {
	c.wake()
	c.held = m
	c.send(c.Exchange, m)
	c.nudged = now
	c.arm(now, timeout)
}

// arm sets the retransmission timer: exponential backoff first, then a factor from 0.5 to 1.5 (RFC 5533 section 14).
func (c *Context) arm(now time.Time, timeout time.Duration) {
	c.wake()
	nominal := timeout << c.retries
	c.deadline = now.Add(time.Duration(float64(nominal) * (0.5 + c.rng.Float64())))
}

// Expire handles the deadline: it repeats a message, goes a step back, or forgets a failure (RFC 5533 sections 7.8, 7.12
// and 7.19).
func (c *Context) Expire(now time.Time) []Action {
	if d := c.Deadline(); d.IsZero() || now.Before(d) {
		return nil
	}
	switch c.state {
	case StateI1Sent:
		if !c.again(now, I1Timeout, I1RetriesMax) {
			c.giveUp(now, StateEFailed, NoR1HolddownTime, "I1 not answered")
		}
	case StateI2Sent:
		if !c.again(now, I2Timeout, I2RetriesMax) {
			c.fallBack(now, "I2 not answered")
		}
	case StateI2bisSent:
		if !c.again(now, I2bisTimeout, I2bisRetriesMax) {
			c.fallBack(now, "I2bis not answered")
		}
	case StateEstablished:
		c.renotify(now)
	default:
		c.stop()
		c.setState(now, StateIdle, "hold-down over")
	}
	return c.take()
}

// again repeats the held message unless that was done often enough.
func (c *Context) again(now time.Time, timeout time.Duration, most int) bool {
	c.retries++
	if c.retries > most {
		return false
	}
	c.send(c.Exchange, c.held)
	c.arm(now, timeout)
	return true
}

// fallBack goes back to I1 with the same context tag and nonce, so that a late R2 still fits.
func (c *Context) fallBack(now time.Time, why string) {
	if c.fallbacks++; c.fallbacks > maxFallbacks {
		c.giveUp(now, StateEFailed, NoR1HolddownTime, why)
		return
	}
	c.sendI1(now, why)
}

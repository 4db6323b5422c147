// SPDX-License-Identifier: MIT

package shim6

import (
	"net/netip"
	"reflect"
	"slices"
	"time"

	"shim6/daemon/wire"
)

// A notice is an Update Request that waits to be acknowledged; there is one at a time (RFC 5533 section 10.3).
type notice struct {
	request *wire.UpdateRequest
	local   LocatorSet // what the peer knows with the acknowledgement
	// overtook tells that a copy of an earlier notice may be on its way still. The peer may get that one later and take it for
	// newer, so this one is sent once more a while after it was acknowledged: nothing in the messages says which is the later one.
	overtook bool
	lists    bool // it, or one that was abandoned for it, has a list
}

// Inform tells the peer what it does not know yet of our locators, after some time or at once (RFC 5533 section 10.1). A
// notice that is not acknowledged yet gives way, and what it told is told again: the peer may have taken it or not. A list
// that cannot be proved is not sent; but then prefer tells of each locator on the old one what became of it. ok tells whether
// there is something to be told.
func (c *Context) Inform(now time.Time, after time.Duration, own *Announcement, prefer func(netip.Addr) Preference) (acts []Action, ok bool) {
	if c.state != StateEstablished {
		return nil, false
	}
	w := c.waits()
	n := &notice{
		request: &wire.UpdateRequest{ReceiverTag: c.TagPeer}, local: c.Local.preferredBy(prefer),
		overtook: w.notice != nil || now.Sub(w.noticed) < UpdateTimeout,
	}
	o := &n.request.Options
	n.lists = w.notice != nil && w.notice.lists
	switch {
	case own.PDS != nil && (n.lists || !w.owing.IsZero() || !c.Local.SameAs(own.Set)):
		own.addTo(o)
		n.local, n.lists = own.Set, true
		if c.Local.listed() > 0 && !c.bare {
			o.PDS = nil // given before
		}
	case !w.owing.IsZero(), !n.local.samePreferences(c.Local), w.notice != nil && !n.local.samePreferences(w.notice.local):
		o.Preferences = n.local.everyPreference()
	}
	o.KeepaliveTimeout = c.timeoutNew
	if o.Locators == nil && o.Preferences == nil && o.KeepaliveTimeout == nil {
		if c.pending != nil {
			c.owing = time.Time{}
		}
		return c.take(), false
	}
	if w.notice != nil && w.notice.says(o) {
		return nil, false
	}
	n.request.ReqNonce = c.rng.Uint32()
	c.stop()
	c.wake()
	c.notice = n
	c.doubted = append(w.doubted, leftOut(c.Local, n.local, w.doubted)...)
	if after > 0 {
		c.retries = -1
		c.deadline = now.Add(after)
		return nil, true
	}
	c.notify(now)
	return c.take(), true
}

// leftOut gives the locators that the peer will not know any more, but for those in known.
func leftOut(old, now LocatorSet, known []netip.Addr) (as []netip.Addr) {
	for _, l := range old.Locators {
		if !now.Has(l.Addr) && !slices.Contains(known, l.Addr) {
			as = append(as, l.Addr)
		}
	}
	return as
}

// says tells whether the notice has these options already.
func (n *notice) says(o *wire.Options) bool {
	p := &n.request.Options
	sameList := p.Locators == nil && o.Locators == nil || p.Locators != nil && o.Locators != nil &&
		p.Locators.Generation == o.Locators.Generation && slices.Equal(p.Locators.Locators, o.Locators.Locators)
	return sameList && reflect.DeepEqual(p.Preferences, o.Preferences) && reflect.DeepEqual(p.KeepaliveTimeout, o.KeepaliveTimeout)
}

// notify sends the notice, and sets the timer for the next time (RFC 5533 section 10.2).
func (c *Context) notify(now time.Time) {
	c.notice.request.ReceiverTag = c.TagPeer
	c.noticed = now
	c.do(Notify{c.notice.request, c.retries})
	c.arm(now, min(UpdateTimeout<<c.retries, MaxUpdateTimeout)>>c.retries)
}

// renotify sends the notice again unless that was done often enough.
func (c *Context) renotify(now time.Time) {
	if c.notice == nil {
		c.deadline = time.Time{}
		return
	}
	if c.retries++; c.retries > updateRetriesMax {
		doubted := c.doubted
		c.stop()
		c.owing, c.doubted = now, doubted
		return
	}
	c.notify(now)
}

// Remind sends the notice once more out of turn: there is a new way to the peer.
func (c *Context) Remind(now time.Time) []Action {
	if w := c.waits(); w.notice != nil && w.retries >= 0 { // one that is for later stays so
		c.noticed = now
		c.do(Notify{c.notice.request, c.retries})
	}
	return c.take()
}

// Owes tells whether a notice was given up, long enough ago to be tried anew now that the peer is heard.
func (c *Context) Owes(now time.Time) bool {
	owing := c.waits().owing
	return !owing.IsZero() && now.Sub(owing) >= MaxUpdateTimeout
}

// Untold tells whether the peer may know otherwise of us than it should.
func (c *Context) Untold() bool {
	w := c.waits()
	return w.notice != nil || !w.owing.IsZero()
}

// SetSendTimeout changes what the peer is told of our Send Timeout, in exchanges to come and by Inform (RFC 5534 section 5.3).
func (c *Context) SetSendTimeout(d time.Duration) {
	c.sendTimeout, c.timeoutNew = announcedTimeout(d), new(seconds(d))
}

// TimeoutTold tells whether the peer knows our Send Timeout.
func (c *Context) TimeoutTold() bool { return c.timeoutNew == nil }

// Refused notes that the peer does not have the list which the notice speaks of. It tells whether there is such a notice, and
// so a list to be sent.
func (c *Context) Refused(now time.Time, nonce uint32) bool {
	if n := c.waits().notice; c.state != StateEstablished || n == nil || n.request.ReqNonce != nonce || n.lists {
		return false
	}
	c.owing = now
	return true
}

// Acknowledge takes an Update Acknowledgement; ok tells whether it is that of the notice (RFC 5533 section 10.5).
func (c *Context) Acknowledge(now time.Time, nonce uint32) (acts []Action, ok bool) {
	if n := c.waits().notice; c.state != StateEstablished || n == nil || n.request.ReqNonce != nonce {
		return nil, false
	}
	n := *c.notice
	c.Local = n.local
	c.bare = c.bare && n.request.PDS == nil
	if n.request.KeepaliveTimeout == c.timeoutNew {
		c.timeoutNew = nil
	}
	c.stop()
	if n.overtook {
		again := *n.request
		again.ReqNonce = c.rng.Uint32()
		c.notice = &notice{request: &again, local: n.local}
		c.retries, c.deadline = -1, now.Add(UpdateTimeout+time.Duration(c.rng.Int64N(int64(UpdateTimeout/2))))
	}
	c.do(Informed{})
	return c.take(), true
}

// HasLocal tells whether an address is a locator of ours that the peer may know: it may have taken a notice whose
// acknowledgement is not here yet.
func (c *Context) HasLocal(a netip.Addr) bool {
	n := c.waits().notice
	return c.Local.Has(a) || n != nil && n.local.Has(a)
}

// Sources gives the locators that the peer knows for sure, so that it takes what comes from them.
func (c *Context) Sources() []netip.Addr {
	doubted := c.waits().doubted
	return slices.DeleteFunc(c.Local.Addrs(), func(a netip.Addr) bool { return slices.Contains(doubted, a) })
}

// Doubted gives the others that it knew: an earlier notice, which it may have taken, left them out.
func (c *Context) Doubted() []netip.Addr {
	return slices.DeleteFunc(slices.Clone(c.waits().doubted), func(a netip.Addr) bool { return !c.Local.Has(a) })
}

// LocalAddrs gives the locators that HasLocal is true for.
func (c *Context) LocalAddrs() []netip.Addr {
	as := c.Local.Addrs()
	if n := c.waits().notice; n != nil {
		for _, l := range n.local.Locators {
			if !c.Local.Has(l.Addr) {
				as = append(as, l.Addr)
			}
		}
	}
	return as
}

// tell notes that a message of an exchange announces our locators. Where another message told something else before, the peer
// may take either, or take the one and then the other; so it is told again once the context is established.
func (c *Context) tell(own *Announcement) {
	c.bare = c.bare || own.PDS == nil
	notice := c.waits().notice
	switch {
	case c.state != StateEstablished:
		c.wake()
		if c.told && !c.Local.tells(own.Set) {
			c.owing = c.Since
		}
		c.Local, c.told = own.Set, true
	case (notice == nil || !notice.lists) && !c.Local.tells(own.Set):
		c.wake()
		c.owing = c.Since
		if c.Local.listed() == 0 {
			c.Local = own.Set // its first list
		}
	}
}

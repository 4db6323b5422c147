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
}

// Inform tells the peer what it does not know yet of our locators, after some time or at once (RFC 5533 section 10.1). A
// notice that is not acknowledged yet gives way, and what it told is told again: the peer may have taken it or not. A list
// that cannot be proved is not sent; but then prefer tells of each locator on the old one what became of it. ok tells whether
// there is something to be told.
func (c *Context) Inform(now time.Time, after time.Duration, own *Announcement, prefer func(netip.Addr) Preference) (acts []Action, ok bool) {
	if c.state != StateEstablished {
		return nil, false
	}
	n := &notice{&wire.UpdateRequest{ReceiverTag: c.TagPeer}, c.Local.preferredBy(prefer)}
	o := &n.request.Options
	listOnWay := c.notice != nil && c.notice.request.Locators != nil
	switch {
	case own.PDS != nil && (listOnWay || !c.owing.IsZero() || !c.Local.SameAs(own.Set)):
		own.addTo(o)
		n.local = own.Set
		if c.Local.listed() > 0 {
			o.PDS = nil // given before
		}
	case !n.local.samePreferences(c.Local), c.notice != nil && !n.local.samePreferences(c.notice.local):
		o.Preferences = n.local.everyPreference()
	}
	if o.Locators == nil && o.Preferences == nil || c.notice != nil && c.notice.says(o) {
		return nil, false
	}
	n.request.ReqNonce = c.rng.Uint32()
	c.stop()
	c.notice = n
	if after > 0 {
		c.retries = -1
		c.deadline = now.Add(after)
		return nil, true
	}
	c.notify(now)
	return c.take(), true
}

// says tells whether the notice has these options already.
func (n *notice) says(o *wire.Options) bool {
	p := &n.request.Options
	sameList := p.Locators == nil && o.Locators == nil || p.Locators != nil && o.Locators != nil &&
		p.Locators.Generation == o.Locators.Generation && slices.Equal(p.Locators.Locators, o.Locators.Locators)
	return sameList && reflect.DeepEqual(p.Preferences, o.Preferences)
}

// notify sends the notice, and sets the timer for the next time (RFC 5533 section 10.2).
func (c *Context) notify(now time.Time) {
	c.notice.request.ReceiverTag = c.TagPeer
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
		c.stop()
		c.owing = now
		return
	}
	c.notify(now)
}

// Remind sends the notice once more out of turn: there is a new way to the peer.
func (c *Context) Remind() []Action {
	if c.notice != nil {
		c.do(Notify{c.notice.request, max(c.retries, 0)})
	}
	return c.take()
}

// Owes tells whether a notice was given up, long enough ago to be tried anew now that the peer is heard.
func (c *Context) Owes(now time.Time) bool {
	return !c.owing.IsZero() && now.Sub(c.owing) >= MaxUpdateTimeout
}

// Untold tells whether the peer may know other locators of ours than Local.
func (c *Context) Untold() bool { return c.notice != nil || !c.owing.IsZero() }

// Acknowledge takes an Update Acknowledgement; ok tells whether it is that of the notice (RFC 5533 section 10.5).
func (c *Context) Acknowledge(nonce uint32) (acts []Action, ok bool) {
	if c.state != StateEstablished || c.notice == nil || c.notice.request.ReqNonce != nonce {
		return nil, false
	}
	c.Local = c.notice.local
	c.stop()
	c.do(Informed{})
	return c.take(), true
}

// HasLocal tells whether an address is a locator of ours that the peer may know: it may have taken a notice whose
// acknowledgement is not here yet.
func (c *Context) HasLocal(a netip.Addr) bool {
	return c.Local.Has(a) || c.notice != nil && c.notice.local.Has(a)
}

// LocalAddrs gives the locators that HasLocal is true for.
func (c *Context) LocalAddrs() []netip.Addr {
	as := c.Local.Addrs()
	if c.notice != nil {
		for _, l := range c.notice.local.Locators {
			if !c.Local.Has(l.Addr) {
				as = append(as, l.Addr)
			}
		}
	}
	return as
}

// tell notes that a message of an exchange announces our locators. A notice that is on its way goes on: whether the peer
// takes that message is not known.
func (c *Context) tell(own *Announcement) {
	if c.state != StateEstablished || c.notice == nil {
		c.Local = own.Set
	}
}

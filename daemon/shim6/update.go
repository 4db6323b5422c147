// SPDX-License-Identifier: MIT

package shim6

import "shim6/daemon/wire"

// A Refusal says why an Update Request cannot be taken, and what Error message says so: Pointer counts from the Shim6 header
// (RFC 5533 section 10.4).
type Refusal struct {
	Fault   Fault
	Reply   bool
	Code    wire.ErrorCode
	Pointer int
}

// UpdateOffer gives what an Update Request offers: parameters that were given before need not be repeated (RFC 5533 section
// 10.1).
func (c *Context) UpdateOffer(m *wire.UpdateRequest) Offer {
	o := NewOffer(&m.Options)
	if o.List != nil && o.PDS == nil {
		o.PDS = c.PDSPeer
	}
	return o
}

// CheckUpdate looks for what makes an Update Request useless before any cryptography. List and preferences are taken both or
// not at all: RFC 5533 section 10.4 leaves open what becomes of the list when the preferences are refused.
func (c *Context) CheckUpdate(m *wire.UpdateRequest, o Offer) (r Refusal, ok bool) {
	if f, i := o.Check(c.ULIDs.Peer); f != FaultNone {
		r = Refusal{Fault: f}
		if i >= 0 {
			r = Refusal{f, true, wire.CodeVerificationFailed, o.List.MethodOffset(i)}
		}
		return r, false
	}
	p := m.Preferences
	if p == nil {
		return r, true
	}
	generation, listed := c.Peer.Generation, c.Peer.listed()
	if o.List != nil {
		generation, listed = o.List.Generation, len(o.List.Locators)
	}
	switch {
	case p.Generation != generation || listed == 0:
		return Refusal{FaultGeneration, true, wire.CodeGenerationMismatch, p.GenerationOffset()}, false
	case len(p.Elements) != listed:
		return Refusal{FaultPreferenceCount, true, wire.CodePreferencesCount, p.LengthOffset()}, false
	}
	return r, true
}

// Known tells whether an offer's list is the one in force, so that it needs no new check.
func (c *Context) Known(o Offer) bool { return o.List != nil && o.Digest() == c.digest }

// Update takes over what an Update Request says and acknowledges it on the pair it came on (RFC 5533 section 10.4).
func (c *Context) Update(pair LocatorPair, m *wire.UpdateRequest, o Offer) []Action {
	if o.List != nil && !c.Known(o) {
		old := c.Peer
		c.Peer = o.set(c.ULIDs.Peer)
		for _, l := range old.Locators {
			if l.Probed {
				c.Peer.MarkProbed(l.Addr)
			}
		}
		c.digest, c.PDSPeer = o.Digest(), o.PDS
	}
	switch {
	case m.Preferences != nil:
		c.Peer.prefer(m.Preferences.Elements)
	case o.List != nil: // "replaces": what was preferred on an earlier list, or on the same, is no more
		c.Peer.prefer(make([]wire.Preference, len(o.List.Locators)))
	}
	if o.Timeout != 0 {
		c.KeepaliveTimeout = o.Timeout
	}
	c.do(Relocated{})
	c.send(pair, &wire.UpdateAck{ReceiverTag: c.TagPeer, ReqNonce: m.ReqNonce})
	return c.take()
}

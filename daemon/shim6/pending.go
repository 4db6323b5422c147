// SPDX-License-Identifier: MIT

package shim6

import (
	"net/netip"
	"time"

	"shim6/daemon/wire"
)

// A pending is what a context keeps while it waits for its peer, or owes it something. Contexts are many and most of them
// rest, so it is made when it is needed, and given up when there is nothing in it.
type pending struct {
	deadline  time.Time
	held      wire.Message // sent, and to be sent again until it is answered
	retries   int
	fallbacks int       // of the exchange that held belongs to
	told      bool      // a message of it told the peer Local, who may go by that
	nudged    time.Time // when held was last sent
	answered  time.Time // when an I1 last got an R2 while held waits for its answer
	notice    *notice
	noticed   time.Time    // when a notice was last sent
	doubted   []netip.Addr // of Local, that a list which is not acknowledged left out
	owing     time.Time    // when a notice was given up, zero for never or made good
}

func (p *pending) blank() bool {
	return p.deadline.IsZero() && p.held == nil && p.notice == nil && p.noticed.IsZero() && len(p.doubted) == 0 && p.owing.IsZero()
}

// wake makes pending ready to be written. What is read only is read through waits.
func (c *Context) wake() {
	if c.pending == nil {
		c.pending = new(pending)
	}
}

// take gives what is to be done. Every method that changes the context ends with it.
func (c *Context) take() []Action {
	out := c.out
	c.out = nil
	if c.pending != nil && c.pending.blank() {
		c.pending = nil
	}
	return out
}

// waits gives pending for reading.
func (c *Context) waits() pending {
	if c.pending == nil {
		return pending{}
	}
	return *c.pending
}

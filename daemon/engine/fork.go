// SPDX-License-Identifier: MIT

package engine

import (
	"fmt"
	"time"
)

// onFork starts the exchange for another context of the same ULIDs (RFC 5533 section 7.7): an I1 with the Forked Instance
// Identifier, and with the ULID Pair option where the locators are not the ULIDs.
func (e *Engine) onFork(now time.Time, parent *context, ev Fork) {
	pair := ev.Pair
	if pair == (LocatorPair{}) {
		pair = LocatorPair(parent.reap.Current())
	}
	timeout := ev.SendTimeout
	if timeout == 0 {
		timeout = parent.sendTimeout
	}
	switch {
	case !parent.Local.Has(pair.Local) || !e.own.Works(pair.Local) || !parent.Peer.HasVerified(pair.Peer):
		e.refuse(ReasonBadFork, fmt.Sprintf("on %v and %v", pair.Local, pair.Peer))
		return
	case timeout < MinSendTimeout || timeout > MaxSendTimeout:
		e.refuse(ReasonBadTimeout, fmt.Sprintf("fork with %v", timeout))
		return
	case !e.own.Has(parent.ULIDs.Local):
		e.refuse(ReasonNotLocal, fmt.Sprintf("fork for %v", parent.ULIDs.Local))
		return
	case !e.hasRoom():
		e.refuse(ReasonContextsFull, "fork")
		return
	}
	c := e.newContext(now, contextKey{ulids: parent.ULIDs, fii: e.newFII(parent.ULIDs)}, timeout)
	c.home = &pair
	e.apply(now, c, c.Initiate(now, pair, e.newTag(), e.newNonce()))
}

// newFII picks an identifier that no context of the ULIDs has. It is random: the peer may fork at the same time, for something
// else (RFC 5533 section 7.7 has both pick any).
func (e *Engine) newFII(ulids ULIDPair) uint32 {
	for {
		if fii := e.rng.Uint32(); fii != 0 && e.table.find(contextKey{ulids, fii}) == nil {
			return fii
		}
	}
}

// SPDX-License-Identifier: MIT

package run

import (
	"time"

	"shim6/daemon/engine"
	"shim6/daemon/wire"
	"shim6/internal/rtnl"
)

// A quietContext had no payload for its teardown time. It goes unless a socket is connected between its ULIDs.
type quietContext struct {
	tag   wire.ContextTag
	ulids engine.ULIDPair
	idle  time.Duration
}

// whoHolds looks which sockets are connected, where contexts are quiet. On a crowded host that takes a while, so it is not done
// in the loop; what is quiet while it is under way is looked for the next time.
func (l *Loop) whoHolds(quiet []quietContext) {
	if len(quiet) == 0 || l.looking {
		return
	}
	l.looking = true
	l.lookers.Go(func() {
		open, err := l.ports.Connections()
		select {
		case l.requests <- func() { l.onConnections(quiet, open, err) }:
		case <-l.stopped:
		}
	})
}

// onConnections tells the engine what is quiet, and what of it is held. Where that is not known, it is not.
func (l *Loop) onConnections(quiet []quietContext, open map[rtnl.AddressPair]bool, err error) {
	l.looking = false
	if err != nil {
		l.log.Error("connections not read: quiet contexts go, connected or not", "error", err)
	}
	for _, q := range quiet {
		if l.held[q.tag] != nil {
			l.handle(engine.ContextIdle{Tag: q.tag, Idle: q.idle, Held: open[rtnl.AddressPair(q.ulids)]})
		}
	}
}

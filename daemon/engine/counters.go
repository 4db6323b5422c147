// SPDX-License-Identifier: MIT

package engine

import (
	"maps"

	"shim6/daemon/wire"
)

// Counters count since New. A missing key is zero.
type Counters struct {
	Received map[wire.MessageType]uint64 // well-formed control messages
	Sent     map[wire.MessageType]uint64
	Dropped  map[Reason]uint64
}

func newCounters() Counters {
	return Counters{
		Received: map[wire.MessageType]uint64{}, Sent: map[wire.MessageType]uint64{}, Dropped: map[Reason]uint64{},
	}
}

// Counters gives a copy of the counters.
func (e *Engine) Counters() Counters {
	return Counters{
		Received: maps.Clone(e.counters.Received), Sent: maps.Clone(e.counters.Sent), Dropped: maps.Clone(e.counters.Dropped),
	}
}

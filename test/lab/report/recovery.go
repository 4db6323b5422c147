// SPDX-License-Identifier: MIT

package report

import "time"

// A RecoveryPart is some failures of the same kind under one stream.
type RecoveryPart struct {
	Flow    string // tcp, udp, mptcp or sctp
	Failure string // silent, interface, out (what the sender sends is lost) or back (what it gets)
	TSend   time.Duration
	Kick    bool // TCP is told of a new path
	Tuned   bool // mptcp and sctp only
	Runs    int
}

// A Recovery is what happened at one failure.
type Recovery struct {
	RecoveryPart
	Run    int
	Cut    time.Time
	Before time.Time // last arrival before the silence
	After  time.Time // first after it
	Probes int       // sent in state Exploring by the host that sent more
}

// Files of the measurement of recoveries.
const (
	PlanName     = "plan"
	RecoveryName = "recoveries.json"
)

// SPDX-License-Identifier: MIT

package reap

import (
	"fmt"

	"shim6/daemon/wire"
)

// An Action is something that a Machine wants done.
type Action interface{ action() }

// SendProbe sends a Probe on a pair; its ReceiverTag is for the caller to fill in.
type SendProbe struct {
	Pair  Pair
	Probe *wire.Probe
}

// SendKeepalive sends a Keepalive on a pair.
type SendKeepalive struct {
	Pair Pair
}

// SetTimers sets the kernel's REAP state of the context and acts on its timers.
type SetTimers struct {
	Epoch           uint32
	State           State
	Send, Keepalive TimerOp
}

// StateChanged tells that the state changed.
type StateChanged struct {
	From, To State
	Why      string
}

// PathChanged tells that the current locator pair changed.
type PathChanged struct {
	From, To Pair
}

// PathsChanged tells that a path beside the current one came or went.
type PathsChanged struct{}

// MoveFailed tells that payload does not go to a pair as it was asked to.
type MoveFailed struct {
	To  Pair
	Why string
}

// Answered tells that the peer got a probe of ours on a pair, so that Pair.Peer is there.
type Answered struct {
	Pair Pair
}

// Refused tells that input was ignored. Detail is for people.
type Refused struct {
	Why    Refusal
	Detail string
}

func (SendProbe) action()     {}
func (SendKeepalive) action() {}
func (SetTimers) action()     {}
func (StateChanged) action()  {}
func (PathChanged) action()   {}
func (PathsChanged) action()  {}
func (MoveFailed) action()    {}
func (Answered) action()      {}
func (Refused) action()       {}

// A TimerOp says what happens to a kernel timer; its value is that of the kernel interface.
type TimerOp uint8

// The timer operations.
const (
	TimerKeep    TimerOp = 0
	TimerStop    TimerOp = 1
	TimerStart   TimerOp = 2 // unless running
	TimerRestart TimerOp = 3
)

// String gives "keep", "stop", "start" or "restart".
func (o TimerOp) String() string {
	switch o {
	case TimerKeep:
		return "keep"
	case TimerStop:
		return "stop"
	case TimerStart:
		return "start"
	case TimerRestart:
		return "restart"
	}
	return fmt.Sprintf("op %d", uint8(o))
}

// A Refusal says why input was ignored.
type Refusal uint8

// The refusals.
const (
	StaleEvent    Refusal = iota // a kernel event of an earlier epoch
	BadReport                    // a probe whose first sent report is not about itself
	TooManyProbes                // more probes to answer than a peer can need
)

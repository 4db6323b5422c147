// SPDX-License-Identifier: MIT

package shim6

import "shim6/daemon/wire"

// An Action is something that a Context wants done.
type Action interface{ action() }

// Send sends a message on a pair.
type Send struct {
	Pair    LocatorPair
	Message wire.Message
}

// Changed tells that the state changed.
type Changed struct {
	From, To State
	Why      string
}

// Updated tells that a context which stays in its state has new data of the peer: context tag, locators, timeout.
type Updated struct{}

func (Send) action()    {}
func (Changed) action() {}
func (Updated) action() {}

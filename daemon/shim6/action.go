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

// Updated tells that a context which stays in its state takes part in an exchange of the peer: the peer's context tag,
// locators and timeout may be new, and so may be what is announced of our locators.
type Updated struct{}

// Relocated tells that an Update Request changed what is known about the peer's locators.
type Relocated struct{}

// Notify sends an Update Request where it has the best chance to arrive; Retries counts how often that was tried before.
type Notify struct {
	Request *wire.UpdateRequest
	Retries int
}

// Informed tells that the peer knows of our locators what the last Update Request said.
type Informed struct{}

func (Send) action()      {}
func (Changed) action()   {}
func (Updated) action()   {}
func (Relocated) action() {}
func (Notify) action()    {}
func (Informed) action()  {}

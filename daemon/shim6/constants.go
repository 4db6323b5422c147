// SPDX-License-Identifier: MIT

package shim6

import "time"

// Specification constants (RFC 5533 section 14).
const (
	I1RetriesMax         = 4
	I1Timeout            = 4 * time.Second
	NoR1HolddownTime     = time.Minute
	ICMPHolddownTime     = 10 * time.Minute
	I2RetriesMax         = 2
	I2Timeout            = 4 * time.Second
	I2bisRetriesMax      = 2
	I2bisTimeout         = 4 * time.Second
	ValidatorMinLifetime = 30 * time.Second
	UpdateTimeout        = 4 * time.Second
	MaxUpdateTimeout     = 120 * time.Second
)

// Implementation constants.
const (
	// MaxLocators bounds a locator set, ours and a peer's; the kernel interface has the same bound.
	MaxLocators = 32
	// maxFallbacks bounds how often an exchange goes back from I2 to I1: a peer that answers I1 but never I2 is given up.
	maxFallbacks = 2
	// nudgeInterval is the least time between an I2 or I2bis and one sent because the peer shows that it is established, and
	// between two R2 that answer I1s while the context is not.
	nudgeInterval = time.Second
	// validatorStep is the time a Responder Nonce is issued. A validator lives from two steps to three.
	validatorStep = ValidatorMinLifetime / 2
	// validatorWindow counts the nonces that are accepted: the one being issued and those before.
	validatorWindow = 3
	// updateRetriesMax bounds what RFC 5533 section 10.2 repeats for ever: ten minutes, as long as an idle context lives.
	updateRetriesMax = 9
	// roomForOthers is what a message with a locator list needs beside list, parameters and signature: the header of an
	// I2bis, a validator of 64 octets, and the options ULID Pair, Forked Instance Identifier and Keepalive Timeout.
	roomForOthers = 32 + 72 + 40 + 8 + 8
)

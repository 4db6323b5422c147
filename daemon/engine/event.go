// SPDX-License-Identifier: MIT

package engine

import (
	"net/netip"
	"time"

	"shim6/daemon/wire"
)

// An Event is something that happened outside the engine.
type Event interface{ event() }

// PacketIn is a Shim6 control message that arrived. Payload starts at the Shim6 header; the checksum is not checked yet.
// HopLimit is that of the IPv6 header, for the packet quoted in an Error message.
type PacketIn struct {
	Src, Dst netip.Addr
	HopLimit uint8
	Payload  []byte
}

// Trigger asks for a context for a ULID pair: a heuristic of the kernel module or an operator wants one.
type Trigger struct {
	ULIDs ULIDPair
}

// SendTimeoutExpired says that the kernel's Send Timer ran out and that the kernel's REAP state is Exploring now.
// An Epoch other than the one last sent in SetReap marks a stale event.
type SendTimeoutExpired struct {
	Tag   wire.ContextTag
	Epoch uint32
}

// KeepaliveDue says that a Keepalive is to be sent (RFC 5534 section 6.1); Last marks the one at the timer's expiry.
type KeepaliveDue struct {
	Tag   wire.ContextTag
	Epoch uint32
	Last  bool
}

// PayloadSeen says that payload arrived in Exploring and that the kernel's REAP state is InboundOk now.
type PayloadSeen struct {
	Tag   wire.ContextTag
	Epoch uint32
}

// UnknownTag says that payload arrived with a context tag that the kernel does not know.
type UnknownTag struct {
	Src, Dst netip.Addr
	Tag      wire.ContextTag
}

// ContextGone says that the kernel lost a context: somebody deleted its xfrm states.
type ContextGone struct {
	Tag wire.ContextTag
}

// LocalLocators replaces the whole set of local locators. Only addresses that may be a source now are listed: global or
// unique local scope, not tentative, not expired (RFC 5534 section 3.1).
type LocalLocators struct {
	Locators []LocalLocator
}

// ULIDEnds says how long an address stays valid that is no local locator now. Contexts with that ULID live until then, unless
// it comes back: it may be another host's afterwards (RFC 5533 section 1.5).
type ULIDEnds struct {
	ULID netip.Addr
	At   time.Time
}

// A LocalLocator is a local address and, when it is a CGA or HBA of ours, what proves it.
type LocalLocator struct {
	Addr netip.Addr
	// PDS is the CGA Parameter Data Structure whose prefix and collision count are those of Addr; nil for a plain address.
	PDS []byte
	// KeyID names the private key that can sign for PDS; empty when there is none.
	KeyID string
	// Preference is what peers are told. A broken locator is no source.
	Preference
	// Cost orders what is sent among locators of the same priority, the lowest first. Peers are not told.
	Cost uint8
}

// SignDone answers a Sign action. Err is nil or says why there is no signature.
type SignDone struct {
	ID        uint64
	Signature []byte
	Err       error
}

// VerifyDone answers a Verify action. Err is nil when every check passed; BadLocator is the index in the locator list
// of the first locator that failed, -1 when the failure is not that of one locator.
type VerifyDone struct {
	ID         uint64
	BadLocator int
	Err        error
}

// DeleteContext is an operator's wish to drop a context.
type DeleteContext struct {
	Tag wire.ContextTag
}

// SetTimeouts is an operator's wish to change timeouts of one context, within the bounds of Config; what is zero stays. The
// peer is told of a Send Timeout. A shorter one is in force when the peer knows, so that its Keepalives come in time.
type SetTimeouts struct {
	Tag         wire.ContextTag
	SendTimeout time.Duration
	Teardown    time.Duration
}

// ProbeContext is an operator's wish to explore now.
type ProbeContext struct {
	Tag wire.ContextTag
}

// PreferPairs is the wish of an operator, or of a program that knows the network, that the pairs of a context be used in this
// order, before all preferences; those that are not named come last, and no pairs end it.
type PreferPairs struct {
	Tag   wire.ContextTag
	Pairs []LocatorPair
}

// SwitchPath is an operator's wish that payload go to a pair now, and by preference from now on. A SwitchFailed or a PathChanged
// answers, unless the pair is the current one.
type SwitchPath struct {
	Tag  wire.ContextTag
	Pair LocatorPair
}

// Configure is another configuration; its seed is ignored.
type Configure struct {
	Config Config
}

// A Hint is a sign, not a proof, that what is sent on a pair of locators is lost; a Peer that is not valid stands for any
// (RFC 5534 sections 3.2 and 3.3). Contexts that use the pair probe it without waiting for their Send Timer.
type Hint struct {
	Pair LocatorPair
	Why  string
}

// ContextHint is the same about the pair that the payload of one context goes on.
type ContextHint struct {
	Tag wire.ContextTag
	Why string
}

// ContextIdle reports the time since the last payload of a context, for the teardown rule (RFC 5533 section 9). Held says that a
// socket is connected between its ULIDs, which may send again whenever it likes.
type ContextIdle struct {
	Tag  wire.ContextTag
	Idle time.Duration
	Held bool
}

// AdoptContext hands an established context found in the kernel at start back to the engine.
type AdoptContext struct {
	Snapshot Snapshot
}

// Fork asks for another context between the ULIDs of an established one, on a locator pair of the caller's choice and with a
// Send Timeout of its own (RFC 5533 section 7.7). It gets a random Forked Instance Identifier. What is zero is that of the
// context that is forked. The kernel module takes in payload of forked contexts, but cannot be told to send any through one.
type Fork struct {
	Tag         wire.ContextTag
	Pair        LocatorPair
	SendTimeout time.Duration
}

// Tick says that the deadline returned by Deadline has come.
type Tick struct{}

func (PacketIn) event()           {}
func (Trigger) event()            {}
func (SendTimeoutExpired) event() {}
func (KeepaliveDue) event()       {}
func (PayloadSeen) event()        {}
func (UnknownTag) event()         {}
func (ContextGone) event()        {}
func (LocalLocators) event()      {}
func (ULIDEnds) event()           {}
func (SignDone) event()           {}
func (VerifyDone) event()         {}
func (DeleteContext) event()      {}
func (SetTimeouts) event()        {}
func (ProbeContext) event()       {}
func (PreferPairs) event()        {}
func (SwitchPath) event()         {}
func (Configure) event()          {}
func (Hint) event()               {}
func (ContextHint) event()        {}
func (ContextIdle) event()        {}
func (AdoptContext) event()       {}
func (Fork) event()               {}
func (Tick) event()               {}

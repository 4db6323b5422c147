// SPDX-License-Identifier: MIT

package engine

import (
	"net/netip"
	"time"

	"shim6/daemon/reap"
	"shim6/daemon/shim6"
	"shim6/daemon/wire"
)

// ULIDPair, LocatorPair and Preference are those of package shim6.
type (
	ULIDPair    = shim6.ULIDPair
	LocatorPair = shim6.LocatorPair
	Preference  = shim6.Preference
)

// An Action is something that the engine wants done. Actions are carried out in order.
type Action interface{ action() }

// SendPacket sends a Shim6 control message; Payload starts at the Shim6 header, its checksum is filled in.
type SendPacket struct {
	Src, Dst netip.Addr
	Payload  []byte
}

// ProgramContext makes the kernel hold this context: it is created, or, when the kernel has TagLocal, changed to this.
// The first path is the current locator pair.
type ProgramContext struct {
	ULIDs             ULIDPair
	FII               uint32
	TagLocal, TagPeer wire.ContextTag
	Paths             []LocatorPair
	LocatorsLocal     []netip.Addr
	SendTimeout       time.Duration
	KeepaliveTimeout  time.Duration
	KeepaliveInterval time.Duration
}

// RemoveContext makes the kernel forget a context.
type RemoveContext struct {
	Tag wire.ContextTag
}

// SetReap sets the kernel's REAP state of a context and acts on its timers, atomically.
type SetReap struct {
	Tag       wire.ContextTag
	Epoch     uint32
	State     reap.State
	Send      reap.TimerOp
	Keepalive reap.TimerOp
}

// Sign asks for the CGA signature over Data (RFC 5533 section 5.15.5) with a named key. A SignDone with the same ID answers.
type Sign struct {
	ID    uint64
	KeyID string
	Data  []byte
}

// Verify asks for the checks of a peer's locator list: that PDS is that of ULID, and each locator by its method
// (RFC 5533 section 7.2). A VerifyDone with the same ID answers.
type Verify struct {
	ID        uint64
	ULID      netip.Addr
	PDS       []byte
	List      *wire.LocatorList
	Signature []byte
}

// StateChanged tells that a context went from one state to another.
type StateChanged struct {
	ULIDs    ULIDPair
	TagLocal wire.ContextTag
	From, To shim6.State
	Why      string
}

// ReapChanged tells that the REAP state of a context changed.
type ReapChanged struct {
	ULIDs    ULIDPair
	TagLocal wire.ContextTag
	From, To reap.State
	Why      string
}

// ProbeSent and ProbeReceived tell about one Probe.
type ProbeSent struct {
	ULIDs    ULIDPair
	TagLocal wire.ContextTag
	Pair     LocatorPair
	State    reap.State
	Nonce    uint32
}

// ProbeReceived tells about one valid Probe; Pair is seen from here, Local being its destination.
type ProbeReceived struct {
	ULIDs    ULIDPair
	TagLocal wire.ContextTag
	Pair     LocatorPair
	State    reap.State
	Reports  int
}

// PathChanged tells that the current locator pair of a context changed.
type PathChanged struct {
	ULIDs    ULIDPair
	TagLocal wire.ContextTag
	From, To LocatorPair
}

// SwitchFailed tells that payload of a context stays where it is though it was asked to go to a pair.
type SwitchFailed struct {
	ULIDs    ULIDPair
	TagLocal wire.ContextTag
	To       LocatorPair
	Why      string
}

// MessageSent tells about one message of the exchanges of RFC 5533: all but Probes and Keepalives.
type MessageSent struct {
	ULIDs    ULIDPair
	TagLocal wire.ContextTag
	Pair     LocatorPair
	Type     wire.MessageType
}

// MessageReceived tells about one such message that a context took; Pair is seen from here.
type MessageReceived struct {
	ULIDs    ULIDPair
	TagLocal wire.ContextTag
	Pair     LocatorPair
	Type     wire.MessageType
}

// Dropped tells that input was refused. Detail is for people; Reason is also a counter.
type Dropped struct {
	Src, Dst netip.Addr
	Reason   Reason
	Detail   string
}

func (SendPacket) action()      {}
func (ProgramContext) action()  {}
func (RemoveContext) action()   {}
func (SetReap) action()         {}
func (Sign) action()            {}
func (Verify) action()          {}
func (StateChanged) action()    {}
func (ReapChanged) action()     {}
func (ProbeSent) action()       {}
func (ProbeReceived) action()   {}
func (PathChanged) action()     {}
func (SwitchFailed) action()    {}
func (MessageSent) action()     {}
func (MessageReceived) action() {}
func (Dropped) action()         {}

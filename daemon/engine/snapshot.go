// SPDX-License-Identifier: MIT

package engine

import (
	"net/netip"
	"time"

	"shim6/daemon/reap"
	"shim6/daemon/shim6"
	"shim6/daemon/wire"
)

// A Snapshot is a copy of one context, for display and for re-adoption after a restart. It shares no memory with the engine.
type Snapshot struct {
	ULIDs             ULIDPair
	FII               uint32
	State             shim6.State
	TagLocal, TagPeer wire.ContextTag
	Current           LocatorPair
	Paths             []LocatorPair      `json:"-"`          // that the kernel has, the current pair first
	Ranking           []LocatorPair      `json:",omitempty"` // what PreferPairs or SwitchPath asked for
	Measures          []reap.Measure     `json:"-"`
	ReportsSent       []reap.SentReport  `json:"-"` // Probes of the last exploration, newest first
	ReportsReceived   []wire.ProbeReport `json:"-"`
	Retry             time.Time          `json:"-"` // when a failure is forgotten, zero in other states
	LocatorsLocal     []LocatorInfo
	LocatorsPeer      []LocatorInfo
	GenerationLocal   uint32
	GenerationPeer    uint32
	Untold            bool   // the peer may know other local locators than these
	PDSPeer           []byte // the peer's CGA parameters, which its later messages need not repeat
	PDSLocal          []byte // what proves ULIDs.Local, which may be no local locator any more; nil for nothing
	KeyIDLocal        string
	Ends              time.Time // when ULIDs.Local, being no local locator, becomes invalid; zero for never
	Reap              reap.State
	SendTimeout       time.Duration
	Teardown          time.Duration
	KeepaliveTimeout  time.Duration
	KeepaliveInterval time.Duration
	ProbesSent        uint64
	ProbesReceived    uint64
	KeepalivesSent    uint64
	Since             time.Time // when State was entered
}

// A LocatorInfo describes one locator of a context.
type LocatorInfo struct {
	Addr     netip.Addr
	Method   wire.VerificationMethod
	Verified bool // HBA or CGA check passed (peer locators), or not needed
	Probed   bool // a probe was answered on it
	Preference
}

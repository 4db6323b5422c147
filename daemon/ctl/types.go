// SPDX-License-Identifier: MIT

// Package ctl is the control interface of shim6d: HTTP with JSON over a Unix socket, a server and a client. Any program whose
// user is root, or in the group of the socket, may watch and steer; shim6-api(7) describes the interface for other languages.
//
//	GET  /v1/status                  Status
//	GET  /v1/contexts                array of Context; the query may have the members of Filter
//	GET  /v1/contexts/{tag}          Context
//	GET  /v1/paths                   array of ContextPath; the query may have the members of Filter
//	GET  /v1/flows                   array of Flow
//	GET  /v1/locators                array of Locator
//	GET  /v1/devices                 array of Device
//	GET  /v1/stats                   Stats
//	GET  /v1/heuristics              array of Heuristic
//	GET  /v1/log                     array of Event, the oldest first; the query may have tag, peer and since
//	GET  /v1/events                  one Event per line, without end
//	GET  /v1/explain                 array of Explanation; the query has peer, and may have port
//	POST /v1/contexts/{tag}/delete   Done
//	POST /v1/contexts/{tag}/probe    Done
//	POST /v1/contexts/{tag}/set      Timeouts -> Done
//	POST /v1/contexts/{tag}/switch   Pair -> Done
//	POST /v1/contexts/{tag}/prefer   Ranking -> Done
//	POST /v1/contexts/{tag}/fork     Fork -> Forked
//	POST /v1/heuristics              HeuristicChange -> Done
//	POST /v1/flush                   Done
//	POST /v1/reload                  Reloaded
//
// A tag is the local context tag in 12 hexadecimal digits. What fails is answered with an HTTP status from 400 on and an
// Error. Times are RFC 3339 with nanoseconds; names that end in _ms are milliseconds. Within version 1 members are added, and
// none is removed or given another meaning: readers ignore what they do not know.
package ctl

import (
	"net/netip"
	"time"
)

// Version is that of the interface, the first element of every path.
const Version = 1

// A Status describes the daemon and the settings of the kernel module in its network namespace.
type Status struct {
	API           int       `json:"api"` // Version
	Version       string    `json:"version"`
	PID           int       `json:"pid"`
	Started       time.Time `json:"started"`
	Config        string    `json:"config"`  // the file that a reload reads
	Server        bool      `json:"server"`  // contexts are made when peers ask
	Metrics       string    `json:"metrics"` // where Prometheus can read, or empty
	Enabled       bool      `json:"enabled"`
	Heuristic     string    `json:"heuristic"`
	Heuristics    []string  `json:"heuristics"` // those that the kernel knows
	TCPKick       bool      `json:"tcp_kick"`
	GSO           string    `json:"gso"` // auto, segment or whole
	MarkMask      uint32    `json:"mark_mask"`
	SendTimeoutMS int64     `json:"send_timeout_ms"`
	TeardownMS    int64     `json:"teardown_ms"` // 0: idle contexts are kept
	Contexts      int       `json:"contexts"`
	Locators      int       `json:"locators"`
	Subscribers   int       `json:"subscribers"` // of the event stream
}

// A Pair is a local and a peer's locator.
type Pair struct {
	Local netip.Addr `json:"local"`
	Peer  netip.Addr `json:"peer"`
}

// String returns "LOCAL -> PEER".
func (p Pair) String() string { return p.Local.String() + " -> " + p.Peer.String() }

// A Context is a ULID-pair context.
type Context struct {
	Tag                 string           `json:"tag"`
	TagPeer             string           `json:"tag_peer,omitempty"`
	ULIDLocal           netip.Addr       `json:"ulid_local"`
	ULIDPeer            netip.Addr       `json:"ulid_peer"`
	FII                 uint32           `json:"fii"`
	State               string           `json:"state"` // as RFC 5533 section 6.2 spells it
	Since               time.Time        `json:"since"`
	Current             Pair             `json:"current"`
	LocatorsLocal       []ContextLocator `json:"locators_local"`
	LocatorsPeer        []ContextLocator `json:"locators_peer"`
	GenerationLocal     uint32           `json:"generation_local"`
	GenerationPeer      uint32           `json:"generation_peer"`
	Reap                string           `json:"reap"` // Operational, Exploring or InboundOk
	SendTimeoutMS       int64            `json:"send_timeout_ms"`
	TeardownMS          int64            `json:"teardown_ms"` // 0: kept while idle
	KeepaliveTimeoutMS  int64            `json:"keepalive_timeout_ms"`
	KeepaliveIntervalMS int64            `json:"keepalive_interval_ms"`
	ProbesSent          uint64           `json:"probes_sent"`
	ProbesReceived      uint64           `json:"probes_received"`
	KeepalivesSent      uint64           `json:"keepalives_sent"`
	Ranking             []Pair           `json:"ranking"` // what switch or prefer asked for last, the best first
	Paths               []Path           `json:"paths"`
	ReportsSent         []ProbeReport    `json:"reports_sent"` // of the last exploration, the newest first
	ReportsReceived     []ProbeReport    `json:"reports_received"`
	RetryAt             *time.Time       `json:"retry_at,omitempty"` // when a peer that did not answer may be asked again
	Kernel              *KernelContext   `json:"kernel,omitempty"`   // absent while the kernel does not hold the context
}

// A ProbeReport is about one Probe (RFC 5534 section 5.3). Pair is seen from here in either direction.
type ProbeReport struct {
	Pair  Pair   `json:"pair"`
	Nonce uint32 `json:"nonce"`
	Seen  bool   `json:"seen"` // the other side has it
}

// Timeouts are what a context can be set to; what is absent stays.
type Timeouts struct {
	SendTimeoutMS *int64 `json:"send_timeout_ms,omitempty"`
	TeardownMS    *int64 `json:"teardown_ms,omitempty"` // 0: never
}

// A Fork says how a forked context differs from the one that is forked; what is absent is the same (RFC 5533 section 7.7).
type Fork struct {
	Local         *netip.Addr `json:"local,omitempty"` // locators of its first path
	Peer          *netip.Addr `json:"peer,omitempty"`
	SendTimeoutMS *int64      `json:"send_timeout_ms,omitempty"`
}

// A Forked is the context that a Fork began. Its exchange with the peer goes on.
type Forked struct {
	Tag string `json:"tag"`
	FII uint32 `json:"fii"`
}

// A ContextLocator is one locator of a context.
type ContextLocator struct {
	Addr     netip.Addr `json:"addr"`
	Method   string     `json:"method,omitempty"` // HBA or CGA
	Verified bool       `json:"verified"`
	Probed   bool       `json:"probed"`
	Broken   bool       `json:"broken"`
	Priority uint8      `json:"priority"` // the lowest is tried first
	Weight   uint8      `json:"weight"`
}

// A KernelContext is what the kernel module knows of a context. Packets and octets are payload with ULIDs.
type KernelContext struct {
	Paths     []Pair `json:"paths"` // the first is the current one
	Reap      string `json:"reap"`
	TxPackets uint64 `json:"tx_packets"`
	TxBytes   uint64 `json:"tx_bytes"`
	RxPackets uint64 `json:"rx_packets"`
	RxBytes   uint64 `json:"rx_bytes"`
	IdleMS    int64  `json:"idle_ms"` // since the last payload packet either way
}

// A Locator is a local address that contexts may use.
type Locator struct {
	Addr       netip.Addr `json:"addr"`
	Link       string     `json:"link"`
	Carrier    bool       `json:"carrier"`
	Broken     bool       `json:"broken"` // no source now: without a carrier or a route, or just back after it failed often
	Deprecated bool       `json:"deprecated"`
	Temporary  bool       `json:"temporary"`
	Priority   uint8      `json:"priority"`
	Weight     uint8      `json:"weight"`
	Cost       uint8      `json:"cost"`
	Proof      string     `json:"proof,omitempty"`  // HBA or CGA; empty for an address that can be no ULID and is not announced
	KeyID      string     `json:"key_id,omitempty"` // the private key that can sign for it
	Sec        uint8      `json:"sec"`              // of the address, with a proof (RFC 3972 section 2)
	Params     []byte     `json:"params,omitempty"` // the CGA Parameter Data Structure
}

// A Device is a network device, and who cuts up what is too large for a path once it has a Payload Extension Header.
type Device struct {
	Name  string `json:"name"`
	Index int    `json:"index"`
	GSO   string `json:"gso"` // segment or whole
	Why   string `json:"why"` // the configuration's gso or gso_devices; software or hardware: what auto found to segment
}

// Stats are counters that only grow, by name.
type Stats struct {
	Kernel map[string]uint64 `json:"kernel"` // of the network namespace
	Engine map[string]uint64 `json:"engine"` // of the protocol: what was refused, by reason
	Daemon map[string]uint64 `json:"daemon"` // of the process
}

// A Heuristic decides which flows get a context.
type Heuristic struct {
	Name     string           `json:"name"`
	Used     bool             `json:"used"`     // in this network namespace; what follows is zero otherwise
	Refusals uint64           `json:"refusals"` // packets whose flow it did not want followed
	Triggers uint64           `json:"triggers"` // how often it was the first to want a context
	Vetoes   uint64           `json:"vetoes"`   // how often it was the first to forbid one
	Params   []HeuristicParam `json:"params"`
}

// A HeuristicParam is a number that a heuristic can be told.
type HeuristicParam struct {
	Name    string `json:"name"`
	Value   uint64 `json:"value"`
	Initial uint64 `json:"initial"`
	Min     uint64 `json:"min"`
	Max     uint64 `json:"max"`
}

// A HeuristicChange says what to change: first the heuristics in use, then their parameters.
type HeuristicChange struct {
	Use    string            `json:"use,omitempty"`    // names joined by plus signs; empty: as they are
	Params map[string]uint64 `json:"params,omitempty"` // values by HEURISTIC.PARAMETER
}

// An Event is one line of the event stream. Which members are there depends on Event, the message that is logged too:
//
//	state changed        ulid_local ulid_peer tag from to why
//	reap state changed   ulid_local ulid_peer tag from to why
//	probe sent           ulid_local ulid_peer tag pair state nonce
//	probe received       ulid_local ulid_peer tag pair state reports
//	path changed         ulid_local ulid_peer tag from to
//	switch failed        ulid_local ulid_peer tag pair why
//	message sent         ulid_local ulid_peer tag pair type
//	message received     ulid_local ulid_peer tag pair type
//	reloaded             detail
//	dropped              src dst reason detail
//	send timeout         ulid_local ulid_peer tag boottime_ns
//	tcp kick             ulid_local ulid_peer sockets boottime_ns
//	locators changed     count
//	overflow             why: the reader was too slow and the stream ends here
type Event struct {
	Time       time.Time  `json:"time"`
	Event      string     `json:"event"`
	ULIDLocal  netip.Addr `json:"ulid_local,omitzero"`
	ULIDPeer   netip.Addr `json:"ulid_peer,omitzero"`
	Tag        string     `json:"tag,omitempty"`
	From       string     `json:"from,omitempty"` // a state, or a locator pair as Pair.String prints it
	To         string     `json:"to,omitempty"`
	Why        string     `json:"why,omitempty"`
	Pair       string     `json:"pair,omitempty"`
	Type       string     `json:"type,omitempty"`  // of a message: I1, R1, I2, R2, R1bis, I2bis, UpdateRequest, UpdateAck
	State      string     `json:"state,omitempty"` // the REAP state that the Probe carried
	Nonce      *uint32    `json:"nonce,omitempty"`
	Reports    *int       `json:"reports,omitempty"` // reports of received probes in the Probe
	Src        netip.Addr `json:"src,omitzero"`
	Dst        netip.Addr `json:"dst,omitzero"`
	Reason     string     `json:"reason,omitempty"`
	Detail     string     `json:"detail,omitempty"`
	Sockets    *uint32    `json:"sockets,omitempty"`
	Count      *int       `json:"count,omitempty"`
	BoottimeNS int64      `json:"boottime_ns,omitempty"` // the kernel's CLOCK_BOOTTIME
}

// The values of Event.Event.
const (
	EventStateChanged    = "state changed"
	EventReapChanged     = "reap state changed"
	EventProbeSent       = "probe sent"
	EventProbeReceived   = "probe received"
	EventPathChanged     = "path changed"
	EventSwitchFailed    = "switch failed"
	EventMessageSent     = "message sent"
	EventMessageReceived = "message received"
	EventReloaded        = "reloaded"
	EventDropped         = "dropped"
	EventSendTimeout     = "send timeout"
	EventTCPKick         = "tcp kick"
	EventLocatorsChanged = "locators changed"
	EventOverflow        = "overflow"
)

// Done answers a POST.
type Done struct {
	Contexts int `json:"contexts"` // how many were acted on
}

// A Reloaded tells what the configuration file changed.
type Reloaded struct {
	Applied  []string `json:"applied"`  // keys
	Restart  []string `json:"restart"`  // keys whose change waits for the next start of the daemon
	Warnings []string `json:"warnings"` // about the file
}

// An Error is the answer to what failed.
type Error struct {
	Status  int    `json:"-"` // of HTTP
	Message string `json:"error"`
	Hint    string `json:"hint,omitempty"`
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

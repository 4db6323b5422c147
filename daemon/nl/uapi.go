// SPDX-License-Identifier: MIT

package nl

import "strconv"

// The numbers below are those of kmod/uapi/linux/shim6.h; a test compares them with the header.

const (
	familyName    = "shim6"
	familyVersion = 1
	groupEvents   = "events"

	// MaxPaths is the most locator pairs that the kernel takes for one context.
	MaxPaths = 8
	// MaxLocators is the most local locators that the kernel takes for one context.
	MaxLocators = 32

	heuristicNameMax = 16 // with the terminating zero
	stackMax         = 8  // heuristics that act together
	stackNameMax     = stackMax * heuristicNameMax
	paramsMax        = 4 // parameters of a heuristic

	// MaxGSODevices is the most rules for devices that the kernel takes.
	MaxGSODevices = 32
	deviceNameMax = 16 // IFNAMSIZ

	tagBits = 47
)

// Commands.
const (
	cmdUnspec = iota
	cmdCtxNew
	cmdCtxSet
	cmdCtxDel
	cmdCtxGet
	cmdCtxFlush
	cmdReapSet
	cmdCfgSet
	cmdCfgGet
	cmdStatsGet
	cmdCandGet
	cmdEvTrigger
	cmdEvSendTimeout
	cmdEvKeepaliveDue
	cmdEvPayloadSeen
	cmdEvUnknownTag
	cmdEvCtxGone
	cmdEvTCPKick
	cmdHeurGet
	cmdHeurSet
	cmdDevGet
	cmdEvRTO
)

// Attributes.
const (
	attrUnspec = iota
	attrPad
	attrULIDLocal
	attrULIDPeer
	attrFII
	attrTagLocal
	attrTagPeer
	attrPaths
	attrPath
	attrLocatorsLocal
	attrLocator
	attrSendTimeoutMS
	attrKeepaliveTimeoutMS
	attrKeepaliveIntervalMS
	attrReapState
	attrReapEpoch
	attrSendTimer
	attrKeepaliveTimer
	attrKeepaliveLast
	attrTxPackets
	attrTxBytes
	attrRxPackets
	attrRxBytes
	attrIdleMS
	attrPackets
	attrBytes
	attrAgeMS
	attrLocatorSrc
	attrLocatorDst
	attrTag
	attrSockets
	attrTimeNS
	attrEnabled
	attrHeuristic
	attrHeuristics
	attrTCPKick
	attrGSOMode
	attrMarkMask
	attrStats
	attrStack
	attrUse
	attrParam
	attrAsked
	attrGSODevices
	attrDevice
	attrRTOHint

	attrCount
)

// Attributes inside attrPath.
const (
	pathAttrUnspec = iota
	pathAttrLocal
	pathAttrPeer
	pathAttrPad
	pathAttrTxPackets
	pathAttrTxBytes
	pathAttrRxPackets
	pathAttrRxBytes
	pathAttrTxIdleMS
	pathAttrRxIdleMS
)

// Attributes inside attrDevice.
const (
	devAttrUnspec = iota
	devAttrName
	devAttrGSOMode
	devAttrIfindex
	devAttrGSOWhy
)

// Attributes inside attrUse.
const (
	useAttrUnspec = iota
	useAttrPad
	useAttrName
	useAttrRefusals
	useAttrTriggers
	useAttrVetoes
	useAttrParam
)

// Attributes inside attrParam and useAttrParam.
const (
	paramAttrUnspec = iota
	paramAttrPad
	paramAttrName
	paramAttrValue
	paramAttrInitial
	paramAttrMin
	paramAttrMaxValue
)

// A ReapState is a REAP state as RFC 5534 section 5.2 numbers it.
type ReapState uint8

// The REAP states.
const (
	ReapOperational ReapState = iota
	ReapExploring
	ReapInboundOk
)

// A TimerOp says what SetReap does to one timer.
type TimerOp uint8

// The timer operations; TimerStart leaves a running timer alone.
const (
	TimerKeep TimerOp = iota
	TimerStop
	TimerStart
	TimerRestart
)

// A GSOMode says who segments a large packet that gets a Payload Extension Header.
type GSOMode uint8

// The GSO modes.
const (
	GSOSegment GSOMode = iota // the module, before the header is inserted
	GSOWhole                  // the device
	GSOAuto                   // the kernel where the device does not segment, the module otherwise
)

// A Stat is the number of a per-namespace counter.
type Stat uint16

// The counters.
const (
	statUnspec Stat = iota
	StatTxRewritten
	StatTxNoRoute
	StatTxTooBig
	StatTxNoMemory
	StatRxRewritten
	StatRxUnknownTag
	StatRxNotLocator
	StatRxMalformed
	StatRxControl
	StatRxNoMemory
	StatCandidatesFull
	StatTriggers
	StatSendTimeouts
	StatKeepalivesDue
	StatStatesGone
	StatPathUpdates
	StatTCPKicks
	StatEventsLost
	StatTxPathBeyond
	StatRxOtherPath
	StatTxBound
	StatRxICMP
	StatRxICMPUnknown
	StatRTOHints

	statCount
)

var statNames = [statCount]string{
	StatTxRewritten:    "tx_rewritten",
	StatTxNoRoute:      "tx_no_route",
	StatTxTooBig:       "tx_too_big",
	StatTxNoMemory:     "tx_no_memory",
	StatRxRewritten:    "rx_rewritten",
	StatRxUnknownTag:   "rx_unknown_tag",
	StatRxNotLocator:   "rx_not_locator",
	StatRxMalformed:    "rx_malformed",
	StatRxControl:      "rx_control",
	StatRxNoMemory:     "rx_no_memory",
	StatCandidatesFull: "candidates_full",
	StatTriggers:       "triggers",
	StatSendTimeouts:   "send_timeouts",
	StatKeepalivesDue:  "keepalives_due",
	StatStatesGone:     "states_gone",
	StatPathUpdates:    "path_updates",
	StatTCPKicks:       "tcp_kicks",
	StatEventsLost:     "events_lost",
	StatTxPathBeyond:   "tx_path_beyond",
	StatRxOtherPath:    "rx_other_path",
	StatTxBound:        "tx_bound",
	StatRxICMP:         "rx_icmp",
	StatRxICMPUnknown:  "rx_icmp_unknown",
	StatRTOHints:       "rto_hints",
}

// String returns the counter's name in lower case with underscores, "stat_N" for one that this program does not know.
func (s Stat) String() string {
	if s > statUnspec && s < statCount {
		return statNames[s]
	}
	return "stat_" + strconv.Itoa(int(s))
}

// SPDX-License-Identifier: MIT

// Package genl speaks the module's generic netlink family octet by octet, right or wrong as asked. It is the lab's own
// reading of kmod/uapi/linux/shim6.h, independent of the daemon's.
package genl

// Names of the family.
const (
	Family = "shim6"
	Group  = "events"
)

// Commands, enum shim6_cmd.
const (
	CtxNew = iota + 1
	CtxSet
	CtxDel
	CtxGet
	CtxFlush
	ReapSet
	CfgSet
	CfgGet
	StatsGet
	CandGet
	EvTrigger
	EvSendTimeout
	EvKeepaliveDue
	EvPayloadSeen
	EvUnknownTag
	EvCtxGone
	EvTCPKick
	HeurGet
	HeurSet
	DevGet
	EvRTO
	cmdEnd
)

// Attributes, enum shim6_attr.
const (
	Pad = iota + 1
	ULIDLocal
	ULIDPeer
	FII
	TagLocal
	TagPeer
	Paths
	Path
	LocatorsLocal
	Locator
	SendTimeoutMS
	KeepaliveTimeoutMS
	KeepaliveIntervalMS
	ReapState
	ReapEpoch
	SendTimer
	KeepaliveTimer
	KeepaliveLast
	TxPackets
	TxBytes
	RxPackets
	RxBytes
	IdleMS
	Packets
	Bytes
	AgeMS
	LocatorSrc
	LocatorDst
	Tag
	Sockets
	TimeNS
	Enabled
	Heuristic
	Heuristics
	TCPKick
	GSOMode
	MarkMask
	Stats
	Stack
	Use
	Param
	Asked
	GSODevices
	Device
	RTOHint
	attrEnd
)

// Attributes of a path, enum shim6_path_attr.
const (
	PathLocal = iota + 1
	PathPeer
	PathPad
	PathTxPackets
	PathTxBytes
	PathRxPackets
	PathRxBytes
	PathTxIdleMS
	PathRxIdleMS
)

// Attributes of a device, enum shim6_dev_attr.
const (
	DevName = iota + 1
	DevGSOMode
	DevIfindex
	DevGSOWhy
)

// Values of GSOMode, enum shim6_gso_mode.
const (
	GSOSegment = iota
	GSOWhole
	GSOAuto
)

// Values of DevGSOWhy, enum shim6_gso_why.
const (
	GSOWhyNetns = iota
	GSOWhyDevice
	GSOWhySoftware
	GSOWhyHardware
)

// Attributes of a heuristic in use, enum shim6_use_attr.
const (
	UseName = iota + 2
	UseRefusals
	UseTriggers
	UseVetoes
	UseParam
)

// Attributes of a heuristic's parameter, enum shim6_param_attr.
const (
	ParamName = iota + 2
	ParamValue
	ParamInitial
	ParamMin
	ParamMaxValue
)

// SPDX-License-Identifier: MIT

package nl

import (
	"net/netip"
	"time"
)

// A Path is a locator pair: the source and the destination that a packet gets.
type Path struct {
	Local, Peer netip.Addr
}

// PathCounters count what was rewritten to and from a path.
type PathCounters struct {
	TxPackets, TxBytes, RxPackets, RxBytes uint64
}

// A Context is a ULID-pair context as the kernel holds it. The fields after KeepaliveInterval are only read.
type Context struct {
	ULIDLocal, ULIDPeer netip.Addr
	FII                 uint32
	TagLocal, TagPeer   uint64
	Paths               []Path // the first is the current locator pair; none in a ContextGone event
	LocatorsLocal       []netip.Addr
	SendTimeout         time.Duration // whole milliseconds, like the next two; zero leaves the kernel's value
	KeepaliveTimeout    time.Duration
	KeepaliveInterval   time.Duration

	Carried            []PathCounters // by the paths, in their order, where the kernel tells
	ReapState          ReapState
	ReapEpoch          uint32
	TxPackets, TxBytes uint64 // payload only, octets of the IPv6 packet with ULIDs
	RxPackets, RxBytes uint64
	Idle               time.Duration // since the last payload packet either way
}

// A Reap is a REAP state to set in the kernel, with what happens to the timers at the same instant.
type Reap struct {
	TagLocal  uint64
	State     ReapState
	Epoch     uint32 // comes back in the events of the timers
	Send      TimerOp
	Keepalive TimerOp
}

// A Candidate is a flow between two ULIDs that has no context yet.
type Candidate struct {
	ULIDLocal, ULIDPeer netip.Addr
	Bytes, Packets      uint64
	Age                 time.Duration
	Asked               bool // a Trigger was told of it
}

// Stats are the counters of the network namespace.
type Stats map[Stat]uint64

// message turns c into the attributes of CTX_NEW and CTX_SET: what is zero is left out.
func (c *Context) message() *message {
	m := new(message)
	m.setAddr(attrULIDLocal, c.ULIDLocal)
	m.setAddr(attrULIDPeer, c.ULIDPeer)
	if c.FII != 0 {
		m.set(attrFII, uint64(c.FII))
	}
	m.set(attrTagLocal, c.TagLocal)
	if c.TagPeer != 0 {
		m.set(attrTagPeer, c.TagPeer)
	}
	if len(c.Paths) > 0 {
		m.paths = c.Paths
		m.mark(attrPaths)
	}
	if len(c.LocatorsLocal) > 0 {
		m.locators = c.LocatorsLocal
		m.mark(attrLocatorsLocal)
	}
	m.setMillis(attrSendTimeoutMS, c.SendTimeout)
	m.setMillis(attrKeepaliveTimeoutMS, c.KeepaliveTimeout)
	m.setMillis(attrKeepaliveIntervalMS, c.KeepaliveInterval)
	return m
}

// context reads a Context; the ULID pair and the local tag must be there.
func (m *message) context() (Context, error) {
	if err := m.need(attrULIDLocal, attrULIDPeer, attrTagLocal); err != nil {
		return Context{}, err
	}
	return Context{
		ULIDLocal: m.addr[attrULIDLocal], ULIDPeer: m.addr[attrULIDPeer],
		FII:      uint32(m.num[attrFII]),
		TagLocal: m.num[attrTagLocal], TagPeer: m.num[attrTagPeer],
		Paths: m.paths, Carried: m.carried, LocatorsLocal: m.locators,
		SendTimeout:       millis(m.num[attrSendTimeoutMS]),
		KeepaliveTimeout:  millis(m.num[attrKeepaliveTimeoutMS]),
		KeepaliveInterval: millis(m.num[attrKeepaliveIntervalMS]),
		ReapState:         ReapState(m.num[attrReapState]),
		ReapEpoch:         uint32(m.num[attrReapEpoch]),
		TxPackets:         m.num[attrTxPackets], TxBytes: m.num[attrTxBytes],
		RxPackets: m.num[attrRxPackets], RxBytes: m.num[attrRxBytes],
		Idle: millis(m.num[attrIdleMS]),
	}, nil
}

func (r *Reap) message() *message {
	m := new(message)
	m.set(attrTagLocal, r.TagLocal)
	m.set(attrReapState, uint64(r.State))
	m.set(attrReapEpoch, uint64(r.Epoch))
	if r.Send != TimerKeep {
		m.set(attrSendTimer, uint64(r.Send))
	}
	if r.Keepalive != TimerKeep {
		m.set(attrKeepaliveTimer, uint64(r.Keepalive))
	}
	return m
}

func (m *message) candidate() (Candidate, error) {
	if err := m.need(attrULIDLocal, attrULIDPeer); err != nil {
		return Candidate{}, err
	}
	return Candidate{
		ULIDLocal: m.addr[attrULIDLocal], ULIDPeer: m.addr[attrULIDPeer],
		Bytes: m.num[attrBytes], Packets: m.num[attrPackets], Age: millis(m.num[attrAgeMS]),
		Asked: m.has(attrAsked),
	}, nil
}

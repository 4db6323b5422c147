// SPDX-License-Identifier: MIT

package nl

import (
	"fmt"
	"net/netip"
	"time"
)

// An Event is something that the kernel module told, or a word about the telling: Lost and Malformed.
type Event interface{ event() }

// Trigger says that a heuristic asks for a context.
type Trigger struct {
	At                  time.Duration // CLOCK_BOOTTIME, as in every event
	ULIDLocal, ULIDPeer netip.Addr
	Bytes, Packets      uint64
	Age                 time.Duration
}

// SendTimeout says that the Send Timer of a context expired; the kernel's REAP state is Exploring now.
type SendTimeout struct {
	At       time.Duration
	TagLocal uint64
	Epoch    uint32
}

// KeepaliveDue says that one Keepalive is to be sent; Last marks the one at the expiry of the Keepalive Timer.
type KeepaliveDue struct {
	At       time.Duration
	TagLocal uint64
	Epoch    uint32
	Last     bool
}

// PayloadSeen says that payload arrived in Exploring; the kernel's REAP state is InboundOk now.
type PayloadSeen struct {
	At       time.Duration
	TagLocal uint64
	Epoch    uint32
}

// UnknownTag says that payload came with a context tag of no context.
type UnknownTag struct {
	At       time.Duration
	Src, Dst netip.Addr
	Tag      uint64
}

// ContextGone says that somebody else deleted an xfrm state of the context, which has ended it.
type ContextGone struct {
	At      time.Duration
	Context Context
}

// TCPKick says that the retransmission timers of sockets between two ULIDs were reset after a path change.
type TCPKick struct {
	At                  time.Duration
	ULIDLocal, ULIDPeer netip.Addr
	Sockets             uint32
}

// RTO says that TCP sends something of a context again because its retransmission timer expired.
type RTO struct {
	At       time.Duration
	TagLocal uint64
}

// Lost says that events were lost because the socket's buffer was full: what the kernel holds must be read anew.
type Lost struct{}

// Malformed is an event that could not be decoded.
type Malformed struct {
	Command uint8
	Err     error
}

func (Trigger) event()      {}
func (SendTimeout) event()  {}
func (KeepaliveDue) event() {}
func (PayloadSeen) event()  {}
func (UnknownTag) event()   {}
func (ContextGone) event()  {}
func (TCPKick) event()      {}
func (RTO) event()          {}
func (Lost) event()         {}
func (Malformed) event()    {}

// decodeEvent decodes the attributes b of an event; it returns nil for a command that is no event of this version.
func decodeEvent(cmd uint8, b []byte) Event {
	if (cmd < cmdEvTrigger || cmd > cmdEvTCPKick) && cmd != cmdEvRTO {
		return nil
	}
	m, err := unmarshal(b)
	if err != nil {
		return Malformed{cmd, err}
	}
	ev, err := m.event(cmd)
	if err != nil {
		return Malformed{cmd, err}
	}
	return ev
}

func (m *message) event(cmd uint8) (Event, error) {
	at := time.Duration(min(m.num[attrTimeNS], 1<<63-1))
	tag, epoch := m.num[attrTagLocal], uint32(m.num[attrReapEpoch])
	switch cmd {
	case cmdEvTrigger:
		c, err := m.candidate()
		return Trigger{at, c.ULIDLocal, c.ULIDPeer, c.Bytes, c.Packets, c.Age}, err
	case cmdEvSendTimeout:
		return SendTimeout{at, tag, epoch}, m.need(attrTagLocal, attrReapEpoch)
	case cmdEvKeepaliveDue:
		return KeepaliveDue{at, tag, epoch, m.has(attrKeepaliveLast)}, m.need(attrTagLocal, attrReapEpoch)
	case cmdEvPayloadSeen:
		return PayloadSeen{at, tag, epoch}, m.need(attrTagLocal, attrReapEpoch)
	case cmdEvUnknownTag:
		return UnknownTag{at, m.addr[attrLocatorSrc], m.addr[attrLocatorDst], m.num[attrTag]},
			m.need(attrLocatorSrc, attrLocatorDst, attrTag)
	case cmdEvCtxGone:
		c, err := m.context()
		return ContextGone{at, c}, err
	case cmdEvTCPKick:
		return TCPKick{at, m.addr[attrULIDLocal], m.addr[attrULIDPeer], uint32(m.num[attrSockets])},
			m.need(attrULIDLocal, attrULIDPeer, attrSockets)
	case cmdEvRTO:
		return RTO{at, tag}, m.need(attrTagLocal)
	}
	return nil, fmt.Errorf("command %d is no event", cmd)
}

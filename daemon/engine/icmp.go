// SPDX-License-Identifier: MIT

package engine

import (
	"fmt"
	"net/netip"
	"time"

	"shim6/daemon/shim6"
	"shim6/daemon/wire"
)

// An ICMPError is an ICMPv6 error message about a packet of ours with Next Header 140. Quoted starts at the IPv6 header of
// that packet and may be cut.
type ICMPError struct {
	Src        netip.Addr
	Type, Code uint8
	Quoted     []byte
}

func (ICMPError) event() {}

const (
	icmpUnreachable        = 1
	icmpParameterProblem   = 4
	icmpUnknownNextHeader  = 1
	ipv6NextHeader         = 6
	ipv6Source, ipv6Target = 8, 24
)

// onICMP looks for the error that says that a peer does not know Shim6: "Unrecognized Next Header" quoting an I1 (RFC 5533
// section 7.8). Who can quote the I1 has seen it, its nonce being random. Other errors are no proof of anything.
func (e *Engine) onICMP(now time.Time, ev ICMPError) {
	if ev.Type == icmpUnreachable && e.onUnreachable(now, ev.Quoted) {
		return
	}
	c, pair := e.quoted(ev)
	if c == nil || c.State() != shim6.StateI1Sent || pair != c.Exchange {
		e.drop(PacketIn{Src: ev.Src}, ReasonICMP, fmt.Sprintf("type %d code %d", ev.Type, ev.Code))
		return
	}
	e.apply(now, c, c.NotSupported(now, "peer does not know Shim6"))
}

// quoted finds the context whose I1 an ICMP error quotes.
func (e *Engine) quoted(ev ICMPError) (*context, LocatorPair) {
	b := ev.Quoted
	if ev.Type != icmpParameterProblem || ev.Code != icmpUnknownNextHeader || len(b) < ipv6Header ||
		b[ipv6NextHeader] != wire.Protocol {
		return nil, LocatorPair{}
	}
	m, err := wire.Parse(b[ipv6Header:])
	i1, ok := m.(*wire.I1)
	if err != nil || !ok {
		return nil, LocatorPair{}
	}
	return e.table.byNonce[i1.InitNonce], quotedPair(b)
}

// onUnreachable takes a Destination Unreachable as a hint about the context whose payload it quotes: by its context tag, or
// where it went as it was by its ULIDs (RFC 5534 section 3.3). It tells whether there is one.
func (e *Engine) onUnreachable(now time.Time, b []byte) bool {
	if len(b) < ipv6Header {
		return false
	}
	pair := quotedPair(b)
	var contexts []*context
	if b[ipv6NextHeader] == wire.Protocol {
		h, err := wire.ParsePayloadHeader(b[ipv6Header:])
		if err != nil {
			return false
		}
		contexts = e.table.withPeerTag(h.Tag)
	} else if c := e.table.find(contextKey{ulids: ULIDPair(pair)}); c != nil {
		contexts = []*context{c}
	}
	for _, c := range contexts {
		if c.State() == shim6.StateEstablished && LocatorPair(c.reap.Current()) == pair {
			e.reapDo(now, c, c.reap.Suspect(now, "ICMP unreachable", true))
			return true
		}
	}
	return false
}

func quotedPair(b []byte) LocatorPair {
	return LocatorPair{
		Local: netip.AddrFrom16([16]byte(b[ipv6Source:ipv6Target])),
		Peer:  netip.AddrFrom16([16]byte(b[ipv6Target:ipv6Header])),
	}
}

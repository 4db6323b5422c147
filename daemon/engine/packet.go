// SPDX-License-Identifier: MIT

package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"shim6/daemon/shim6"
	"shim6/daemon/wire"
)

const ipv6Header = 40

// pairOf gives the locators of a packet as seen from here.
func pairOf(p PacketIn) LocatorPair { return LocatorPair{Local: p.Dst, Peer: p.Src} }

// onPacket is RFC 5533 sections 12.3 and 12.4.
func (e *Engine) onPacket(now time.Time, p PacketIn) {
	switch {
	case !shim6.Usable(p.Src) || !shim6.Usable(p.Dst):
		e.drop(p, ReasonBadAddress, "")
		return
	case e.own.Has(p.Src):
		e.drop(p, ReasonSelf, "source is a local locator")
		return
	}
	m, err := wire.Parse(p.Payload)
	var pe *wire.ParseError
	if errors.As(err, &pe) {
		e.drop(p, Reason(pe.Reason), err.Error())
		if pe.Reply {
			e.sendError(now, p, pe.Code, pe.Pointer)
		}
		return
	}
	e.counters.Received[m.Type()]++
	switch m := m.(type) {
	case *wire.I1:
		e.onI1(now, p, m)
	case *wire.R1:
		e.onR1(now, p, m)
	case *wire.I2:
		e.onI2(now, p, m)
	case *wire.R2:
		e.onR2(now, p, m)
	case *wire.R1bis:
		e.onR1bis(now, p, m)
	case *wire.I2bis:
		e.onI2bis(now, p, m)
	case *wire.UpdateRequest:
		if c := e.receiver(now, p, m.ReceiverTag); c != nil {
			e.onUpdateRequest(now, p, c, m)
		}
	case *wire.UpdateAck:
		if c := e.receiver(now, p, m.ReceiverTag); c != nil {
			e.onUpdateAck(now, p, c, m)
		}
	case *wire.Keepalive:
		if c := e.receiver(now, p, m.ReceiverTag); c != nil {
			e.onKeepalive(now, c)
		}
	case *wire.Probe:
		if c := e.receiver(now, p, m.ReceiverTag); c != nil {
			e.onProbe(now, p, c, m)
		}
	case *wire.ErrorMsg:
		e.onErrorMsg(now, p, m)
	}
}

// receiver finds the context that a message with a Receiver Context Tag is for (RFC 5533 section 12.4). What it gives is
// established and has the packet's locators.
func (e *Engine) receiver(now time.Time, p PacketIn, tag wire.ContextTag) *context {
	c := e.table.byTag[tag]
	switch {
	case c == nil:
		e.drop(p, ReasonNoContext, "tag "+tag.String())
		e.recover(now, p, tag)
	case c.State() == shim6.StateI1Sent:
		// Before the locators are looked at: none of the peer's are known (RFC 5533 section 12.4 has no such order).
		e.drop(p, ReasonWrongState, c.State().String())
	case !c.Peer.HasVerified(p.Src) || !c.HasLocal(p.Dst):
		e.drop(p, ReasonNotALocator, "tag "+tag.String())
		e.recover(now, p, tag)
	case c.State() != shim6.StateEstablished:
		// The peer is established already: its R2 was lost.
		e.drop(p, ReasonWrongState, c.State().String())
		e.apply(now, c, c.Nudge(now))
	default:
		if c.Owes(now) {
			e.inform(now, c, 0)
		}
		return c
	}
	return nil
}

// sendError answers a packet with an Error message (RFC 5533 section 5.14). Pointer counts from the Shim6 header on.
func (e *Engine) sendError(now time.Time, p PacketIn, code wire.ErrorCode, pointer int) {
	if !e.limits.allow(now, limitError, p.Src) {
		e.drop(p, ReasonErrorRate, code.String())
		return
	}
	e.send(pairOf(p), &wire.ErrorMsg{Code: code, Pointer: uint16(ipv6Header + pointer), Packet: quote(p)})
}

// onErrorMsg counts an Error message. RFC 5533 defines no reaction, and an answer is never sent: two hosts could talk for ever.
// But a peer that says by the nonce of our last Update Request that it does not know our list, is told it.
func (e *Engine) onErrorMsg(now time.Time, p PacketIn, m *wire.ErrorMsg) {
	e.drop(p, ReasonErrorMsg, fmt.Sprintf("%v, pointer %d", m.Code, m.Pointer))
	if m.Code != wire.CodeGenerationMismatch && m.Code != wire.CodePreferencesCount || len(m.Packet) < ipv6Header {
		return
	}
	quoted, err := wire.Parse(m.Packet[ipv6Header:])
	request, ok := quoted.(*wire.UpdateRequest)
	if err != nil || !ok {
		return
	}
	for _, c := range e.table.withPeerTag(request.ReceiverTag) {
		if c.Refused(now, request.ReqNonce) {
			e.inform(now, c, 0)
			return
		}
	}
}

// quote puts the IPv6 header back in front of a packet. Traffic class and flow label are not known any more.
func quote(p PacketIn) []byte {
	b := make([]byte, ipv6Header, ipv6Header+len(p.Payload))
	src, dst := p.Src.As16(), p.Dst.As16()
	b[0] = 6 << 4
	binary.BigEndian.PutUint16(b[4:], uint16(len(p.Payload)))
	b[6] = wire.Protocol
	b[7] = p.HopLimit
	copy(b[8:], src[:])
	copy(b[24:], dst[:])
	return append(b, p.Payload...)
}

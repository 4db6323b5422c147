// SPDX-License-Identifier: MIT

package rawsock

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"

	"golang.org/x/net/bpf"
	"golang.org/x/net/ipv6"
)

// Of an ICMPv6 error (RFC 4443 section 2.1): the offsets of what is looked at, and the length before the packet that it
// quotes.
const (
	icmpCode       = 1
	icmpHeader     = 8
	icmpNextHeader = icmpHeader + 6
)

// Type and code of the error that says that a host does not know a protocol (RFC 4443 section 3.4), and those that say that
// a host cannot be reached, but for the code of a port (section 3.1).
const (
	icmpUnreachable       = 1
	icmpPortUnreachable   = 4
	icmpParameterProblem  = 4
	icmpUnknownNextHeader = 1
	shim6Protocol         = 140
)

// unknownShim6 passes "unrecognized Next Header type encountered" errors that quote a packet of protocol 140.
var unknownShim6 = []bpf.Instruction{
	bpf.LoadAbsolute{Off: 0, Size: 1},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: icmpParameterProblem, SkipTrue: 5},
	bpf.LoadAbsolute{Off: icmpCode, Size: 1},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: icmpUnknownNextHeader, SkipTrue: 3},
	bpf.LoadAbsolute{Off: icmpNextHeader, Size: 1},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: shim6Protocol, SkipTrue: 1},
	bpf.RetConstant{Val: 1 << 16},
	bpf.RetConstant{Val: 0},
}

// unreachable passes "destination unreachable" errors about hosts, before another filter.
var unreachable = []bpf.Instruction{
	bpf.LoadAbsolute{Off: 0, Size: 1},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: icmpUnreachable, SkipTrue: 3},
	bpf.LoadAbsolute{Off: icmpCode, Size: 1},
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: icmpPortUnreachable, SkipTrue: 1},
	bpf.RetConstant{Val: 1 << 16},
}

// An ErrorConn receives the ICMPv6 errors that say that a host does not know Shim6 (RFC 5533 section 7.8), and those that
// say that it cannot be reached, when these are wanted.
type ErrorConn struct {
	p           *ipv6.PacketConn
	unreachable atomic.Bool
}

// An Error is such an ICMPv6 error.
type Error struct {
	Src        netip.Addr // who sent it
	Type, Code uint8
	Quoted     []byte // the packet that caused it, from its IPv6 header on and cut at the end
}

// ListenErrors opens the socket; withUnreachable tells which errors are wanted. It takes CAP_NET_RAW.
func ListenErrors(withUnreachable bool) (*ErrorConn, error) {
	pc, err := net.ListenPacket("ip6:ipv6-icmp", "::")
	if err != nil {
		return nil, fmt.Errorf("open ICMPv6 socket: %w", err)
	}
	c := &ErrorConn{p: ipv6.NewPacketConn(pc)}
	if err := c.Want(withUnreachable); err != nil {
		pc.Close()
		return nil, err
	}
	return c, nil
}

// Want changes whether errors about hosts that cannot be reached are wanted.
func (c *ErrorConn) Want(unreachableToo bool) error {
	filter := unknownShim6
	if unreachableToo {
		filter = slices.Concat(unreachable, unknownShim6)
	}
	if err := c.p.SetBPF(assemble(filter)); err != nil {
		return fmt.Errorf("filter ICMPv6 socket: %w", err)
	}
	c.unreachable.Store(unreachableToo)
	return nil
}

// Read waits for an error; buf holds what it quotes until the next Read. The error is net.ErrClosed after Close.
func (c *ErrorConn) Read(buf []byte) (Error, error) {
	for {
		n, _, from, err := c.p.ReadFrom(buf)
		if err != nil {
			return Error{}, fmt.Errorf("read ICMPv6 socket: %w", err)
		}
		b := buf[:n]
		ip, ok := from.(*net.IPAddr)
		// What came in before the filter was set is looked at here.
		if !ok || n <= icmpNextHeader || !c.wanted(b[0], b[icmpCode], b[icmpNextHeader]) {
			continue
		}
		if src, ok := netip.AddrFromSlice(ip.IP.To16()); ok {
			return Error{Src: src, Type: b[0], Code: b[icmpCode], Quoted: b[icmpHeader:]}, nil
		}
	}
}

func (c *ErrorConn) wanted(kind, code, quotedProtocol byte) bool {
	return kind == icmpParameterProblem && code == icmpUnknownNextHeader && quotedProtocol == shim6Protocol ||
		c.unreachable.Load() && kind == icmpUnreachable && code != icmpPortUnreachable
}

// Close closes the socket; a Read that waits returns.
func (c *ErrorConn) Close() error {
	if err := c.p.Close(); err != nil {
		return fmt.Errorf("close ICMPv6 socket: %w", err)
	}
	return nil
}

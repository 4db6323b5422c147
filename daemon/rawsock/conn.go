// SPDX-License-Identifier: MIT

// Package rawsock sends and receives Shim6 control messages as bytes, through a raw IPv6 socket.
package rawsock

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

const network = "ip6:140"

// A Conn is a raw socket of the Shim6 protocol in the network namespace where it was opened. One goroutine may read while
// others write and close.
type Conn struct {
	p *ipv6.PacketConn
}

// Listen opens the socket. It takes CAP_NET_RAW.
func Listen() (*Conn, error) {
	pc, err := net.ListenPacket(network, "::")
	if err != nil {
		return nil, fmt.Errorf("open raw socket: %w", err)
	}
	c := &Conn{p: ipv6.NewPacketConn(pc)}
	if err := c.setup(); err != nil {
		pc.Close()
		return nil, err
	}
	return c, nil
}

func (c *Conn) setup() error {
	if err := c.p.SetBPF(controlOnly); err != nil {
		return fmt.Errorf("filter raw socket: %w", err)
	}
	// The Shim6 checksum has no pseudo-header, so the kernel's would be wrong.
	if err := c.p.SetChecksum(false, 0); err != nil {
		return fmt.Errorf("turn off checksums of raw socket: %w", err)
	}
	if err := c.p.SetControlMessage(ipv6.FlagDst|ipv6.FlagHopLimit, true); err != nil {
		return fmt.Errorf("ask raw socket for destinations: %w", err)
	}
	return nil
}

// ReadFrom waits for a control message and puts it into buf, from the Shim6 header on; what does not fit is lost. A header
// has at most 2048 octets. The addresses have no zone. The error is net.ErrClosed after Close and os.ErrDeadlineExceeded
// after the read deadline.
func (c *Conn) ReadFrom(buf []byte) (n int, src, dst netip.Addr, hopLimit uint8, err error) {
	for {
		n, cm, from, err := c.p.ReadFrom(buf)
		if err != nil {
			return 0, netip.Addr{}, netip.Addr{}, 0, fmt.Errorf("read raw socket: %w", err)
		}
		ip, ok := from.(*net.IPAddr)
		if !ok || cm == nil {
			continue // came in before the socket was set up
		}
		src, ok1 := netip.AddrFromSlice(ip.IP.To16())
		dst, ok2 := netip.AddrFromSlice(cm.Dst.To16())
		if ok1 && ok2 {
			return n, src, dst, uint8(cm.HopLimit), nil
		}
	}
}

// SetReadDeadline makes ReadFrom fail from t on; the zero time takes the deadline away.
func (c *Conn) SetReadDeadline(t time.Time) error {
	if err := c.p.SetReadDeadline(t); err != nil {
		return fmt.Errorf("set deadline of raw socket: %w", err)
	}
	return nil
}

// WriteTo sends b, which starts with the Shim6 header, from src to dst. The error wraps unix.EADDRNOTAVAIL where src is no
// usable address of this host, and whatever else the kernel says, such as unix.ENETUNREACH where there is no route.
func (c *Conn) WriteTo(b []byte, src, dst netip.Addr) error {
	for _, a := range []netip.Addr{src, dst} {
		if !a.Is6() || a.Is4In6() || a.IsUnspecified() || a.Zone() != "" {
			return fmt.Errorf("send from %s to %s: %s is no plain IPv6 address", src, dst, a)
		}
	}
	_, err := c.p.WriteTo(b, &ipv6.ControlMessage{Src: src.AsSlice()}, &net.IPAddr{IP: dst.AsSlice()})
	if errors.Is(err, unix.EINVAL) && !usable(src) {
		err = unix.EADDRNOTAVAIL
	}
	if err != nil {
		return fmt.Errorf("send from %s to %s: %w", src, dst, err)
	}
	return nil
}

// usable tells whether a socket can be bound to src. The kernel gives EINVAL for an address in IPV6_PKTINFO that is not its
// own, but for other things too.
func usable(src netip.Addr) bool {
	pc, err := net.ListenUDP("udp6", net.UDPAddrFromAddrPort(netip.AddrPortFrom(src, 0)))
	if err != nil {
		return !errors.Is(err, unix.EADDRNOTAVAIL)
	}
	pc.Close()
	return true
}

// Close closes the socket; a ReadFrom that waits returns.
func (c *Conn) Close() error {
	if err := c.p.Close(); err != nil {
		return fmt.Errorf("close raw socket: %w", err)
	}
	return nil
}

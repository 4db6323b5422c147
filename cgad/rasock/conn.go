// SPDX-License-Identifier: MIT

// Package rasock receives Router Advertisements on all interfaces of the network namespace and sends Router
// Solicitations.
package rasock

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/net/ipv6"

	"shim6/cgad/ra"
)

// maxMessage is the longest ICMPv6 message that is read whole.
const maxMessage = 1 << 16

// receiveBuffer is the socket buffer, in octets, that holds a burst of advertisements.
const receiveBuffer = 1 << 20

var allRouters = net.ParseIP("ff02::2")

// A Conn is a raw ICMPv6 socket that takes nothing but Router Advertisements. One goroutine may read while others send.
type Conn struct {
	pc  *ipv6.PacketConn
	buf []byte
}

// A Message is a received ICMPv6 message with what its IPv6 header says.
type Message struct {
	Link int // interface index
	ra.Meta
	Octets []byte // valid until the next Read
}

// Listen opens the socket. It takes CAP_NET_RAW.
func Listen() (*Conn, error) {
	// No address is bound and no group joined: a socket that joined none hears what the host hears, every interface is in
	// ff02::1, and so neither a tentative address nor a renamed interface matters here.
	c, err := net.ListenIP("ip6:ipv6-icmp", nil)
	if err != nil {
		return nil, fmt.Errorf("open the ICMPv6 socket: %w", err)
	}
	pc := ipv6.NewPacketConn(c)
	var filter ipv6.ICMPFilter
	filter.SetAll(true)
	filter.Accept(ipv6.ICMPTypeRouterAdvertisement)
	err = errors.Join(
		pc.SetICMPFilter(&filter),
		pc.SetControlMessage(ipv6.FlagHopLimit|ipv6.FlagInterface, true),
		c.SetReadBuffer(receiveBuffer),
	)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("prepare the ICMPv6 socket: %w", err), c.Close())
	}
	return &Conn{pc: pc, buf: make([]byte, maxMessage)}, nil
}

// Close makes Read fail with net.ErrClosed.
func (c *Conn) Close() error { return c.pc.Close() }

// Read waits for a message. What it says has not been judged, but its checksum is right.
func (c *Conn) Read() (Message, error) {
	for {
		n, cm, from, err := c.pc.ReadFrom(c.buf)
		if err != nil {
			return Message{}, err
		}
		ip, ok := from.(*net.IPAddr)
		if !ok || cm == nil {
			continue
		}
		src, ok := netip.AddrFromSlice(ip.IP)
		if !ok {
			continue
		}
		return Message{Link: cm.IfIndex, Meta: ra.Meta{Source: src, HopLimit: cm.HopLimit}, Octets: c.buf[:n]}, nil
	}
}

// Solicit sends a Router Solicitation on an interface. The kernel takes its link-local address as the source, so there
// must be one that is not tentative.
func (c *Conn) Solicit(link int) error {
	iface, err := net.InterfaceByIndex(link)
	if err != nil {
		return fmt.Errorf("solicit routers: %w", err)
	}
	// The control message names the interface: package net remembers for a minute which index the name of a zone had.
	cm := &ipv6.ControlMessage{HopLimit: ra.HopLimit, IfIndex: link}
	if _, err := c.pc.WriteTo(ra.Solicitation(iface.HardwareAddr), cm, &net.IPAddr{IP: allRouters}); err != nil {
		return fmt.Errorf("solicit routers on %s: %w", iface.Name, err)
	}
	return nil
}

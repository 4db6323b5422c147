// SPDX-License-Identifier: MIT

// Package talk has one host send messages to another, over every transport that Linux has, and takes what comes back.
package talk

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"shim6/test/lab/node"
	"shim6/test/lab/packet"
)

// patience is how long a message may take to come back.
const patience = 5 * time.Second

// Ends are the hosts and the addresses by which they know each other.
type Ends struct {
	A, B         *node.Node
	AddrA, AddrB netip.Addr
	Port         uint16 // of a; b's is the next
}

func (e Ends) atA() netip.AddrPort { return netip.AddrPortFrom(e.AddrA, e.Port) }
func (e Ends) atB() netip.AddrPort { return netip.AddrPortFrom(e.AddrB, e.Port+1) }

// A Talk is one flow that host a has begun and host b answers.
type Talk struct {
	// exchange sends a message and returns what came back.
	exchange func(message []byte) ([]byte, error)
	close    func()
}

// Say sends a message of size octets that depend on seed, and is an error unless just that comes back, from the address that
// it went to.
func (t *Talk) Say(size int, seed byte) error {
	message := make([]byte, size)
	for i := range message {
		message[i] = byte(i)*31 + seed + byte(i>>8)
	}
	back, err := t.exchange(message)
	if err != nil {
		return fmt.Errorf("%d octets: %w", size, err)
	}
	if !bytes.Equal(message, back) {
		return fmt.Errorf("%d octets: %d others came back", size, len(back))
	}
	return nil
}

// Close ends the flow.
func (t *Talk) Close() { t.close() }

// A Kind is a way to talk.
type Kind struct {
	Name  string
	Proto uint8 // on the wire
	// Option is what the kernel is configured with if it has the protocol, empty if all kernels have.
	Option string
	// Protocol is the name in /proc/net/protocols of one that kernels may lack although no option says so.
	Protocol string
	Max      int // octets of a message
	Open     func(Ends) (*Talk, error)
}

// inPacket is what fits a packet of 1500 octets with every header that the lab puts in front.
const inPacket = 1400

// Kinds are all ways to talk.
func Kinds() []Kind {
	const stream, datagram, raw, seqpacket = unix.SOCK_STREAM, unix.SOCK_DGRAM, unix.SOCK_RAW, unix.SOCK_SEQPACKET
	dgram := func(kind, proto int, connected bool, set ...option) func(Ends) (*Talk, error) {
		return func(e Ends) (*Talk, error) { return openDatagram(e, kind, proto, connected, set...) }
	}
	streams := func(kind, proto int, set ...option) func(Ends) (*Talk, error) {
		return func(e Ends) (*Talk, error) { return openStream(e, kind, proto, set...) }
	}
	return []Kind{
		{Name: "tcp", Proto: packet.TCP, Max: 300000, Open: streams(stream, unix.IPPROTO_TCP)},
		{Name: "udp, connected", Proto: packet.UDP, Max: inPacket, Open: dgram(datagram, unix.IPPROTO_UDP, true)},
		{Name: "udp, unconnected", Proto: packet.UDP, Max: inPacket, Open: dgram(datagram, unix.IPPROTO_UDP, false)},
		{Name: "udp-lite, connected", Proto: packet.UDPLite, Protocol: "UDPLITEv6", Max: inPacket,
			Open: dgram(datagram, unix.IPPROTO_UDPLITE, true, partly...)},
		{Name: "udp-lite, unconnected", Proto: packet.UDPLite, Protocol: "UDPLITEv6", Max: inPacket,
			Open: dgram(datagram, unix.IPPROTO_UDPLITE, false)},
		{Name: "sctp, one to one", Proto: packet.SCTP, Option: "CONFIG_IP_SCTP", Max: 60000, Open: streams(stream, unix.IPPROTO_SCTP)},
		{Name: "sctp, one to many", Proto: packet.SCTP, Option: "CONFIG_IP_SCTP", Max: 20000, Open: dgram(seqpacket, unix.IPPROTO_SCTP, false)},
		{Name: "dccp", Proto: packet.DCCP, Option: "CONFIG_IP_DCCP", Max: 1300, Open: streams(unix.SOCK_DCCP, unix.IPPROTO_DCCP, service)},
		// Every raw socket of a protocol sees all of its packets.
		{Name: "raw, connected", Proto: packet.Test, Max: inPacket, Open: dgram(raw, packet.Test, true)},
		{Name: "raw, unconnected", Proto: packet.Test + 1, Max: inPacket, Open: dgram(raw, packet.Test+1, false)},
		{Name: "raw with its own IPv6 header", Proto: packet.Test - 1, Max: inPacket, Open: func(e Ends) (*Talk, error) {
			return openHeaderIncluded(e, packet.Test-1)
		}},
		{Name: "ICMPv6 echo", Proto: packet.ICMPv6, Max: inPacket, Open: func(e Ends) (*Talk, error) { return openEcho(e, raw) }},
		{Name: "ICMPv6 echo without privilege", Proto: packet.ICMPv6, Max: inPacket, Open: func(e Ends) (*Talk, error) { return openEcho(e, datagram) }},
		{Name: "quic", Proto: packet.UDP, Max: 100000, Open: openQUIC},
		{Name: "tcp in wireguard", Proto: packet.UDP, Option: "CONFIG_WIREGUARD", Max: 100000, Open: openWireguard},
	}
}

// An option of a socket of four octets.
type option struct{ level, name, value int }

// UDP-Lite: the checksum covers the header and four octets (RFC 3828), and what covers less is refused. UDPLITE_SEND_CSCOV is
// 10, UDPLITE_RECV_CSCOV 11.
var partly = []option{{unix.IPPROTO_UDPLITE, 10, 12}, {unix.IPPROTO_UDPLITE, 11, 12}}

// DCCP wants a service code (RFC 4340 section 8.1.2); DCCP_SOCKOPT_SERVICE is 2.
var service = option{unix.SOL_DCCP, 2, 0x1234}

// listenerBacklog is more than one.
const listenerBacklog = 2

// socket makes a bound socket in a node.
func socket(n *node.Node, kind, proto int, at netip.AddrPort, set ...option) (fd int, err error) {
	err = n.Do(func() error {
		if fd, err = unix.Socket(unix.AF_INET6, kind|unix.SOCK_CLOEXEC, proto); err != nil {
			return fmt.Errorf("socket: %w", err)
		}
		timeout := unix.NsecToTimeval(patience.Nanoseconds())
		err := errors.Join(
			unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout),
			unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &timeout),
		)
		for _, o := range set {
			if setErr := unix.SetsockoptInt(fd, o.level, o.name, o.value); setErr != nil {
				err = errors.Join(err, fmt.Errorf("option %d of %d: %w", o.name, o.level, setErr))
			}
		}
		if err == nil {
			err = unix.Bind(fd, sockaddr(at))
		}
		if err != nil {
			unix.Close(fd)
		}
		return err
	})
	if err != nil {
		return -1, fmt.Errorf("%s: %w", n.Name, err)
	}
	return fd, nil
}

func sockaddr(a netip.AddrPort) *unix.SockaddrInet6 {
	return &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
}

func addrPort(sa unix.Sockaddr) netip.AddrPort {
	if in6, ok := sa.(*unix.SockaddrInet6); ok {
		return netip.AddrPortFrom(netip.AddrFrom16(in6.Addr), uint16(in6.Port))
	}
	return netip.AddrPort{}
}

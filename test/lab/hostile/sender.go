// SPDX-License-Identifier: MIT

package hostile

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"shim6/test/lab/node"
	"shim6/test/lab/packet"
)

// A Sender sends packets from a node with whatever source address they claim.
type Sender struct{ socket int }

// NewSender opens a raw socket in a node.
func NewSender(n *node.Node) (*Sender, error) {
	s := new(Sender)
	err := n.Do(func() (err error) {
		// A socket of protocol 255 takes the IPv6 header from us.
		s.socket, err = unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("raw socket in %s: %w", n.Name, err)
	}
	return s, nil
}

// Send sends one message.
func (s *Sender) Send(src, dst netip.Addr, m Message) error {
	if err := s.SendPacket(packet.Make(src, dst, packet.Shim6, m.Octets)); err != nil {
		return fmt.Errorf("%s: %w", m.Name, err)
	}
	return nil
}

// SendPacket sends an IPv6 packet as it is, whatever follows its header.
func (s *Sender) SendPacket(octets []byte) error {
	const destination = 24 // in the IPv6 header
	if len(octets) < destination+16 {
		return fmt.Errorf("%d octets are no IPv6 packet", len(octets))
	}
	to := [16]byte(octets[destination:])
	if err := unix.Sendto(s.socket, octets, 0, &unix.SockaddrInet6{Addr: to}); err != nil {
		return fmt.Errorf("send to %v: %w", netip.AddrFrom16(to), err)
	}
	return nil
}

// Close closes the socket.
func (s *Sender) Close() { unix.Close(s.socket) }

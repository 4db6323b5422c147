// SPDX-License-Identifier: MIT

package hostile

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"shim6/test/lab/node"
)

const (
	protocolShim6 = 140
	headerOctets  = 40
	hopLimit      = 64
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
	packet := make([]byte, headerOctets, headerOctets+len(m.Octets))
	packet[0] = 6 << 4
	binary.BigEndian.PutUint16(packet[4:], uint16(len(m.Octets)))
	packet[6], packet[7] = protocolShim6, hopLimit
	from, to := src.As16(), dst.As16()
	copy(packet[8:], from[:])
	copy(packet[24:], to[:])
	packet = append(packet, m.Octets...)
	if err := unix.Sendto(s.socket, packet, 0, &unix.SockaddrInet6{Addr: to}); err != nil {
		return fmt.Errorf("send %s to %v: %w", m.Name, dst, err)
	}
	return nil
}

// Close closes the socket.
func (s *Sender) Close() { unix.Close(s.socket) }

// SPDX-License-Identifier: MIT

package genl

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

const (
	headerOctets     = 16 + 4 // of netlink and of generic netlink
	receiveOctets    = 1 << 16
	familyVersion    = 1
	receiveTimeoutMS = 10000
)

// A Socket sends requests as they are given, headers included if wished, and takes one system call of the calling thread for
// each: a trace of that thread then shows what the module did about it.
type Socket struct {
	fd     int
	family uint16
	seq    uint32
	buf    []byte
}

// Open opens a socket in the namespace of the calling thread.
func Open() (*Socket, error) {
	conn, err := Dial(0)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	s := &Socket{family: conn.family.ID, buf: make([]byte, receiveOctets)}
	s.fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_GENERIC)
	if err != nil {
		return nil, fmt.Errorf("generic netlink: %w", err)
	}
	err = unix.Connect(s.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	if err == nil {
		err = unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: receiveTimeoutMS / 1000})
	}
	if err != nil {
		unix.Close(s.fd)
		return nil, fmt.Errorf("generic netlink: %w", err)
	}
	return s, nil
}

// Family is the number of the family.
func (s *Socket) Family() uint16 { return s.family }

// Close closes the socket.
func (s *Socket) Close() { unix.Close(s.fd) }

// Message is a request with its headers.
func (s *Socket) Message(command uint8, flags netlink.HeaderFlags, attrs []byte) []byte {
	s.seq++
	b := make([]byte, headerOctets, headerOctets+len(attrs))
	binary.NativeEndian.PutUint32(b, uint32(headerOctets+len(attrs)))
	binary.NativeEndian.PutUint16(b[4:], s.family)
	binary.NativeEndian.PutUint16(b[6:], uint16(flags))
	binary.NativeEndian.PutUint32(b[8:], s.seq)
	b[16], b[17] = command, familyVersion
	return append(b, attrs...)
}

// Send sends a message. The error is that of the socket; the module's comes as a reply.
func (s *Socket) Send(message []byte) error {
	// Not by package unix, whose Write tells the scheduler: the thread may do nothing else meanwhile.
	if _, _, errno := rawWrite(s.fd, message); errno != 0 {
		return errno
	}
	return nil
}

// Result reads until the acknowledgement, the error or the end of the dump for the last message, and returns the kernel's error.
func (s *Socket) Result() error {
	for {
		n, err := unix.Read(s.fd, s.buf)
		if err != nil {
			return fmt.Errorf("generic netlink: %w", err)
		}
		for b := s.buf[:n]; len(b) >= 16; {
			length := int(binary.NativeEndian.Uint32(b))
			if length < 16 || length > len(b) {
				return errors.New("generic netlink: a reply of a wrong length")
			}
			kind, seq := netlink.HeaderType(binary.NativeEndian.Uint16(b[4:])), binary.NativeEndian.Uint32(b[8:])
			if seq == s.seq && (kind == netlink.Error || kind == netlink.Done) {
				if length < 20 {
					return nil
				}
				if code := int32(binary.NativeEndian.Uint32(b[16:])); code < 0 {
					return unix.Errno(-code)
				}
				return nil
			}
			b = b[min(len(b), (length+3)&^3):]
		}
	}
}

// Drain throws away what has come, without waiting.
func (s *Socket) Drain() {
	for {
		if _, _, err := unix.Recvfrom(s.fd, s.buf, unix.MSG_DONTWAIT); err != nil && !errors.Is(err, unix.ENOBUFS) {
			return
		}
	}
}

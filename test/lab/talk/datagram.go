// SPDX-License-Identifier: MIT

package talk

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"shim6/test/lab/packet"
)

// maxMessage is more than any message.
const maxMessage = 1 << 17

// openDatagram talks by sockets that keep messages apart. Raw sockets have no ports, and SCTP's of this kind listen.
func openDatagram(e Ends, kind, proto int, connected bool, set ...option) (*Talk, error) {
	atA, atB := e.atA(), e.atB()
	if kind == unix.SOCK_RAW {
		atA, atB = netip.AddrPortFrom(e.AddrA, 0), netip.AddrPortFrom(e.AddrB, 0)
	}
	a, b, err := sockets(e, kind, proto, atA, atB, set...)
	if err != nil {
		return nil, err
	}
	if kind == unix.SOCK_SEQPACKET {
		err = unix.Listen(b, listenerBacklog)
	}
	if connected {
		err = errors.Join(err, unix.Connect(a, sockaddr(atB)), unix.Connect(b, sockaddr(atA)))
	}
	if err != nil {
		return nil, errors.Join(err, unix.Close(a), unix.Close(b))
	}
	to, back := sockaddr(atB), sockaddr(atA)
	if connected {
		to, back = nil, nil
	}
	answers := answer(b, atA, back)
	return &Talk{
		exchange: func(message []byte) ([]byte, error) {
			if err := send(a, message, to); err != nil {
				return nil, errors.Join(err, answers.trouble())
			}
			got, err := receive(a, atB)
			return got, errors.Join(err, answers.trouble())
		},
		close: func() {
			unix.Close(a)
			answers.end()
		},
	}, nil
}

func sockets(e Ends, kind, proto int, atA, atB netip.AddrPort, set ...option) (a, b int, err error) {
	if a, err = socket(e.A, kind, proto, atA, set...); err != nil {
		return -1, -1, err
	}
	if b, err = socket(e.B, kind, proto, atB, set...); err != nil {
		return -1, -1, errors.Join(err, unix.Close(a))
	}
	return a, b, nil
}

// send sends a message, where the socket is connected to when to is nil.
func send(fd int, message []byte, to *unix.SockaddrInet6) error {
	if to == nil {
		_, err := unix.Write(fd, message)
		return err
	}
	return unix.Sendto(fd, message, 0, to)
}

// receive takes one message, which must be from an address. Raw sockets tell the protocol as the port.
func receive(fd int, from netip.AddrPort) ([]byte, error) {
	buffer := make([]byte, maxMessage)
	n, sender, err := unix.Recvfrom(fd, buffer, 0)
	for errors.Is(err, unix.EINTR) {
		n, sender, err = unix.Recvfrom(fd, buffer, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("receive: %w", err)
	}
	got := addrPort(sender)
	if got.IsValid() && (got.Addr() != from.Addr() || from.Port() != 0 && got.Port() != from.Port()) {
		return nil, fmt.Errorf("a message from %v, not %v", got, from)
	}
	return buffer[:n], nil
}

// answers sends back what comes.
type answers struct {
	fd   int
	over atomic.Bool
	done chan struct{}
	mu   sync.Mutex
	err  error
}

// answer sends back what comes from an address, until the socket is closed.
func answer(fd int, from netip.AddrPort, to *unix.SockaddrInet6) *answers {
	a := &answers{fd: fd, done: make(chan struct{})}
	go func() {
		defer close(a.done)
		for !a.over.Load() {
			message, err := receive(fd, from)
			if errors.Is(err, unix.EAGAIN) {
				continue
			}
			if err == nil && len(message) == 0 {
				return
			}
			if err == nil {
				err = send(fd, message, to)
			}
			if err != nil {
				a.mu.Lock()
				a.err = fmt.Errorf("the answering side: %w", err)
				a.mu.Unlock()
				return
			}
		}
	}()
	return a
}

func (a *answers) trouble() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

// end wakes the reader, or waits until it looks up, and closes the socket.
func (a *answers) end() {
	a.over.Store(true)
	_ = unix.Shutdown(a.fd, unix.SHUT_RDWR)
	<-a.done
	unix.Close(a.fd)
}

// openHeaderIncluded talks by packets whose IPv6 header comes from us.
func openHeaderIncluded(e Ends, proto int) (*Talk, error) {
	t, err := openDatagram(e, unix.SOCK_RAW, proto, false)
	if err != nil {
		return nil, err
	}
	// The socket of protocol 255 sends alone; what comes back is read by one of the protocol.
	raw, err := socket(e.A, unix.SOCK_RAW, unix.IPPROTO_RAW, netip.AddrPortFrom(e.AddrA, 0))
	if err != nil {
		t.Close()
		return nil, err
	}
	reader, err := socket(e.A, unix.SOCK_RAW, proto, netip.AddrPortFrom(e.AddrA, 0))
	if err != nil {
		t.Close()
		return nil, errors.Join(err, unix.Close(raw))
	}
	from := netip.AddrPortFrom(e.AddrB, 0)
	return &Talk{
		exchange: func(message []byte) ([]byte, error) {
			err := unix.Sendto(raw, packet.Make(e.AddrA, e.AddrB, uint8(proto), message), 0, sockaddr(from))
			if err != nil {
				return nil, err
			}
			return receive(reader, from)
		},
		close: func() {
			unix.Close(raw)
			unix.Close(reader)
			t.Close()
		},
	}, nil
}

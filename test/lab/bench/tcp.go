// SPDX-License-Identifier: MIT

package bench

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

const (
	tcpBlock = 64 << 10
	// tcpAhead is how far the sender runs ahead of the receiver, well within both buffers: as far as one that has the processor
	// for some time.
	tcpAhead  = 1 << 20
	tcpBuffer = 4 << 20
)

// tcpFlow makes a connection from host a to host b.
func tcpFlow(n *network, prepare func(fd int) error) (*flow, error) {
	f := &flow{tx: -1, rx: -1, buf: make([]byte, tcpBlock)}
	listener, err := listen(n, port)
	if err != nil {
		return nil, err
	}
	defer unix.Close(listener)
	err = n.a.Do(func() (err error) {
		if f.tx, err = tcpSocket(); err != nil {
			return err
		}
		if prepare != nil {
			if err := prepare(f.tx); err != nil {
				return err
			}
		}
		return errors.Join(
			unix.Bind(f.tx, sockaddr(netip.AddrPortFrom(n.ulidA, 0))),
			unix.Connect(f.tx, sockaddr(netip.AddrPortFrom(n.ulidB, port))),
			unix.SetNonblock(f.tx, true),
		)
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("sender of %s: %w", n.name, err), f.close())
	}
	if f.rx, _, err = unix.Accept4(listener, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK); err != nil {
		return nil, errors.Join(fmt.Errorf("receiver of %s: %w", n.name, err), f.close())
	}
	return f, nil
}

// listen opens host b's port.
func listen(n *network, port uint16) (int, error) {
	fd := -1
	err := n.b.Do(func() (err error) {
		if fd, err = tcpSocket(); err != nil {
			return err
		}
		return errors.Join(unix.Bind(fd, sockaddr(netip.AddrPortFrom(n.ulidB, port))), unix.Listen(fd, 1024))
	})
	if err != nil {
		return -1, fmt.Errorf("listen in %s: %w", n.name, err)
	}
	return fd, nil
}

func tcpSocket() (int, error) {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	return fd, errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, tcpBuffer),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, tcpBuffer),
	)
}

// runTCP moves octets from host a to host b and returns how often both had to wait for the other's kernel.
func (f *flow) runTCP(octets int) (stalls int, err error) {
	sent, received := 0, 0
	for received < octets {
		before := sent + received
		for sent < octets && sent-received < tcpAhead {
			n, errno := send(f.tx, f.buf[:min(tcpBlock, octets-sent)])
			if errno == unix.EAGAIN {
				break
			}
			if n < 0 {
				return stalls, fmt.Errorf("send: %w", errno)
			}
			sent += n
		}
		for received < sent {
			n, errno := receive(f.rx, f.buf)
			if errno == unix.EAGAIN {
				break
			}
			if n <= 0 {
				return stalls, fmt.Errorf("receive: %w", errno)
			}
			received += n
		}
		if sent+received == before {
			stalls++
			if err := wait(f.rx, unix.POLLIN); err != nil {
				return stalls, err
			}
		}
	}
	return stalls, nil
}

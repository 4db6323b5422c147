// SPDX-License-Identifier: MIT

package traffic

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"shim6/test/lab/node"
)

// Socket options of SCTP (include/uapi/linux/sctp.h).
const (
	sctpNoDelay     = 3
	sctpDelayedSack = 16
	sctpBindxAdd    = 100
)

// SCTP is the Transport of that name. The ends have more addresses than those of the connection. Tuned ends do not delay
// acknowledgements; the rest of the tuning is the namespaces' (TuneSCTP).
func SCTP(tuned bool, moreNear, moreFar []netip.Addr) Transport {
	return func(from, to *node.Node, src, dst netip.AddrPort) (near, far net.Conn, err error) {
		var listener int
		err = to.Do(func() (err error) {
			listener, err = sctpSocket(tuned, dst, moreFar)
			if err == nil {
				err = unix.Listen(listener, 1)
			}
			return err
		})
		if err != nil {
			return nil, nil, fmt.Errorf("listen in %s: %w", to.Name, err)
		}
		defer unix.Close(listener)
		var fd int
		err = from.Do(func() (err error) {
			if fd, err = sctpSocket(tuned, src, moreNear); err != nil {
				return err
			}
			return unix.Connect(fd, &unix.SockaddrInet6{Port: int(dst.Port()), Addr: dst.Addr().As16()})
		})
		if err != nil {
			return nil, nil, fmt.Errorf("connect from %s: %w", from.Name, err)
		}
		accepted, _, err := unix.Accept(listener)
		if err != nil {
			return nil, nil, errors.Join(err, unix.Close(fd))
		}
		return newSCTPConn(fd), newSCTPConn(accepted), nil
	}
}

// TuneSCTP sets the timeouts of associations to come in a host: the kernel's defaults, or 20 to 200 ms, heartbeats each 200 ms and
// paths that fail with the second loss.
func TuneSCTP(n *node.Node, tuned bool) error {
	for _, x := range []struct{ key, usual, tuned string }{
		{"rto_max", "60000", "200"}, {"rto_min", "1000", "20"}, {"rto_initial", "3000", "100"}, {"path_max_retrans", "5", "1"}, {"hb_interval", "30000", "200"},
	} {
		value := x.usual
		if tuned {
			value = x.tuned
		}
		// The least and the most bound each other and the initial one: whichever way they move, the second try fits.
		_ = n.Sysctl("net/sctp/"+x.key, value)
	}
	for _, x := range []struct{ key, usual, tuned string }{
		{"rto_min", "1000", "20"}, {"rto_initial", "3000", "100"}, {"rto_max", "60000", "200"}, {"path_max_retrans", "5", "1"}, {"hb_interval", "30000", "200"},
	} {
		value := x.usual
		if tuned {
			value = x.tuned
		}
		if err := n.Sysctl("net/sctp/"+x.key, value); err != nil {
			return fmt.Errorf("net.sctp.%s = %s in %s: %w", x.key, value, n.Name, err)
		}
	}
	return nil
}

func sctpSocket(tuned bool, at netip.AddrPort, more []netip.Addr) (fd int, err error) {
	if fd, err = unix.Socket(unix.AF_INET6, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_SCTP); err != nil {
		return 0, fmt.Errorf("SCTP socket: %w", err)
	}
	defer func() {
		if err != nil {
			_ = unix.Close(fd)
		}
	}()
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_SCTP, sctpNoDelay, 1); err != nil {
		return fd, fmt.Errorf("SCTP_NODELAY: %w", err)
	}
	if tuned {
		if err := tuneSCTP(fd); err != nil {
			return fd, err
		}
	}
	if err := unix.Bind(fd, &unix.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()}); err != nil {
		return fd, fmt.Errorf("bind to %v: %w", at, err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return fd, err
	}
	port := name.(*unix.SockaddrInet6).Port
	for _, a := range more {
		if err := unix.SetsockoptString(fd, unix.IPPROTO_SCTP, sctpBindxAdd, string(sockaddr(a, port))); err != nil {
			return fd, fmt.Errorf("bind to %v, too: %w", a, err)
		}
	}
	return fd, nil
}

// sockaddr is a struct sockaddr_in6.
func sockaddr(a netip.Addr, port int) []byte {
	b := binary.NativeEndian.AppendUint16(nil, unix.AF_INET6)
	b = binary.BigEndian.AppendUint16(b, uint16(port))
	b = append(b, make([]byte, 4)...)
	octets := a.As16()
	b = append(b, octets[:]...)
	return append(b, make([]byte, 4)...)
}

// tuneSCTP turns delayed acknowledgements off. Struct sctp_sack_info: association, delay, frequency.
func tuneSCTP(fd int) error {
	var b []byte
	for _, x := range []uint32{0, 0, 1} {
		b = binary.NativeEndian.AppendUint32(b, x)
	}
	if err := unix.SetsockoptString(fd, unix.IPPROTO_SCTP, sctpDelayedSack, string(b)); err != nil {
		return fmt.Errorf("SCTP_DELAYED_SACK: %w", err)
	}
	return nil
}

// sctpConn is a blocking socket: package net knows no SCTP.
type sctpConn struct {
	net.Conn // none: what is not below is not used
	fd       int
}

func newSCTPConn(fd int) net.Conn { return &sctpConn{fd: fd} }

func (c *sctpConn) Read(b []byte) (int, error) {
	n, err := unix.Read(c.fd, b)
	if err == nil && n == 0 {
		err = net.ErrClosed
	}
	return max(n, 0), os.NewSyscallError("read", err)
}

func (c *sctpConn) Write(b []byte) (int, error) {
	n, err := unix.Write(c.fd, b)
	return max(n, 0), os.NewSyscallError("write", err)
}

// Close ends both directions at once, so that a Read that waits returns.
func (c *sctpConn) Close() error {
	_ = unix.Shutdown(c.fd, unix.SHUT_RDWR)
	time.Sleep(10 * time.Millisecond)
	return unix.Close(c.fd)
}

// SPDX-License-Identifier: MIT

package bench

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	port     = 7002
	udpBatch = 16
)

// errLost says that something did not arrive.
var errLost = errors.New("a packet was lost")

// A flow is a sender and a receiver, in namespaces of their own, that one thread runs in turn.
type flow struct {
	tx, rx int
	buf    []byte
}

// udpFlow connects a UDP socket of host a with one of host b; prepare may set options of the sender's.
func udpFlow(n *network, payload int, prepare func(fd int) error) (*flow, error) {
	f := &flow{tx: -1, rx: -1, buf: make([]byte, payload)}
	from, to := netip.AddrPortFrom(n.ulidA, port), netip.AddrPortFrom(n.ulidB, port)
	err := n.b.Do(func() (err error) {
		if f.rx, err = unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
			return err
		}
		return errors.Join(unix.Bind(f.rx, sockaddr(to)), unix.Connect(f.rx, sockaddr(from)))
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("receiver of %s: %w", n.name, err), f.close())
	}
	err = n.a.Do(func() (err error) {
		if f.tx, err = unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		if prepare != nil {
			if err := prepare(f.tx); err != nil {
				return err
			}
		}
		return errors.Join(unix.Bind(f.tx, sockaddr(from)), unix.Connect(f.tx, sockaddr(to)))
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("sender of %s: %w", n.name, err), f.close())
	}
	return f, nil
}

// warmUDP sends until packets arrive: neighbours have to be found first.
func (f *flow) warmUDP(count int) error {
	var err error
	for range 20 {
		if err = f.runUDP(udpBatch); err == nil {
			return f.runUDP(count)
		}
		if !errors.Is(err, errLost) {
			return err
		}
		time.Sleep(100 * time.Millisecond)
		for { // what came late
			if n, _ := receive(f.rx, f.buf); n < 0 {
				break
			}
		}
	}
	return err
}

// runUDP sends count packets, a multiple of a batch, and receives them.
func (f *flow) runUDP(count int) error {
	for range count / udpBatch {
		for range udpBatch {
			if n, errno := send(f.tx, f.buf); n != len(f.buf) {
				return fmt.Errorf("send: %w", errno)
			}
		}
		for range udpBatch {
			n, errno := receive(f.rx, f.buf)
			if errno == unix.EAGAIN {
				// The kernel has put off its work, which happens when a clock interrupt comes in the middle of it.
				if err := wait(f.rx, unix.POLLIN); err != nil {
					return err
				}
				n, errno = receive(f.rx, f.buf)
			}
			if n != len(f.buf) {
				return fmt.Errorf("receive: %w", errno)
			}
		}
	}
	return nil
}

func (f *flow) close() error {
	var errs []error
	for _, fd := range []int{f.tx, f.rx} {
		if fd >= 0 {
			errs = append(errs, unix.Close(fd))
		}
	}
	return errors.Join(errs...)
}

// send and receive are bare system calls, which the Go runtime does not see. They return -1 with an error.
func send(fd int, b []byte) (int, unix.Errno) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), unix.MSG_NOSIGNAL, 0, 0)
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

func receive(fd int, b []byte) (int, unix.Errno) {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), unix.MSG_DONTWAIT, 0, 0)
		if errno != unix.EINTR {
			return int(n), errno
		}
	}
}

// wait waits until a socket is ready, one second at most.
func wait(fd int, events int16) error {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: events}}, 1000)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("poll: %w", err)
		case n == 0:
			return errLost
		default:
			return nil
		}
	}
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	return &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
}

// SPDX-License-Identifier: MIT

package traffic

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"shim6/test/lab/node"
)

// A Stream moves random octets in one TCP connection, as fast as that goes.
type Stream struct {
	From, To *node.Node
	Src, Dst netip.Addr
	Port     uint16
	Octets   int
	// Device is what the sender's socket is bound to, Peer what the receiver's is; empty for none.
	Device, Peer string
}

// Run moves the octets and returns how long that took, connecting included. Other octets than those sent, and not to be done
// within the limit, are errors.
func (s Stream) Run(limit time.Duration) (time.Duration, error) {
	deadline := time.Now().Add(limit)
	var listener net.Listener
	err := s.To.Do(func() (err error) {
		config := net.ListenConfig{Control: bind(s.Peer)}
		listener, err = config.Listen(context.Background(), "tcp6", netip.AddrPortFrom(s.Dst, s.Port).String())
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("listen in %s: %w", s.To.Name, err)
	}
	defer listener.Close()
	start := time.Now()
	got := make(chan received, 1)
	go receive(listener, deadline, got)

	var out net.Conn
	err = s.From.Do(func() (err error) {
		dialer := net.Dialer{
			LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(s.Src, 0)), Deadline: deadline, KeepAlive: -1, Control: bind(s.Device),
		}
		out, err = dialer.Dial("tcp6", netip.AddrPortFrom(s.Dst, s.Port).String())
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("connect from %v in %s: %w", s.Src, s.From.Name, err)
	}
	defer out.Close()
	sum := sha256.New()
	source := io.TeeReader(io.LimitReader(rand.NewChaCha8([32]byte{byte(s.Port)}), int64(s.Octets)), sum)
	_ = out.SetDeadline(deadline)
	// In writes that are larger than any packet can be.
	if _, err = io.CopyBuffer(struct{ io.Writer }{out}, source, make([]byte, 1<<20)); err == nil {
		err = out.(*net.TCPConn).CloseWrite()
	}
	if err != nil {
		return 0, fmt.Errorf("send from %s: %w", s.From.Name, err)
	}
	r := <-got
	switch {
	case r.err != nil:
		return 0, fmt.Errorf("receive in %s after %d of %d octets: %w", s.To.Name, r.octets, s.Octets, r.err)
	case r.octets != int64(s.Octets) || !bytes.Equal(r.sum, sum.Sum(nil)):
		return 0, fmt.Errorf("%d octets arrived in %s, which are not the %d that were sent", r.octets, s.To.Name, s.Octets)
	}
	return time.Since(start), nil
}

type received struct {
	octets int64
	sum    []byte
	err    error
}

func receive(listener net.Listener, deadline time.Time, got chan<- received) {
	var r received
	defer func() { got <- r }()
	if r.err = listener.(*net.TCPListener).SetDeadline(deadline); r.err != nil {
		return
	}
	var in net.Conn
	if in, r.err = listener.Accept(); r.err != nil {
		return
	}
	defer in.Close()
	_ = in.SetDeadline(deadline)
	sum := sha256.New()
	r.octets, r.err = io.CopyBuffer(sum, in, make([]byte, 1<<18))
	r.sum = sum.Sum(nil)
}

// bind makes a socket use a device alone.
func bind(device string) func(string, string, syscall.RawConn) error {
	if device == "" {
		return nil
	}
	return func(_, _ string, raw syscall.RawConn) error {
		var err error
		return errors.Join(raw.Control(func(fd uintptr) { err = unix.BindToDevice(int(fd), device) }), err)
	}
}

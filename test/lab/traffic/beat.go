// SPDX-License-Identifier: MIT

package traffic

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"shim6/test/lab/node"
)

// A Beat sends a few octets from one host to another at exact intervals and knows when they came. It answers each datagram, so
// that both directions have traffic, as TCP has.
type Beat struct {
	near, far net.Conn
	quit      chan struct{}
	wait      sync.WaitGroup

	mu    sync.Mutex
	last  time.Time // arrival
	gap   Silence   // the longest since Mark
	count int       // arrivals since the longest gap
	err   error     // of the sender
}

// A Silence is a time without arrivals.
type Silence struct{ From, To time.Time }

// Length is how long it was.
func (s Silence) Length() time.Duration { return s.To.Sub(s.From) }

const beatBytes = 200

// A Transport opens a connection from one address to another, of nodes, and returns both its ends.
type Transport func(from, to *node.Node, src, dst netip.AddrPort) (near, far net.Conn, err error)

// StartBeat begins a beat.
func StartBeat(t Transport, from, to *node.Node, src, dst netip.AddrPort, interval time.Duration) (*Beat, error) {
	s := &Beat{quit: make(chan struct{})}
	var err error
	if s.near, s.far, err = t(from, to, src, dst); err != nil {
		return nil, err
	}
	s.last = time.Now()
	s.Mark()
	s.wait.Go(s.takeAll)
	s.wait.Go(func() { s.sendAll(interval) })
	if _, datagrams := s.near.(*net.UDPConn); datagrams {
		s.wait.Go(func() { drain(s.near) })
	}
	return s, nil
}

func drain(c net.Conn) {
	buf := make([]byte, 2*beatBytes)
	for {
		// Whatever comes back is an answer; an ICMPv6 error is told like a failed read.
		if _, err := c.Read(buf); errors.Is(err, net.ErrClosed) {
			return
		}
	}
}

func (s *Beat) sendAll(interval time.Duration) {
	block := make([]byte, beatBytes)
	_, datagrams := s.near.(*net.UDPConn)
	for at := time.Now(); ; at = at.Add(interval) {
		select {
		case <-s.quit:
			return
		case <-time.After(time.Until(at)):
		}
		// A datagram that is refused is one that is lost.
		if _, err := s.near.Write(block); err != nil && !datagrams {
			s.mu.Lock()
			s.err = err
			s.mu.Unlock()
			return
		}
	}
}

func (s *Beat) takeAll() {
	buf := make([]byte, 1<<16)
	far, datagrams := s.far.(*net.UDPConn)
	for {
		var err error
		if datagrams {
			var from netip.AddrPort
			if _, from, err = far.ReadFromUDPAddrPort(buf); err == nil {
				_, _ = far.WriteToUDPAddrPort(buf[:beatBytes], from)
			}
		} else {
			var n int
			n, err = s.far.Read(buf)
			if n == 0 && err == nil {
				err = errors.New("nothing was read")
			}
		}
		if errors.Is(err, net.ErrClosed) || err != nil && !datagrams {
			return
		}
		if err == nil {
			s.arrived(time.Now())
		}
	}
}

func (s *Beat) arrived(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at.Sub(s.last) > s.gap.Length() {
		s.gap, s.count = Silence{s.last, at}, 0
	}
	s.count++
	s.last = at
}

// Mark forgets the silences until now.
func (s *Beat) Mark() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gap, s.count = Silence{}, 0
}

// Longest is the longest silence since Mark that is over, how many arrivals came since its end, and what ended the beat if anything
// did.
func (s *Beat) Longest() (gap Silence, since int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gap, s.count, s.err
}

// End ends the beat.
func (s *Beat) End() {
	close(s.quit)
	_ = s.near.Close()
	_ = s.far.Close()
	s.wait.Wait()
}

// UDP is the Transport of that name.
func UDP(from, to *node.Node, src, dst netip.AddrPort) (near, far net.Conn, err error) {
	err = to.Do(func() (err error) {
		far, err = net.ListenUDP("udp6", net.UDPAddrFromAddrPort(dst))
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("listen in %s: %w", to.Name, err)
	}
	err = from.Do(func() (err error) {
		near, err = net.DialUDP("udp6", net.UDPAddrFromAddrPort(src), net.UDPAddrFromAddrPort(dst))
		return err
	})
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("send from %s: %w", from.Name, err), far.Close())
	}
	return near, far, nil
}

// TCP is the Transport of that name.
func TCP(from, to *node.Node, src, dst netip.AddrPort) (near, far net.Conn, err error) {
	return connect(from, to, src, dst, false)
}

// MPTCP is TCP over all paths that both hosts have been given.
func MPTCP(from, to *node.Node, src, dst netip.AddrPort) (near, far net.Conn, err error) {
	near, far, err = connect(from, to, src, dst, true)
	if err != nil {
		return nil, nil, err
	}
	if used, err := near.(*net.TCPConn).MultipathTCP(); err != nil || !used {
		return nil, nil, errors.Join(errors.New("the connection is no MPTCP"), err, near.Close(), far.Close())
	}
	return near, far, nil
}

func connect(from, to *node.Node, src, dst netip.AddrPort, multipath bool) (near, far net.Conn, err error) {
	var listener net.Listener
	err = to.Do(func() (err error) {
		c := net.ListenConfig{KeepAlive: -1}
		c.SetMultipathTCP(multipath)
		// MPTCP accepts further subflows at any address of the host.
		at := dst.String()
		if multipath {
			at = netip.AddrPortFrom(netip.IPv6Unspecified(), dst.Port()).String()
		}
		listener, err = c.Listen(context.Background(), "tcp6", at)
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("listen in %s: %w", to.Name, err)
	}
	err = from.Do(func() (err error) {
		d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(src), KeepAlive: -1, Timeout: 10 * time.Second}
		d.SetMultipathTCP(multipath)
		near, err = d.DialContext(context.Background(), "tcp6", dst.String())
		return err
	})
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("connect from %s: %w", from.Name, err), listener.Close())
	}
	if far, err = listener.Accept(); err != nil {
		return nil, nil, errors.Join(err, near.Close(), listener.Close())
	}
	return near, &accepted{far, listener}, nil
}

// accepted is a connection that keeps its listener: further subflows of MPTCP come to that.
type accepted struct {
	net.Conn
	listener net.Listener
}

func (a *accepted) Close() error { return errors.Join(a.listener.Close(), a.Conn.Close()) }

// SPDX-License-Identifier: MIT

package cases

import (
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"shim6/test/lab/topo"
)

// A pinger sends UDP packets from a1 to b1, at exact times, and has them answered or not. Nothing ever says that a port is closed.
// Its sockets are not connected, so they hold no context.
type pinger struct {
	a, b   *net.UDPConn
	peer   netip.AddrPort // of a
	silent atomic.Bool
	quit   chan struct{} // closed to end what is under way, nil for nothing
}

const (
	pingPort  = 4000
	pingBytes = 300
)

func newPinger(n *topo.Network) (*pinger, error) {
	p := &pinger{peer: netip.AddrPortFrom(n.B1, pingPort)}
	err := n.B.Do(func() (err error) {
		p.b, err = net.ListenUDP("udp6", net.UDPAddrFromAddrPort(p.peer))
		return err
	})
	if err != nil {
		return nil, err
	}
	err = n.A.Do(func() (err error) {
		p.a, err = net.ListenUDP("udp6", net.UDPAddrFromAddrPort(netip.AddrPortFrom(n.A1, pingPort)))
		return err
	})
	if err != nil {
		return nil, errors.Join(err, p.b.Close())
	}
	go p.answer()
	return p, nil
}

func (p *pinger) answer() {
	buf := make([]byte, pingBytes)
	for {
		n, from, err := p.b.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil && !p.silent.Load() {
			_, _ = p.b.WriteToUDPAddrPort(buf[:n], from)
		}
	}
}

// begin sends a packet at a time, and then one in each interval.
func (p *pinger) begin(at time.Time, interval time.Duration) {
	p.stop()
	p.silent.Store(false)
	quit := make(chan struct{})
	p.quit = quit
	go func() {
		for ; ; at = at.Add(interval) {
			select {
			case <-quit:
				return
			case <-time.After(time.Until(at)):
			}
			// A packet that is refused is one that is lost.
			_, _ = p.a.WriteToUDPAddrPort(make([]byte, pingBytes), p.peer)
		}
	}()
}

// mute ends the answers.
func (p *pinger) mute() { p.silent.Store(true) }

func (p *pinger) stop() {
	if p.quit != nil {
		close(p.quit)
		p.quit = nil
	}
}

func (p *pinger) close() {
	p.stop()
	_ = p.a.Close()
	_ = p.b.Close()
}

// SPDX-License-Identifier: MIT

package rawsock

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

func (h host) listenErrors(t *testing.T, withUnreachable bool) *ErrorConn {
	t.Helper()
	var c *ErrorConn
	h.do(t, func() {
		var err error
		if c, err = ListenErrors(withUnreachable); err != nil {
			t.Fatal(err)
		}
	})
	t.Cleanup(func() { c.Close() })
	return c
}

// RFC 5533 section 7.8: a host without Shim6 answers with an ICMP "unrecognized next header type" error.
func TestPeersWithoutShim6(t *testing.T) {
	a, _ := pair(t)
	ca, errs := a.listen(t), a.listenErrors(t, false)
	// Errors of another kind, and about another protocol: nobody listens on port 9, nobody speaks protocol 253.
	a.do(t, func() {
		for _, network := range []string{"udp6", "ip6:253"} {
			addr := b1.String()
			if network == "udp6" {
				addr = net.JoinHostPort(addr, "9")
			}
			c, err := net.Dial(network, addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := c.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
		}
	})
	// Host b has no socket of the protocol.
	a.send(t, ca, keepalive, a1, b1)
	if err := errs.p.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	got, err := errs.Read(make([]byte, 1500))
	if err != nil {
		t.Fatal(err)
	}
	if got.Src != b1 || got.Type != 4 || got.Code != 1 || len(got.Quoted) != 40+len(keepalive) ||
		!bytes.HasSuffix(got.Quoted, keepalive) || got.Quoted[0]>>4 != 6 || netip.AddrFrom16([16]byte(got.Quoted[24:40])) != b1 {
		t.Errorf("error %+v", got)
	}
	if err := errs.p.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if got, err := errs.Read(make([]byte, 1500)); err == nil {
		t.Errorf("another error %+v", got)
	}
}

// RFC 4443 section 3.1: code 3 is that a host cannot be reached, code 4 that a port cannot, which says nothing about paths.
func TestUnreachable(t *testing.T) {
	a, _ := pair(t)
	errs := a.listenErrors(t, true)
	a.do(t, func() {
		toAway := &net.IPNet{IP: away.AsSlice(), Mask: net.CIDRMask(128, 128)} // nobody on the link has that
		if err := netlink.RouteAdd(&netlink.Route{LinkIndex: link(t, "ab").Attrs().Index, Dst: toAway}); err != nil {
			t.Fatal(err)
		}
		for _, to := range []string{b1.String(), away.String()} {
			c, err := net.Dial("udp6", net.JoinHostPort(to, "9"))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := c.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
		}
	})
	if err := errs.p.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	got, err := errs.Read(make([]byte, 1500))
	if err != nil {
		t.Fatal(err)
	}
	if got.Type != 1 || got.Code != 3 || len(got.Quoted) < 40 || netip.AddrFrom16([16]byte(got.Quoted[24:40])) != away {
		t.Errorf("error %+v", got)
	}
}

func TestErrorsEndWithClose(t *testing.T) {
	c := newHost(t).listenErrors(t, false)
	done := make(chan error)
	go func() {
		_, err := c.Read(make([]byte, 1500))
		done <- err
	}()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("read after close: %v", err)
	}
}

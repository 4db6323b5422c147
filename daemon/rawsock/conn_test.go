// SPDX-License-Identifier: MIT

package rawsock

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

var (
	a1   = netip.MustParseAddr("2001:db8:a:1::1") // on host a's link
	a2   = netip.MustParseAddr("2001:db8:a:2::1") // on host a's loopback
	b1   = netip.MustParseAddr("2001:db8:b:1::1")
	away = netip.MustParseAddr("2001:db8:ffff::1")

	keepalive = []byte{59, 1, 66, 0, 0xab, 0xcd, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0} // its checksum is wrong on purpose
	payload   = []byte{59, 0, 0x80, 0, 0, 0, 0, 1}
)

// A host is a network namespace.
type host struct{ ns netns.NsHandle }

// newHost makes an empty network namespace with its loopback up.
func newHost(t *testing.T) host {
	t.Helper()
	runtime.LockOSThread()
	before, err := netns.Get()
	if err != nil {
		t.Fatalf("find own network namespace: %v", err)
	}
	defer before.Close()
	ns, err := netns.New()
	if err != nil {
		t.Fatalf("make a network namespace: %v; this test has to run as root", err)
	}
	t.Cleanup(func() { ns.Close() })
	if err := netns.Set(before); err != nil {
		t.Fatalf("return to own network namespace: %v", err) // leaves the thread locked, to be thrown away
	}
	runtime.UnlockOSThread()
	h := host{ns}
	h.do(t, func() { up(t, "lo") })
	return h
}

// do runs f in the host's network namespace.
func (h host) do(t *testing.T, f func()) {
	t.Helper()
	runtime.LockOSThread()
	before, err := netns.Get()
	if err != nil {
		t.Fatalf("find own network namespace: %v", err)
	}
	defer before.Close()
	if err := netns.Set(h.ns); err != nil {
		t.Fatalf("enter a network namespace: %v; this test has to run as root", err)
	}
	defer func() {
		if err := netns.Set(before); err != nil {
			t.Errorf("return to own network namespace: %v", err)
			return
		}
		runtime.UnlockOSThread()
	}()
	f()
}

func (h host) listen(t *testing.T) *Conn {
	t.Helper()
	var c *Conn
	h.do(t, func() {
		var err error
		if c, err = Listen(); err != nil {
			t.Fatal(err)
		}
	})
	t.Cleanup(func() { c.Close() })
	return c
}

func link(t *testing.T, name string) netlink.Link {
	t.Helper()
	l, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatalf("find link %s: %v", name, err)
	}
	return l
}

func up(t *testing.T, name string) {
	t.Helper()
	if err := netlink.LinkSetUp(link(t, name)); err != nil {
		t.Fatalf("set link %s up: %v", name, err)
	}
}

// assign gives link name an address and waits until the kernel delivers to it and lets it be a source, which it arranges
// in the background, on a busy machine noticeably later.
func assign(t *testing.T, name string, a netip.Addr) {
	t.Helper()
	ip := &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(128, 128)}
	if err := netlink.AddrAdd(link(t, name), &netlink.Addr{IPNet: ip, Flags: unix.IFA_F_NODAD}); err != nil {
		t.Fatalf("assign %s to %s: %v", a, name, err)
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		rs, err := netlink.RouteGet(ip.IP)
		if err == nil && len(rs) == 1 && rs[0].Type == unix.RTN_LOCAL && !tentative(t, name, a) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s does not become local: routes %v, %v", a, rs, err)
		}
	}
}

func tentative(t *testing.T, name string, a netip.Addr) bool {
	t.Helper()
	list, err := netlink.AddrList(link(t, name), netlink.FAMILY_V6)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		t.Fatalf("list addresses of %s: %v", name, err)
	}
	return !slices.ContainsFunc(list, func(x netlink.Addr) bool {
		return x.IP.Equal(a.AsSlice()) && x.Flags&unix.IFA_F_TENTATIVE == 0
	})
}

func route(t *testing.T, to netip.Addr, r netlink.Route) {
	t.Helper()
	r.Dst = &net.IPNet{IP: to.AsSlice(), Mask: net.CIDRMask(128, 128)}
	if err := netlink.RouteAdd(&r); err != nil {
		t.Fatalf("add route to %s: %v", to, err)
	}
}

// pair makes two hosts with a link between them: a has a1 and a2, b has b1.
func pair(t *testing.T) (a, b host) {
	t.Helper()
	a, b = newHost(t), newHost(t)
	a.do(t, func() {
		veth := &netlink.Veth{
			LinkAttrs: netlink.LinkAttrs{Name: "ab"}, PeerName: "ba", PeerNamespace: netlink.NsFd(b.ns),
		}
		if err := netlink.LinkAdd(veth); err != nil {
			t.Fatalf("add a veth pair: %v", err)
		}
		up(t, "ab")
		assign(t, "ab", a1)
		assign(t, "lo", a2)
		route(t, b1, netlink.Route{LinkIndex: link(t, "ab").Attrs().Index})
	})
	b.do(t, func() {
		up(t, "ba")
		assign(t, "ba", b1)
		route(t, a1, netlink.Route{LinkIndex: link(t, "ba").Attrs().Index})
		route(t, a2, netlink.Route{Gw: a1.AsSlice()}) // a does not answer for a2 on the link
		carries(t, "ba")
	})
	a.do(t, func() { carries(t, "ab") })
	return a, b
}

// carries waits until a link takes packets: until then it drops them without a word, questions for neighbours too.
func carries(t *testing.T, name string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); link(t, name).Attrs().OperState != netlink.OperUp; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("link %s does not come up", name)
		}
	}
}

// send sends m from host h and fails the test when it cannot.
func (h host) send(t *testing.T, c *Conn, m []byte, src, dst netip.Addr) {
	t.Helper()
	h.do(t, func() {
		if err := c.WriteTo(m, src, dst); err != nil {
			t.Fatal(err)
		}
	})
}

func expect(t *testing.T, c *Conn, m []byte, src, dst netip.Addr, hopLimit uint8) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 2048)
	n, gotSrc, gotDst, gotLimit, err := c.ReadFrom(buf)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(buf[:n], m) {
		t.Errorf("received %x, want %x", buf[:n], m)
	}
	if gotSrc != src || gotDst != dst || gotLimit != hopLimit {
		t.Errorf("from %s to %s, hop limit %d, want from %s to %s, hop limit %d", gotSrc, gotDst, gotLimit, src, dst, hopLimit)
	}
}

func TestSourceIsChosen(t *testing.T) {
	a, b := pair(t)
	ca, cb := a.listen(t), b.listen(t)
	for _, src := range []netip.Addr{a1, a2, a1} {
		a.send(t, ca, keepalive, src, b1)
		expect(t, cb, keepalive, src, b1, 64)
	}
	b.send(t, cb, keepalive, b1, a2)
	expect(t, ca, keepalive, b1, a2, 64)
}

func TestHopLimitIsToldToTheReader(t *testing.T) {
	a, b := pair(t)
	ca, cb := a.listen(t), b.listen(t)
	for _, limit := range []int{1, 255} {
		if err := ca.p.SetHopLimit(limit); err != nil {
			t.Fatal(err)
		}
		a.send(t, ca, keepalive, a1, b1)
		expect(t, cb, keepalive, a1, b1, uint8(limit))
	}
}

func TestLongestMessage(t *testing.T) {
	a, b := pair(t)
	ca, cb := a.listen(t), b.listen(t)
	m := bytes.Repeat([]byte{1}, 1240)
	a.send(t, ca, m, a1, b1)
	expect(t, cb, m, a1, b1, 64)
}

// RFC 5533 section 5.2: "P: Set to one. A single bit to distinguish this from the Shim6 control messages."
func TestPayloadPacketsAreFiltered(t *testing.T) {
	a, b := pair(t)
	ca, cb := a.listen(t), b.listen(t)
	for low := range 128 {
		m := bytes.Clone(payload)
		m[2] |= byte(low)
		a.send(t, ca, m, a1, b1)
	}
	for n := range 3 {
		a.send(t, ca, keepalive[:n], a1, b1) // too short for the bit
	}
	a.send(t, ca, keepalive, a1, b1)
	expect(t, cb, keepalive, a1, b1, 64)

	last := bytes.Clone(keepalive)
	last[2] = 0x7f
	a.send(t, ca, last, a1, b1)
	expect(t, cb, last, a1, b1, 64)
}

// RFC 5533 section 5.3: "there is no pseudo-header checksum part of the checksum".
func TestKernelLeavesTheChecksumAlone(t *testing.T) {
	h := newHost(t)
	c := h.listen(t)
	h.do(t, func() { assign(t, "lo", a1) })
	for _, sum := range [][2]byte{{0, 0}, {0xff, 0xff}, {0x73, 0xef}} {
		m := bytes.Clone(keepalive)
		m[4], m[5] = sum[0], sum[1]
		h.send(t, c, m, a1, a1)
		expect(t, c, m, a1, a1, 64)
	}
}

func TestSendErrors(t *testing.T) {
	a, _ := pair(t)
	c := a.listen(t)
	hole := netip.MustParseAddr("2001:db8:b:2::1")
	a.do(t, func() {
		route(t, hole, netlink.Route{Type: unix.RTN_BLACKHOLE})
		for _, tt := range []struct {
			what     string
			src, dst netip.Addr
			want     unix.Errno
		}{
			{"no route", a1, away, unix.ENETUNREACH},
			{"source of another host", away, b1, unix.EADDRNOTAVAIL},
			{"blackhole", a1, hole, unix.EINVAL},
		} {
			err := c.WriteTo(keepalive, tt.src, tt.dst)
			if !errors.Is(err, tt.want) {
				t.Errorf("%s: %v, want %v", tt.what, err, tt.want)
			}
		}
		if err := netlink.LinkDel(link(t, "ab")); err != nil {
			t.Fatalf("delete the link: %v", err)
		}
		if err := c.WriteTo(keepalive, a1, b1); !errors.Is(err, unix.EADDRNOTAVAIL) {
			t.Errorf("address gone: %v, want %v", err, unix.EADDRNOTAVAIL)
		}
		if err := c.WriteTo(keepalive, a2, b1); !errors.Is(err, unix.ENETUNREACH) {
			t.Errorf("link gone: %v, want %v", err, unix.ENETUNREACH)
		}
	})
}

func TestWriteToRefusesOtherAddresses(t *testing.T) {
	h := newHost(t)
	c := h.listen(t)
	for _, bad := range []netip.Addr{
		{}, netip.IPv6Unspecified(), netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("::ffff:192.0.2.1"),
		netip.MustParseAddr("fe80::1%lo"),
	} {
		if err := c.WriteTo(keepalive, bad, b1); err == nil {
			t.Errorf("sent from %s", bad)
		}
		if err := c.WriteTo(keepalive, b1, bad); err == nil {
			t.Errorf("sent to %s", bad)
		}
	}
}

func TestCloseUnblocksReader(t *testing.T) {
	h := newHost(t)
	c := h.listen(t)
	reads, done := make(chan struct{}), make(chan error, 1)
	go func() {
		close(reads)
		_, _, _, _, err := c.ReadFrom(make([]byte, 2048))
		done <- err
	}()
	<-reads
	// Whether or not the reader has got as far as to wait, it has to end.
	select {
	case err := <-done:
		t.Fatalf("read ended before close: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("%v, want %v", err, net.ErrClosed)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("close leaves the reader waiting")
	}
	if err := c.WriteTo(keepalive, a1, b1); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write after close: %v, want %v", err, net.ErrClosed)
	}
}

func TestReadDeadline(t *testing.T) {
	h := newHost(t)
	c := h.listen(t)
	if err := c.SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, _, _, _, err := c.ReadFrom(make([]byte, 2048)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v, want %v", err, os.ErrDeadlineExceeded)
	}
}

// SPDX-License-Identifier: MIT

package rtnl

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestRouteTo(t *testing.T) {
	noDAD(t)
	l := pair(t, "p0", "p1")
	add(t, l, "2001:db8:a1::1/64", nil)
	waitLocal(t, "2001:db8:a1::1")
	src, dst, via := netip.MustParseAddr("2001:db8:a1::1"), netip.MustParseAddr("2001:db8:b1::1"), netip.MustParseAddr("2001:db8:a1::9")
	if r, ok, err := RouteTo(netip.Addr{}, dst); ok || err != nil {
		t.Errorf("without a route: %+v, %v", r, err)
	}
	route := &netlink.Route{LinkIndex: l.Attrs().Index, Dst: &net.IPNet{IP: dst.AsSlice(), Mask: net.CIDRMask(128, 128)}, Gw: via.AsSlice()}
	if err := netlink.RouteAdd(route); err != nil {
		t.Fatal(err)
	}
	for _, from := range []netip.Addr{src, {}} {
		if r, ok, err := RouteTo(from, dst); !ok || err != nil || r != (Route{Source: src, Link: "p0", Gateway: via, MTU: 1500}) {
			t.Errorf("from %v: %+v, %v, %v", from, r, ok, err)
		}
	}
	if r, ok, err := RouteTo(netip.Addr{}, via); !ok || err != nil || r.Gateway.IsValid() {
		t.Errorf("on the link: %+v, %v, %v", r, ok, err)
	}
}

// waitLocal waits until packets to an address stay here: its route comes a while after it is no more tentative.
func waitLocal(t *testing.T, addr string) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if routes, err := netlink.RouteGet(net.ParseIP(addr)); err == nil && len(routes) == 1 && routes[0].Type == unix.RTN_LOCAL {
			return
		}
	}
	t.Fatalf("%s does not become local", addr)
}

func TestSources(t *testing.T) {
	noDAD(t)
	if err := netlink.LinkSetUp(link(t, "lo")); err != nil {
		t.Fatal(err)
	}
	l := pair(t, "p0", "p1")
	add(t, l, "2001:db8:a1::1/64", nil)
	add(t, l, "2001:db8:a1::2/64", nil)
	waitLocal(t, "2001:db8:a1::1")
	waitLocal(t, "2001:db8:a1::2")
	one, two := netip.MustParseAddr("2001:db8:a1::1"), netip.MustParseAddr("2001:db8:a1::2")
	listener, err := net.ListenTCP("tcp6", net.TCPAddrFromAddrPort(netip.AddrPortFrom(one, 0)))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	port := listener.Addr().(*net.TCPAddr).AddrPort().Port()
	for _, from := range []netip.Addr{one, two, two} {
		c, err := net.DialTCP("tcp6", net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0)), net.TCPAddrFromAddrPort(netip.AddrPortFrom(one, port)))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	u, err := net.DialUDP("udp6", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(two, port)))
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	got, err := Sources(one, port)
	slices.SortFunc(got, netip.Addr.Compare)
	if err != nil || !slices.Equal(got, []netip.Addr{one, two}) {
		t.Errorf("TCP: %v, %v", got, err)
	}
	if got, err := Sources(two, port); err != nil || len(got) != 1 {
		t.Errorf("UDP: %v, %v", got, err)
	}
	if got, err := Sources(one, port+1); err != nil || len(got) != 0 {
		t.Errorf("another port: %v, %v", got, err)
	}
}

func TestConnections(t *testing.T) {
	noDAD(t)
	if err := netlink.LinkSetUp(link(t, "lo")); err != nil {
		t.Fatal(err)
	}
	l := pair(t, "p0", "p1")
	add(t, l, "2001:db8:a1::1/64", nil)
	waitLocal(t, "2001:db8:a1::1")
	one, nobody := netip.MustParseAddr("2001:db8:a1::1"), netip.MustParseAddr("2001:db8:a1::9")
	listener, err := net.ListenTCP("tcp6", net.TCPAddrFromAddrPort(netip.AddrPortFrom(one, 0)))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	want := func(when string, pairs ...AddressPair) {
		t.Helper()
		got, err := Connections()
		if err != nil || len(got) != len(pairs) {
			t.Errorf("%s: %v, %v", when, got, err)
		}
		for _, p := range pairs {
			if !got[p] {
				t.Errorf("%s: %v is not among %v", when, p, got)
			}
		}
	}
	want("with a listener")
	c, err := net.Dial("tcp6", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	d, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	u, err := net.DialUDP("udp6", net.UDPAddrFromAddrPort(netip.AddrPortFrom(one, 0)), net.UDPAddrFromAddrPort(netip.AddrPortFrom(nobody, 9)))
	if err != nil {
		t.Fatal(err)
	}
	want("connected", AddressPair{one, one}, AddressPair{one, nobody})
	u.Close()
	c.Close()
	d.Close()
	want("in TIME-WAIT")
}

func TestReadSocketsRefusesNonsense(t *testing.T) {
	for _, line := range []string{"1: x y 01", "1: 00:1 00:1 01", "1: 0000000000000000000000000000000000:0050 zz 01"} {
		if err := readSockets(strings.NewReader("heading\n"+line), func(s socket) { t.Errorf("%q: %+v", line, s) }); err == nil {
			t.Errorf("%q: no error", line)
		}
	}
}

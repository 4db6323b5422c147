// SPDX-License-Identifier: MIT

package rtnl

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
)

func TestRouteTo(t *testing.T) {
	noDAD(t)
	l := pair(t, "p0", "p1")
	add(t, l, "2001:db8:a1::1/64", nil)
	find(t, "2001:db8:a1::1", func(a Address) bool { return a.Carrier && !a.Tentative })
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

func TestSources(t *testing.T) {
	noDAD(t)
	l := pair(t, "p0", "p1")
	add(t, l, "2001:db8:a1::1/64", nil)
	add(t, l, "2001:db8:a1::2/64", nil)
	for _, a := range []string{"2001:db8:a1::1", "2001:db8:a1::2"} {
		find(t, a, func(a Address) bool { return a.Carrier && !a.Tentative })
	}
	if err := netlink.LinkSetUp(link(t, "lo")); err != nil {
		t.Fatal(err)
	}
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

func TestConnectedRefusesNonsense(t *testing.T) {
	for _, line := range []string{"1: x y", "1: 00:1 00:1", "1: 0000000000000000000000000000000000:0050 zz"} {
		if got, err := connected(strings.NewReader("heading\n"+line), netip.AddrPort{}); err == nil {
			t.Errorf("%q: %v", line, got)
		}
	}
}

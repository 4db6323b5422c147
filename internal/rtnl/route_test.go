// SPDX-License-Identifier: MIT

package rtnl

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestReaches(t *testing.T) {
	noDAD(t)
	l := pair(t, "p0", "p1")
	add(t, l, "2001:db8:a1::1/64", nil)
	find(t, "2001:db8:a1::1", func(a Address) bool { return a.Carrier && !a.Tentative })
	src, dst := netip.MustParseAddr("2001:db8:a1::1"), netip.MustParseAddr("2001:db8:b1::1")
	is := func(what string, want bool) {
		t.Helper()
		var got bool
		var err error
		// The carrier's loss is known some time after the link went down.
		for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			if got, err = Reaches(src, dst); err != nil {
				t.Fatal(err)
			} else if got == want {
				return
			}
		}
		t.Errorf("%s: %v", what, got)
	}
	is("without a route", false)

	ctx, cancel := context.WithCancel(t.Context())
	changed, err := Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer cancel()
	quiet(changed)
	r := &netlink.Route{
		LinkIndex: l.Attrs().Index, Dst: &net.IPNet{IP: dst.AsSlice(), Mask: net.CIDRMask(128, 128)}, Gw: net.ParseIP("2001:db8:a1::9"),
	}
	if err := netlink.RouteAdd(r); err != nil {
		t.Fatal(err)
	}
	told(t, changed, "a new route")
	is("with a route", true)
	if err := netlink.LinkSetDown(link(t, "p1")); err != nil {
		t.Fatal(err)
	}
	is("without a carrier", false)
	if err := netlink.LinkSetUp(link(t, "p1")); err != nil {
		t.Fatal(err)
	}
	is("with the carrier again", true)
	quiet(changed)
	if err := netlink.RouteDel(r); err != nil {
		t.Fatal(err)
	}
	told(t, changed, "the loss of a route")
	is("without the route", false)
	refusing := &netlink.Route{Dst: r.Dst, Type: unix.RTN_UNREACHABLE}
	if err := netlink.RouteAdd(refusing); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = netlink.RouteDel(refusing) })
	is("with a route that refuses", false)
	src = netip.MustParseAddr("2001:db8:a1::2")
	is("from an address that the host does not have", false)
}

// Whoever keeps routes after a change would do so for ever if that were told.
func TestWatchDoesNotTellKeptRoutes(t *testing.T) {
	noDAD(t)
	l := pair(t, "p0", "p1")
	if err := netlink.LinkSetUp(link(t, "lo")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	changed, err := Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	quiet(changed)
	for range 2 {
		if err := KeepSources([]netip.Addr{netip.MustParseAddr("2001:db8:a9::1")}, nil, l.Attrs().Index); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = KeepSources(nil, nil, 0) })
	select {
	case <-changed:
		t.Error("a kept route was told")
	case <-time.After(300 * time.Millisecond):
	}
}

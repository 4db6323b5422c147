// SPDX-License-Identifier: MIT

package rtnl

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A Route is how packets leave.
type Route struct {
	Source  netip.Addr // that was asked for, or that the kernel chose
	Link    string
	Gateway netip.Addr // invalid where the destination is on the link
	MTU     int        // of the link
}

// RouteTo gives the route from src to dst; without a valid src the kernel chooses one (RFC 6724). ok is false where there is no
// route.
func RouteTo(src, dst netip.Addr) (r Route, ok bool, err error) {
	o := new(netlink.RouteGetOptions)
	if src.IsValid() {
		o.SrcAddr = src.AsSlice()
	}
	routes, err := netlink.RouteGetWithOptions(dst.AsSlice(), o)
	switch {
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.EACCES), errors.Is(err, unix.EINVAL):
		return r, false, nil
	case err != nil:
		return r, false, fmt.Errorf("route to %v: %w", dst, err)
	case len(routes) == 0:
		return r, false, nil
	}
	link, err := netlink.LinkByIndex(routes[0].LinkIndex)
	if err != nil {
		return r, false, fmt.Errorf("interface %d of the route to %v: %w", routes[0].LinkIndex, dst, err)
	}
	r = Route{Source: src, Link: link.Attrs().Name, MTU: link.Attrs().MTU}
	if !src.IsValid() {
		r.Source, _ = netip.AddrFromSlice(routes[0].Src)
	}
	r.Gateway, _ = netip.AddrFromSlice(routes[0].Gw)
	return r, true, nil
}

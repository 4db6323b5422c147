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

// Sources gives the local addresses of the TCP and UDP sockets that are connected to a port of dst, each once.
func Sources(dst netip.Addr, port uint16) ([]netip.Addr, error) {
	var list []netip.Addr
	seen := make(map[netip.Addr]bool)
	for _, sockets := range []func(uint8) ([]*netlink.Socket, error){netlink.SocketDiagTCP, netlink.SocketDiagUDP} {
		all, err := sockets(unix.AF_INET6)
		if err != nil {
			return nil, fmt.Errorf("list sockets: %w", err)
		}
		for _, s := range all {
			peer, _ := netip.AddrFromSlice(s.ID.Destination)
			local, ok := netip.AddrFromSlice(s.ID.Source)
			if peer == dst && s.ID.DestinationPort == port && ok && !seen[local] {
				seen[local] = true
				list = append(list, local)
			}
		}
	}
	return list, nil
}

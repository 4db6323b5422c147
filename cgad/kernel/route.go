// SPDX-License-Identifier: MIT

package kernel

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"shim6/cgad/autoconf"
	"shim6/internal/rtnl"
)

func netlinkRoute(r autoconf.Route) *netlink.Route {
	return &netlink.Route{
		Family:    netlink.FAMILY_V6,
		LinkIndex: r.Link,
		Dst:       &net.IPNet{IP: r.Destination.Addr().AsSlice(), Mask: net.CIDRMask(r.Destination.Bits(), 128)},
		Gw:        r.Gateway.AsSlice(),
		Table:     int(r.Table),
		Priority:  int(r.Metric),
		Protocol:  Protocol,
	}
}

// addRoute adds a route beside those of equal metric.
func addRoute(r autoconf.Route) error {
	if err := unless(netlink.RouteAppend(netlinkRoute(r)), unix.EEXIST); err != nil {
		return fmt.Errorf("add route to %v via %v in table %d: %w", r.Destination, r.Gateway, r.Table, err)
	}
	return nil
}

func deleteRoute(r autoconf.Route) error {
	if err := unless(netlink.RouteDel(netlinkRoute(r)), unix.ESRCH, unix.ENODEV); err != nil {
		return fmt.Errorf("delete route to %v via %v in table %d: %w", r.Destination, r.Gateway, r.Table, err)
	}
	return nil
}

// listRoutes gives the routes with our protocol number.
func listRoutes() (list []autoconf.Route, err error) {
	filter := &netlink.Route{Protocol: Protocol, Table: unix.RT_TABLE_UNSPEC}
	found, err := rtnl.Complete(func() ([]netlink.Route, error) {
		return netlink.RouteListFiltered(netlink.FAMILY_V6, filter, netlink.RT_FILTER_PROTOCOL|netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	for i := range found {
		list = append(list, nextHops(&found[i])...)
	}
	return list, nil
}

// nextHops gives one route for each next hop.
func nextHops(f *netlink.Route) []autoconf.Route {
	r := autoconf.Route{Table: uint32(f.Table), Destination: netip.PrefixFrom(netip.IPv6Unspecified(), 0), Metric: uint32(f.Priority)}
	if f.Dst != nil {
		addr, _ := netip.AddrFromSlice(f.Dst.IP)
		bits, _ := f.Dst.Mask.Size()
		r.Destination = netip.PrefixFrom(addr, bits)
	}
	hops := f.MultiPath
	if len(hops) == 0 {
		hops = []*netlink.NexthopInfo{{LinkIndex: f.LinkIndex, Gw: f.Gw}}
	}
	var list []autoconf.Route
	for _, h := range hops {
		r.Link = h.LinkIndex
		r.Gateway, _ = netip.AddrFromSlice(h.Gw)
		list = append(list, r)
	}
	return list
}

// removeAll removes every rule and route with our protocol number.
func removeAll() error {
	rules, err := listRules()
	if err != nil {
		return err
	}
	for i := range rules {
		if err := unless(netlink.RuleDel(&rules[i]), unix.ENOENT); err != nil {
			return fmt.Errorf("delete rule %v: %w", rules[i], err)
		}
	}
	routes, err := listRoutes()
	if err != nil {
		return err
	}
	for _, r := range routes {
		if err := deleteRoute(r); err != nil {
			return err
		}
	}
	return nil
}

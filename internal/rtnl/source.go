// SPDX-License-Identifier: MIT

package rtnl

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	// SourceTable has the route of KeepSources for packets that leave. The number is that of the RFC of Shim6.
	SourceTable = 5533
	// sourceProtocol marks what KeepSources made, apart from what cgad makes.
	sourceProtocol = 141
	// sourcePriority is after the main table's: a route that somebody else made comes first.
	sourcePriority = 32767
)

// KeepSources keeps addresses usable that are gone, because no interface has them any more, or cut off, because no route leads
// from them; and those of earlier calls no more. They are ULIDs, and Shim6 sends their packets by their locators' routes. But
// their sockets need a route to anywhere before, by a device that is up: the link is its index, zero for none. And what is for
// addresses that are gone must be taken in: errors about their packets, which this host makes itself, and everything that
// Shim6 receives for them.
func KeepSources(gone, cutOff []netip.Addr, link int) error {
	errs := []error{keepLocal(gone)}
	addrs := slices.Concat(gone, cutOff)
	if link == 0 {
		addrs = nil
	}
	errs = append(errs, keepRules(addrs))
	if len(addrs) == 0 {
		return errors.Join(append(errs, deleteRoutes(SourceTable, nil))...)
	}
	route := newRoute(netip.PrefixFrom(netip.IPv6Unspecified(), 0), SourceTable, link)
	return errors.Join(append(errs, unless("add route", netlink.RouteReplace(route), nil))...)
}

// keepLocal has the addresses received.
func keepLocal(addrs []netip.Addr) error {
	err := deleteRoutes(unix.RT_TABLE_LOCAL, addrs)
	if len(addrs) == 0 {
		return err
	}
	lo, loErr := netlink.LinkByName("lo")
	if loErr != nil {
		return errors.Join(err, fmt.Errorf("loopback: %w", loErr))
	}
	errs := []error{err}
	for _, a := range addrs {
		route := newRoute(netip.PrefixFrom(a, a.BitLen()), unix.RT_TABLE_LOCAL, lo.Attrs().Index)
		route.Type = unix.RTN_LOCAL
		errs = append(errs, unless(fmt.Sprintf("add local %v", a), netlink.RouteReplace(route), nil))
	}
	return errors.Join(errs...)
}

// keepRules leads packets from the addresses to the route.
func keepRules(addrs []netip.Addr) error {
	rules, err := sourceRules()
	if err != nil {
		return err
	}
	var errs []error
	for i := range rules {
		if !slices.Contains(addrs, ruleSource(&rules[i])) {
			errs = append(errs, unless("delete rule", netlink.RuleDel(&rules[i]), unix.ENOENT))
		}
	}
	for _, a := range addrs {
		if slices.ContainsFunc(rules, func(r netlink.Rule) bool { return ruleSource(&r) == a }) {
			continue
		}
		r := netlink.NewRule()
		r.Family, r.Src, r.Table = netlink.FAMILY_V6, ipNet(netip.PrefixFrom(a, a.BitLen())), SourceTable
		r.Priority, r.Protocol = sourcePriority, sourceProtocol
		errs = append(errs, unless(fmt.Sprintf("add rule from %v", a), netlink.RuleAdd(r), unix.EEXIST))
	}
	return errors.Join(errs...)
}

func sourceRules() ([]netlink.Rule, error) {
	list, err := Complete(func() ([]netlink.Rule, error) { return netlink.RuleList(netlink.FAMILY_V6) })
	if err != nil {
		return nil, fmt.Errorf("list rules: %w", err)
	}
	return slices.DeleteFunc(list, func(r netlink.Rule) bool {
		return r.Protocol != sourceProtocol || r.Table != SourceTable
	}), nil
}

func ruleSource(r *netlink.Rule) netip.Addr {
	if r.Src == nil {
		return netip.Addr{}
	}
	a, _ := netip.AddrFromSlice(r.Src.IP)
	return a
}

func newRoute(to netip.Prefix, table, link int) *netlink.Route {
	return &netlink.Route{
		Dst: ipNet(to), Table: table, LinkIndex: link, Protocol: sourceProtocol, Scope: netlink.SCOPE_UNIVERSE,
	}
}

// deleteRoutes removes the routes of a table that are ours, but for those to certain addresses. The kernel did already when
// their device went.
func deleteRoutes(table int, but []netip.Addr) error {
	list, err := Complete(func() ([]netlink.Route, error) {
		return netlink.RouteListFiltered(netlink.FAMILY_V6, &netlink.Route{Table: table, Protocol: sourceProtocol},
			netlink.RT_FILTER_TABLE|netlink.RT_FILTER_PROTOCOL)
	})
	if err != nil {
		return fmt.Errorf("list routes: %w", err)
	}
	var errs []error
	for i := range list {
		if d := list[i].Dst; d != nil {
			if a, ok := netip.AddrFromSlice(d.IP); ok && slices.Contains(but, a) {
				continue
			}
		}
		errs = append(errs, unless("delete route", netlink.RouteDel(&list[i]), unix.ESRCH))
	}
	return errors.Join(errs...)
}

// unless names what failed, but for an error that says that it was done already.
func unless(what string, err, done error) error {
	if err == nil || done != nil && errors.Is(err, done) {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

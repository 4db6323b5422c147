// SPDX-License-Identifier: MIT

package topo

import (
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"shim6/test/lab/node"
)

const mainTable = unix.RT_TABLE_MAIN

// end is one side of a link; without an address when the host finds its own.
type end struct {
	node   *node.Node
	device string
	addr   netip.Addr
	prefix netip.Prefix
}

func link(x, y end) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = x.device
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: y.device, PeerNamespace: netlink.NsFd(y.node.FD())}
	if err := x.node.LinkAdd(veth); err != nil {
		return fmt.Errorf("link %s %s to %s %s: %w", x.node.Name, x.device, y.node.Name, y.device, err)
	}
	for _, e := range []end{x, y} {
		l, err := e.node.LinkByName(e.device)
		if err != nil {
			return fmt.Errorf("%s %s: %w", e.node.Name, e.device, err)
		}
		if err := e.node.LinkSetUp(l); err != nil {
			return fmt.Errorf("%s %s: %w", e.node.Name, e.device, err)
		}
		if err := address(e); err != nil {
			return err
		}
	}
	return nil
}

// address gives an end its address, if it has one.
func address(e end) error {
	if !e.addr.IsValid() {
		return nil
	}
	l, err := e.node.LinkByName(e.device)
	if err != nil {
		return fmt.Errorf("%s %s: %w", e.node.Name, e.device, err)
	}
	a := &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(e.addr, e.prefix.Bits())), Flags: unix.IFA_F_NODAD}
	if err := e.node.AddrAdd(l, a); err != nil {
		return fmt.Errorf("%s %s address %v: %w", e.node.Name, e.device, e.addr, err)
	}
	return nil
}

func defaultRoute(n *node.Node, device string, via netip.Addr, table, metric int) error {
	return addRoute(n, device, &netlink.Route{Gw: via.AsSlice(), Table: table, Priority: metric})
}

func routeTo(n *node.Node, device string, to netip.Prefix, via netip.Addr) error {
	return addRoute(n, device, &netlink.Route{Dst: ipNet(to), Gw: via.AsSlice()})
}

func deleteRoute(n *node.Node, to netip.Prefix) error {
	if err := n.RouteDel(&netlink.Route{Dst: ipNet(to)}); err != nil {
		return fmt.Errorf("%s route to %v: %w", n.Name, to, err)
	}
	return nil
}

// sourceRoute sends what comes from a prefix to that prefix's own router.
func sourceRoute(n *node.Node, device string, from netip.Prefix, table int) error {
	if err := addRoute(n, device, &netlink.Route{Dst: ipNet(from), Table: table}); err != nil {
		return err
	}
	if err := defaultRoute(n, device, router(from), table, 0); err != nil {
		return err
	}
	rule := netlink.NewRule()
	rule.Family, rule.Src, rule.Table, rule.Priority = netlink.FAMILY_V6, ipNet(from), table, table
	if err := n.RuleAdd(rule); err != nil {
		return fmt.Errorf("%s rule from %v: %w", n.Name, from, err)
	}
	return nil
}

// admit makes a router take what comes in by a device from a prefix, ahead of refuse.
func admit(n *node.Node, device string, from netip.Prefix) error {
	rule := netlink.NewRule()
	rule.Family, rule.IifName, rule.Src, rule.Table, rule.Priority = netlink.FAMILY_V6, device, ipNet(from), mainTable, 100
	if err := n.RuleAdd(rule); err != nil {
		return fmt.Errorf("%s rule for what comes from %v: %w", n.Name, from, err)
	}
	return nil
}

// refuse makes a router drop what comes in by a device and is not admitted.
func refuse(n *node.Node, device string) error {
	rule := netlink.NewRule()
	rule.Family, rule.IifName, rule.Type, rule.Priority = netlink.FAMILY_V6, device, unix.RTN_BLACKHOLE, 1000
	if err := n.RuleAdd(rule); err != nil {
		return fmt.Errorf("%s rule for what comes from elsewhere: %w", n.Name, err)
	}
	return nil
}

func addRoute(n *node.Node, device string, r *netlink.Route) error {
	l, err := n.LinkByName(device)
	if err != nil {
		return fmt.Errorf("%s %s: %w", n.Name, device, err)
	}
	r.LinkIndex = l.Attrs().Index
	if r.Dst == nil {
		r.Dst = ipNet(netip.MustParsePrefix("::/0"))
	}
	if err := n.RouteAdd(r); err != nil {
		return fmt.Errorf("%s route %v: %w", n.Name, r, err)
	}
	return nil
}

// delay holds back what leaves by a device.
func delay(n *node.Node, device string, by time.Duration) error {
	if by == 0 {
		return nil
	}
	l, err := n.LinkByName(device)
	if err != nil {
		return fmt.Errorf("%s %s: %w", n.Name, device, err)
	}
	attrs := netlink.QdiscAttrs{LinkIndex: l.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT}
	// The limit is far above what the transfers keep in flight: the queue delays and never drops.
	q := netlink.NewNetem(attrs, netlink.NetemQdiscAttrs{Latency: uint32(by.Microseconds()), Limit: 100000})
	if err := n.QdiscAdd(q); err != nil {
		return fmt.Errorf("%s %s delay: %w", n.Name, device, err)
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), 128)}
}

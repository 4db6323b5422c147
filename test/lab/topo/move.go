// SPDX-License-Identifier: MIT

package topo

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"

	"shim6/test/lab/node"
)

// A Site is where host a can be connected to a provider.
type Site struct {
	device string
	addr   func(*Network) netip.Addr
	prefix netip.Prefix
	table  int
	metric int // of a default route for what has no source yet, zero for none
	// of the sites that host a can move to
	router   func(*Network) *node.Node
	cust     string
	core     string
	coreAddr netip.Addr
}

// The sites of host a: at 1 and 2 from the start, at 4 and 5 after Attach. The number is that of the address.
var (
	Site1 = &Site{device: "p1", addr: func(n *Network) netip.Addr { return n.A1 }, prefix: PrefixA1, table: 101, metric: 10}
	Site2 = &Site{device: "p2", addr: func(n *Network) netip.Addr { return n.A2 }, prefix: PrefixA2, table: 102, metric: 20}
	Site4 = &Site{
		device: "p4", addr: func(n *Network) netip.Addr { return n.A4 }, prefix: PrefixA4, table: 104,
		router: func(n *Network) *node.Node { return n.R1 }, cust: "cust4", core: "core1", coreAddr: host(core1, 1),
	}
	Site5 = &Site{
		device: "p5", addr: func(n *Network) netip.Addr { return n.A5 }, prefix: PrefixA5, table: 105,
		router: func(n *Network) *node.Node { return n.R2 }, cust: "cust5", core: "core2", coreAddr: host(core2, 2),
	}
)

// Attach connects host a at a site: a link, an address, and routes for what is sent from that and for nothing else, as
// RFC 8028 has it.
func (n *Network) Attach(s *Site) error {
	r := s.router(n)
	return errors.Join(
		routeTo(n.R3, s.core, s.prefix, s.coreAddr),
		link(end{n.A, s.device, s.addr(n), s.prefix}, end{r, s.cust, router(s.prefix), s.prefix}),
		sourceRoute(n.A, s.device, s.prefix, s.table),
	)
}

// Leave cuts host a off from a site: its link goes down, and its address, its routes and its rule go with it.
func (n *Network) Leave(s *Site) error {
	l, err := n.A.LinkByName(s.device)
	if err != nil {
		return err
	}
	if err := n.A.LinkSetDown(l); err != nil {
		return fmt.Errorf("%s of a down: %w", s.device, err)
	}
	rule := netlink.NewRule()
	rule.Family, rule.Src, rule.Table, rule.Priority = netlink.FAMILY_V6, ipNet(s.prefix), s.table, s.table
	if err := n.A.RuleDel(rule); err != nil {
		return fmt.Errorf("a rule from %v: %w", s.prefix, err)
	}
	return nil
}

// Return connects host a again at a site that it left.
func (n *Network) Return(s *Site) error {
	l, err := n.A.LinkByName(s.device)
	if err != nil {
		return err
	}
	if err := n.A.LinkSetUp(l); err != nil {
		return fmt.Errorf("%s of a up: %w", s.device, err)
	}
	if err := address(end{n.A, s.device, s.addr(n), s.prefix}); err != nil {
		return err
	}
	if s.metric > 0 {
		if err := defaultRoute(n.A, s.device, router(s.prefix), mainTable, s.metric); err != nil {
			return err
		}
	}
	return sourceRoute(n.A, s.device, s.prefix, s.table)
}

// Reaches tells whether the provider's router at a site answers host a. After a link comes up, either side may drop packets for
// up to a second: the kernel looks at changes of carriers that often.
func (n *Network) Reaches(s *Site) error {
	_, err := n.A.Output("ping6", "-c", "1", "-W", "1", "-I", s.device, router(s.prefix).String())
	return err
}

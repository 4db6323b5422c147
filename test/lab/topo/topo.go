// SPDX-License-Identifier: MIT

// Package topo builds the network of the cases: host a with two providers, host b behind a third.
//
//	        +-- p1 -- r1 -- core --+
//	host a -|                      |-- r3 -- p1 -- host b
//	        +-- p2 -- r2 -- core --+
//
// Every link is a veth pair between two namespaces. r3 delays what it forwards, by half the round-trip time each way.
// Provider 1 has a second prefix for its customers, which it may give them in place of the first.
package topo

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"shim6/test/lab/node"
)

// Prefixes of the providers' customers; the router is ::1 in each.
var (
	PrefixA1 = netip.MustParsePrefix("2001:db8:a1::/64")
	PrefixA2 = netip.MustParsePrefix("2001:db8:a2::/64")
	PrefixA3 = netip.MustParsePrefix("2001:db8:a3::/64") // of provider 1, too
	PrefixA4 = netip.MustParsePrefix("2001:db8:a4::/64") // where host a can move, of provider 1
	PrefixA5 = netip.MustParsePrefix("2001:db8:a5::/64") // and of provider 2
	PrefixB1 = netip.MustParsePrefix("2001:db8:b1::/64")

	core1 = netip.MustParsePrefix("2001:db8:c1::/64")
	core2 = netip.MustParsePrefix("2001:db8:c2::/64")
)

// Addresses are those of the hosts. Host a has A4 and A5 only after Attach.
type Addresses struct{ A1, A2, B1, A4, A5 netip.Addr }

// Plain returns addresses that prove nothing, for cases without a daemon.
func Plain() Addresses {
	return Addresses{
		A1: netip.MustParseAddr("2001:db8:a1::a"),
		A2: netip.MustParseAddr("2001:db8:a2::a"),
		B1: netip.MustParseAddr("2001:db8:b1::b"),
	}
}

// Short replaces the addresses in a text by their names.
func (a Addresses) Short(text string) string {
	return strings.NewReplacer(a.A1.String(), "a1", a.A2.String(), "a2", a.B1.String(), "b1", a.A4.String(), "a4",
		a.A5.String(), "a5").Replace(text)
}

// String tells which address is which.
func (a Addresses) String() string {
	return fmt.Sprintf("a1 is %v, a2 is %v, b1 is %v", a.A1, a.A2, a.B1)
}

// A Network is the whole of it.
type Network struct {
	Addresses
	A, B, R1, R2, R3 *node.Node
}

// Build makes the network.
func Build(addr Addresses, rtt time.Duration) (*Network, error) {
	return build(nil, addr, rtt, (*Network).configure)
}

// BuildUnconfigured makes the network with a host a that has no addresses, routes or rules, but the settings of a kernel
// that has just booted. Providers 1 and 2 drop what comes from their customers with addresses of another provider (RFC 2827).
func BuildUnconfigured(b1 netip.Addr, rtt time.Duration) (*Network, error) {
	return build(nil, Addresses{B1: b1}, rtt, (*Network).filter)
}

// BuildAround is BuildUnconfigured for a host a that is there already, and keeps its settings.
func BuildAround(a *node.Node, b1 netip.Addr, rtt time.Duration) (*Network, error) {
	return build(a, Addresses{B1: b1}, rtt, (*Network).filter)
}

// build makes the network around a, or with a host a of its own; rest is what comes after the links and routes.
func build(a *node.Node, addr Addresses, rtt time.Duration, rest func(*Network) error) (*Network, error) {
	n := &Network{Addresses: addr, A: a}
	for _, p := range []struct {
		at     **node.Node
		name   string
		router bool
	}{{&n.A, "a", false}, {&n.B, "b", false}, {&n.R1, "r1", true}, {&n.R2, "r2", true}, {&n.R3, "r3", true}} {
		if *p.at != nil {
			continue
		}
		made, err := node.New(p.name)
		if err != nil {
			return nil, errors.Join(err, n.Delete())
		}
		*p.at = made
		if !p.router {
			continue
		}
		if err := made.Sysctl("net/ipv6/conf/all/forwarding", "1"); err != nil {
			return nil, errors.Join(err, n.Delete())
		}
	}
	if a == nil && !addr.A1.IsValid() {
		if err := n.A.KernelDefaults(); err != nil {
			return nil, errors.Join(err, n.Delete())
		}
	}
	if err := errors.Join(n.connect(rtt), rest(n)); err != nil {
		return nil, errors.Join(fmt.Errorf("build the network: %w", err), n.Delete())
	}
	return n, nil
}

// configure gives host a its routes.
func (n *Network) configure() error {
	return errors.Join(
		// A packet leaves by the provider that its source address belongs to (RFC 8028); without a source, by the first.
		defaultRoute(n.A, "p1", router(PrefixA1), mainTable, 10),
		defaultRoute(n.A, "p2", router(PrefixA2), mainTable, 20),
		sourceRoute(n.A, "p1", PrefixA1, 101),
		sourceRoute(n.A, "p2", PrefixA2, 102),
	)
}

// filter makes the providers drop what their customers send from addresses of others.
func (n *Network) filter() error {
	return errors.Join(
		admit(n.R1, "cust", PrefixA1),
		admit(n.R1, "cust", PrefixA3),
		refuse(n.R1, "cust"),
		admit(n.R2, "cust", PrefixA2),
		refuse(n.R2, "cust"),
	)
}

func (n *Network) connect(rtt time.Duration) error {
	steps := []error{
		link(end{n.A, "p1", n.A1, PrefixA1}, end{n.R1, "cust", router(PrefixA1), PrefixA1}),
		n.plug2(n.A2),
		address(end{n.R1, "cust", router(PrefixA3), PrefixA3}),
		link(end{n.B, "p1", n.B1, PrefixB1}, end{n.R3, "cust", router(PrefixB1), PrefixB1}),
		link(end{n.R1, "core", host(core1, 1), core1}, end{n.R3, "core1", host(core1, 3), core1}),
		link(end{n.R2, "core", host(core2, 2), core2}, end{n.R3, "core2", host(core2, 3), core2}),

		defaultRoute(n.R1, "core", host(core1, 3), mainTable, 0),
		defaultRoute(n.R2, "core", host(core2, 3), mainTable, 0),
		routeTo(n.R3, "core1", PrefixA1, host(core1, 1)),
		routeTo(n.R3, "core2", PrefixA2, host(core2, 2)),
		routeTo(n.R3, "core1", PrefixA3, host(core1, 1)),
		defaultRoute(n.B, "p1", router(PrefixB1), mainTable, 0),
		delay(n.R3, "cust", rtt/2),
		delay(n.R3, "core1", rtt/2),
		delay(n.R3, "core2", rtt/2),
	}
	return errors.Join(steps...)
}

// Plug2 connects host a to provider 2 again; its new interface has no address.
func (n *Network) Plug2() error { return n.plug2(netip.Addr{}) }

func (n *Network) plug2(a2 netip.Addr) error {
	return link(end{n.A, "p2", a2, PrefixA2}, end{n.R2, "cust", router(PrefixA2), PrefixA2})
}

// Unplug2 takes the link to provider 2, and both its interfaces, away.
func (n *Network) Unplug2() error {
	l, err := n.R2.LinkByName("cust")
	if err != nil {
		return fmt.Errorf("r2 cust: %w", err)
	}
	return n.R2.LinkDel(l)
}

// Carrier2 takes host a's carrier to provider 2 away, or gives it back. The router keeps its addresses.
func (n *Network) Carrier2(up bool) error {
	l, err := n.R2.LinkByName("cust")
	if err != nil {
		return fmt.Errorf("r2 cust: %w", err)
	}
	if up {
		return n.R2.LinkSetUp(l)
	}
	return errors.Join(n.R2.Sysctl("net/ipv6/conf/cust/keep_addr_on_down", "1"), n.R2.LinkSetDown(l))
}

// Rename gives an interface of a host another name, for which it goes down for a moment.
func Rename(n *node.Node, device, name string) error {
	l, err := n.LinkByName(device)
	if err != nil {
		return fmt.Errorf("%s %s: %w", n.Name, device, err)
	}
	return errors.Join(n.LinkSetDown(l), n.LinkSetName(l, name), n.LinkSetUp(l))
}

// Adopt has provider 1 serve the prefix of provider 2.
func (n *Network) Adopt() error {
	via := host(core1, 1)
	return errors.Join(
		deleteRoute(n.R3, PrefixA2),
		routeTo(n.R3, "core1", PrefixA2, via),
		address(end{n.R1, "cust", router(PrefixA2), PrefixA2}),
		admit(n.R1, "cust", PrefixA2),
	)
}

// Nodes returns the namespaces that exist.
func (n *Network) Nodes() []*node.Node {
	var all []*node.Node
	for _, x := range []*node.Node{n.A, n.B, n.R1, n.R2, n.R3} {
		if x != nil {
			all = append(all, x)
		}
	}
	return all
}

// Node returns the namespace of a name, nil when there is none.
func (n *Network) Node(name string) *node.Node {
	for _, x := range n.Nodes() {
		if x.Name == name {
			return x
		}
	}
	return nil
}

// Delete removes the network.
func (n *Network) Delete() error {
	var errs []error
	for _, x := range n.Nodes() {
		errs = append(errs, x.Delete())
	}
	return errors.Join(errs...)
}

func router(p netip.Prefix) netip.Addr { return host(p, 1) }

// host returns the address of a prefix that ends in ::last.
func host(p netip.Prefix, last byte) netip.Addr {
	octets := p.Addr().As16()
	octets[15] = last
	return netip.AddrFrom16(octets)
}

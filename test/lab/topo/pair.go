// SPDX-License-Identifier: MIT

package topo

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"

	"shim6/test/lab/node"
)

// A Pair is two hosts on one link, each with a default route to the other.
//
//	host a -- p1 ---- p1 -- host b
type Pair struct{ A, B *node.Node }

var (
	linkA = netip.MustParseAddr("fe80::a")
	linkB = netip.MustParseAddr("fe80::b")
)

// BuildPair makes two hosts. The link carries rate bits a second, any number for zero.
func BuildPair(rate uint64) (*Pair, error) {
	p := new(Pair)
	var err error
	if p.A, err = node.New("a"); err != nil {
		return nil, err
	}
	if p.B, err = node.New("b"); err != nil {
		return nil, errors.Join(err, p.A.Delete())
	}
	local := netip.MustParsePrefix("fe80::/64")
	err = errors.Join(
		link(end{p.A, "p1", linkA, local}, end{p.B, "p1", linkB, local}),
		defaultRoute(p.A, "p1", linkB, mainTable, 0), defaultRoute(p.B, "p1", linkA, mainTable, 0),
		limit(p.A, "p1", rate), limit(p.B, "p1", rate),
	)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("build the pair: %w", err), p.Delete())
	}
	return p, nil
}

// Give gives a host an address.
func (p *Pair) Give(n *node.Node, a netip.Addr) error {
	return address(end{n, "p1", a, netip.PrefixFrom(a, 64)})
}

// Own makes a host take everything in a prefix as its own, and send from it.
func (p *Pair) Own(n *node.Node, prefix netip.Prefix) error {
	if err := n.Sysctl("net/ipv6/ip_nonlocal_bind", "1"); err != nil {
		return err
	}
	_, err := n.Output("ip", "-6", "route", "add", "local", prefix.String(), "dev", "lo")
	return err
}

// Delete removes both.
func (p *Pair) Delete() error { return errors.Join(p.A.Delete(), p.B.Delete()) }

// limit shapes what leaves by a device, as a slower link would.
func limit(n *node.Node, device string, rate uint64) error {
	if rate == 0 {
		return nil
	}
	l, err := n.LinkByName(device)
	if err != nil {
		return fmt.Errorf("%s %s: %w", n.Name, device, err)
	}
	const burst, queue = 1600, 1 << 20 // a frame at a time, octets
	tbf := &netlink.Tbf{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: l.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT},
		Rate:       rate / 8, Limit: queue, Buffer: netlink.Xmittime(rate/8, burst),
	}
	if err := n.QdiscAdd(tbf); err != nil {
		return fmt.Errorf("%s %s rate: %w", n.Name, device, err)
	}
	return nil
}

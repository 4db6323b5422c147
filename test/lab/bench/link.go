// SPDX-License-Identifier: MIT

package bench

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"shim6/test/lab/node"
)

// Addresses of the hosts: ULIDs in the first, other locators in the second prefix of each link. Direct hosts have host b's in
// the prefixes of host a's link.
var (
	prefixA  = netip.MustParsePrefix("2001:db8:a1::/64")
	prefixA2 = netip.MustParsePrefix("2001:db8:a2::/64")
	prefixB  = netip.MustParsePrefix("2001:db8:b1::/64")
	prefixB2 = netip.MustParsePrefix("2001:db8:b2::/64")
)

// A network is two hosts, of one technique only.
type network struct {
	name           string
	a, b           *node.Node
	r              *node.Node // nil when the hosts are direct neighbours
	ulidA, ulidB   netip.Addr
	otherA, otherB netip.Addr // the other locators
	devices        offloads
}

// offloads are what the network's devices do.
type offloads struct{ tso, gro bool }

const device = "eth0"

func newNetwork(name string, routed bool, o offloads) (*network, error) {
	n := &network{
		name: name, devices: o,
		ulidA: host(prefixA, 0xa), otherA: host(prefixA2, 0xa), ulidB: host(prefixA, 0xb), otherB: host(prefixA2, 0xb),
	}
	if routed {
		n.ulidB, n.otherB = host(prefixB, 0xb), host(prefixB2, 0xb)
	}
	for _, p := range []struct {
		at   **node.Node
		name string
	}{{&n.a, "a"}, {&n.b, "b"}, {&n.r, "r"}} {
		if p.at == &n.r && !routed {
			continue
		}
		made, err := node.New(name + "-" + p.name)
		if err != nil {
			return nil, err
		}
		*p.at = made
	}
	if !routed {
		return n, errors.Join(
			connect(end{n.a, device, []netip.Addr{n.ulidA, n.otherA}}, end{n.b, device, []netip.Addr{n.ulidB, n.otherB}}),
			o.set(n.a, device), o.set(n.b, device),
		)
	}
	routerA, routerB := host(prefixA, 1), host(prefixB, 1)
	return n, errors.Join(
		n.r.Sysctl("net/ipv6/conf/all/forwarding", "1"),
		connect(end{n.a, device, []netip.Addr{n.ulidA, n.otherA}}, end{n.r, "eth0", []netip.Addr{routerA, host(prefixA2, 1)}}),
		connect(end{n.b, device, []netip.Addr{n.ulidB, n.otherB}}, end{n.r, "eth1", []netip.Addr{routerB, host(prefixB2, 1)}}),
		route(n.a, routerA), route(n.b, routerB),
		o.set(n.a, device), o.set(n.b, device), offloads{tso: o.tso}.set(n.r, "eth0"), offloads{tso: o.tso}.set(n.r, "eth1"),
	)
}

// end is one side of a link.
type end struct {
	node   *node.Node
	device string
	addrs  []netip.Addr
}

func connect(x, y end) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = x.device
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: y.device, PeerNamespace: netlink.NsFd(y.node.FD())}
	if err := x.node.LinkAdd(veth); err != nil {
		return fmt.Errorf("link %s to %s: %w", x.node.Name, y.node.Name, err)
	}
	for _, e := range []end{x, y} {
		l, err := e.node.LinkByName(e.device)
		if err != nil {
			return fmt.Errorf("%s %s: %w", e.node.Name, e.device, err)
		}
		if err := e.node.LinkSetUp(l); err != nil {
			return fmt.Errorf("%s %s: %w", e.node.Name, e.device, err)
		}
		for _, addr := range e.addrs {
			a := &netlink.Addr{IPNet: &net.IPNet{IP: addr.AsSlice(), Mask: net.CIDRMask(64, 128)}, Flags: unix.IFA_F_NODAD}
			if err := e.node.AddrAdd(l, a); err != nil {
				return fmt.Errorf("%s address %v: %w", e.node.Name, addr, err)
			}
		}
	}
	return nil
}

func route(n *node.Node, via netip.Addr) error {
	l, err := n.LinkByName(device)
	if err != nil {
		return fmt.Errorf("%s %s: %w", n.Name, device, err)
	}
	all := &net.IPNet{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)}
	if err := n.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Dst: all, Gw: via.AsSlice()}); err != nil {
		return fmt.Errorf("%s default route: %w", n.Name, err)
	}
	return nil
}

// delete removes the network.
func (n *network) delete() error {
	errs := []error{n.a.Delete(), n.b.Delete()}
	if n.r != nil {
		errs = append(errs, n.r.Delete())
	}
	return errors.Join(errs...)
}

// host returns the address of a prefix that ends in ::last.
func host(p netip.Prefix, last byte) netip.Addr {
	octets := p.Addr().As16()
	octets[15] = last
	return netip.AddrFrom16(octets)
}

// set switches the offloads of a device. Only a device without TSO hands packets to its peer in a way that lets GRO merge.
func (o offloads) set(n *node.Node, device string) error {
	return n.Do(func() error {
		return errors.Join(ethtool(device, unix.ETHTOOL_STSO, o.tso), ethtool(device, unix.ETHTOOL_SGRO, o.gro))
	})
}

// ethtool sets a value of a device in this thread's namespace.
func ethtool(device string, command uint32, on bool) error {
	value := struct{ command, value uint32 }{command: command}
	if on {
		value.value = 1
	}
	request := struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}{data: unsafe.Pointer(&value)}
	copy(request.name[:unix.IFNAMSIZ-1], device)
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request))); errno != 0 {
		return fmt.Errorf("set %#x of %s to %v: %w", command, device, on, errno)
	}
	return nil
}

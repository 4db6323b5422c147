// SPDX-License-Identifier: MIT

package bench

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"

	"shim6/test/lab/node"
)

// A technique is one way of treating packets.
type technique struct {
	name    string
	setUp   func(*network) error // once, without the module
	socket  func(fd int) error   // for the sender's socket
	begin   func(*network) error // in each repetition, with the module loaded
	rewrite bool                 // the receiver counts each packet as rewritten
	// without says that the module is not loaded while it is measured.
	without bool
}

var (
	// unloaded is plain before the module is loaded, plain is beside namespaces that use it.
	unloaded = technique{name: "unloaded", without: true}
	plain    = technique{name: "plain"}
	// idle hosts run the daemon and have no context.
	idle = technique{name: "no-context", begin: func(n *network) error { return n.enable("none") }}
	// A candidate is a flow that a heuristic follows.
	candidate  = technique{name: "candidate", begin: func(n *network) error { return n.enable("default") }}
	contextual = technique{name: "context", begin: func(n *network) error { return n.establish(false) }}
	rewriting  = technique{name: "rewriting", begin: func(n *network) error { return n.establish(true) }, rewrite: true}

	// The peers: what others' techniques cost.
	destopt = technique{name: "destination-options", socket: setDestinationOptions}
	ila     = technique{name: "ila", setUp: setUpILA}
	mobile  = technique{name: "mobile-ipv6-ro", setUp: setUpMobile}
	espNull = technique{name: "esp-null", setUp: setUpESPNull}
)

// setDestinationOptions adds a header of eight octets to every packet: it is as long as the Payload Extension Header.
func setDestinationOptions(fd int) error {
	padding := []byte{0, 0, 1, 4, 0, 0, 0, 0} // next header, length; PadN
	return unix.SetsockoptString(fd, unix.IPPROTO_IPV6, unix.IPV6_DSTOPTS, string(padding))
}

// setUpILA translates the destination: the hosts' addresses have a prefix that stands for all places, which is replaced by
// that of the place, where it is put back. The checksum is kept right by the identifier.
func setUpILA(n *network) error {
	const everywhere = "2001:db8:5:5"
	identifier := map[*node.Node]string{n.a: "2000:0:0:a", n.b: "2000:0:0:b"}
	place := map[*node.Node]string{n.a: "2001:db8:a1:0", n.b: "2001:db8:b1:0"}
	gateway := map[*node.Node]netip.Addr{n.a: host(prefixA, 1), n.b: host(prefixB, 1)}
	var errs []error
	for x, peer := range map[*node.Node]*node.Node{n.a: n.b, n.b: n.a} {
		errs = append(errs,
			ip(x, "addr add %s:%s/128 dev lo nodad", everywhere, identifier[x]),
			ip(x, "ila add loc_match %s loc %s csum-mode neutral-map ident-type use-format", place[x], everywhere),
			ip(x, "-6 route add %s:%s/128 encap ila %s csum-mode neutral-map ident-type use-format hook-type output via %s dev %s",
				everywhere, identifier[peer], place[peer], gateway[x], device),
			ip(n.r, "-6 route add %s::/64 via %s dev %s metric 1", place[x], map[*node.Node]netip.Addr{n.a: n.ulidA, n.b: n.ulidB}[x],
				map[*node.Node]string{n.a: "eth0", n.b: "eth1"}[x]),
		)
	}
	n.ulidA = netip.MustParseAddr(everywhere + ":" + identifier[n.a])
	n.ulidB = netip.MustParseAddr(everywhere + ":" + identifier[n.b])
	return errors.Join(errs...)
}

// setUpMobile sends as a mobile node to its correspondent: the home address is in a destination option, and what comes back
// has it in a routing header (RFC 6275).
func setUpMobile(n *network) error {
	home, care, peer := n.ulidA, n.otherA, n.ulidB
	out := fmt.Sprintf("src %v dst %v", home, peer)
	back := fmt.Sprintf("src %v dst %v", peer, home)
	return errors.Join(
		ip(n.a, "addr change %v/64 dev %s home nodad", home, device),
		ip(n.a, "xfrm state add %s proto hao mode ro coa %v", out, care),
		ip(n.a, "xfrm policy add %s dir out priority 10 tmpl %s proto hao mode ro", out, out),
		ip(n.b, "xfrm state add %s proto hao mode ro coa %v", out, care),
		ip(n.b, "xfrm policy add %s dir in priority 10 tmpl %s proto hao mode ro", out, out),
		ip(n.b, "xfrm state add %s proto route2 mode ro coa %v", back, care),
		ip(n.b, "xfrm policy add %s dir out priority 10 tmpl %s proto route2 mode ro", back, back),
		ip(n.a, "xfrm state add %s proto route2 mode ro coa %v", back, care),
		ip(n.a, "xfrm policy add %s dir in priority 10 tmpl %s proto route2 mode ro", back, back),
	)
}

func setUpESPNull(n *network) error {
	out := fmt.Sprintf("src %v dst %v", n.ulidA, n.ulidB)
	back := fmt.Sprintf("src %v dst %v", n.ulidB, n.ulidA)
	var errs []error
	for x, way := range map[*node.Node][2]string{n.a: {"out", "in"}, n.b: {"in", "out"}} {
		for i, pair := range []string{out, back} {
			errs = append(errs,
				ip(x, "xfrm state add %s proto esp spi %d mode transport enc ecb(cipher_null) ''", pair, 0x100+i),
				ip(x, "xfrm policy add %s dir %s tmpl %s proto esp mode transport", pair, way[i], pair),
			)
		}
	}
	return errors.Join(errs...)
}

// ip runs iproute2's command in a node. The only quotes it knows are those of an empty argument.
func ip(n *node.Node, format string, args ...any) error {
	words := strings.Fields(fmt.Sprintf(format, args...))
	for i, w := range words {
		if w == "''" {
			words[i] = ""
		}
	}
	_, err := n.Output("ip", words...)
	return err
}

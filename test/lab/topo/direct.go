// SPDX-License-Identifier: MIT

package topo

import (
	"errors"
	"fmt"
	"net/netip"

	"shim6/test/lab/node"
)

// Direct are two hosts with three links between them: the first two lead from one to the other, the third by a forwarder
// that knows nothing of shim6. A device is named after its host and its link, as a2; the forwarder's are r3a and r3b.
//
//	         +-- a1 ---------- b1 --+
//	host a --+-- a2 ---------- b2 --+-- host b
//	         +-- a3 --- r ---- b3 --+
type Direct struct{ A, B, R *node.Node }

// Link returns the addresses of the hosts on a link. Links from 4 on are the cases' own.
func (*Direct) Link(i int) (a, b netip.Addr) {
	if i == 3 {
		return host(direct3a, 0xa), host(direct3b, 0xb)
	}
	p := DirectPrefix(i)
	return host(p, 0xa), host(p, 0xb)
}

// DirectPrefix is what a link is that has no forwarder.
func DirectPrefix(i int) netip.Prefix {
	return netip.MustParsePrefix(fmt.Sprintf("2001:db8:%x::/64", i))
}

var (
	direct3a = netip.MustParsePrefix("2001:db8:3:a::/64")
	direct3b = netip.MustParsePrefix("2001:db8:3:b::/64")
)

// BuildDirect makes the hosts and the links.
func BuildDirect() (*Direct, error) {
	d, err := BuildTwo()
	if err != nil {
		return nil, err
	}
	if d.R, err = node.New("r"); err == nil {
		err = d.forward()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("build the link by a forwarder: %w", err), d.Delete())
	}
	return d, nil
}

// BuildTwo makes the hosts and the first two links.
func BuildTwo() (*Direct, error) {
	d := new(Direct)
	var err error
	for name, at := range map[string]**node.Node{"a": &d.A, "b": &d.B} {
		if *at, err = node.New(name); err != nil {
			return nil, errors.Join(err, d.Delete())
		}
	}
	for i := 1; i <= 2; i++ {
		a, b := d.Link(i)
		err := link(end{d.A, fmt.Sprintf("a%d", i), a, DirectPrefix(i)}, end{d.B, fmt.Sprintf("b%d", i), b, DirectPrefix(i)})
		if err != nil {
			return nil, errors.Join(fmt.Errorf("build the direct links: %w", err), d.Delete())
		}
	}
	return d, nil
}

func (d *Direct) forward() error {
	a3, b3 := d.Link(3)
	return errors.Join(
		d.R.Sysctl("net/ipv6/conf/all/forwarding", "1"),
		link(end{d.A, "a3", a3, direct3a}, end{d.R, "r3a", router(direct3a), direct3a}),
		link(end{d.B, "b3", b3, direct3b}, end{d.R, "r3b", router(direct3b), direct3b}),
		routeTo(d.A, "a3", direct3b, router(direct3a)),
		routeTo(d.B, "b3", direct3a, router(direct3b)),
	)
}

// Delete removes the hosts.
func (d *Direct) Delete() error {
	var errs []error
	for _, n := range []*node.Node{d.A, d.B, d.R} {
		if n != nil {
			errs = append(errs, n.Delete())
		}
	}
	return errors.Join(errs...)
}

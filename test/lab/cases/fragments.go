// SPDX-License-Identifier: MIT

package cases

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"shim6/test/lab/kernel"
	"shim6/test/lab/packet"
	"shim6/test/lab/talk"
)

var fragments = Case{
	Name:     "fragments",
	About:    "fragments and extension headers are sent in the RFC's order, and taken in either, whole, late, lost or overlapping",
	FastTime: true,
	Limit:    5 * time.Minute,
	Modules:  []kernel.Need{{Module: "nf_conntrack"}, {Module: "nft_ct"}},
	Programs: []string{"nft"},
	Run:      runFragments,
}

func runFragments(e *Env) error {
	p, err := e.protect()
	if err != nil {
		return err
	}
	defer p.remove()
	if err := errors.Join(p.use(p.other()), p.hastenReassembly("net/ipv6/ip6frag_time")); err != nil {
		return err
	}
	steps := []func() error{
		p.sendFragments, p.sendBehindHeaders,
		func() error { return p.takeFragments("the host reassembles") },
		func() error {
			const rules = `table ip6 lab {
	chain prerouting {
		type filter hook prerouting priority 0
		ct state invalid drop
	}
}`
			if err := errors.Join(ruleset(p.A, rules), p.hastenReassembly("net/netfilter/nf_conntrack_frag6_timeout")); err != nil {
				return err
			}
			return p.takeFragments("connection tracking reassembles")
		},
		p.fragmentAtMinimum,
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// hastenReassembly has host a give up datagrams sooner where waiting takes real time.
func (p *protected) hastenReassembly(setting string) error {
	if p.e.FastTime {
		return nil
	}
	return p.A.Sysctl(setting, strconv.Itoa(int(realReassemblyTime.Seconds())))
}

// mtu is that of every link.
const mtu = 1500

// sendFragments lets both hosts send more than fits a packet.
func (p *protected) sendFragments() error {
	for i, want := range []struct {
		kind string
		size int
	}{{"udp, connected", 4000}, {"udp, unconnected", 65000}, {"raw, unconnected", 30001}, {"ICMPv6 echo", 9000}, {"ICMPv6 echo without privilege", 2000}} {
		k, err := kindOf(want.kind)
		if err != nil {
			return err
		}
		t, err := k.Open(talk.Ends{A: p.A, B: p.B, AddrA: p.A1, AddrB: p.B1, Port: uint16(4000 + 10*i)})
		if err != nil {
			return err
		}
		if err := p.forget(); err != nil {
			return err
		}
		err = t.Say(want.size, byte(i))
		t.Close()
		list, takeErr := p.link2.Take()
		if takeErr != nil {
			return takeErr
		}
		p.e.Check(fmt.Sprintf("%s of %d octets goes and comes back", want.kind, want.size), err == nil, "%d packets %s", len(list), errText(err))
		// RFC 5533 section 4.6: the shim is below fragmentation. Each fragment has a Payload Extension Header, before its
		// Fragment header.
		trouble := p.wrongChains(list, packet.Shim6, packet.Fragment, k.Proto)
		p.e.Check("in fragments, each behind a Payload Extension Header", len(list) >= 2*want.size/mtu && trouble == "", "%s", trouble)
	}
	return nil
}

// kindOf returns the way to talk of a name.
func kindOf(name string) (*talk.Kind, error) {
	kinds := talk.Kinds()
	i := slices.IndexFunc(kinds, func(k talk.Kind) bool { return k.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("there is no way to talk called %q", name)
	}
	return &kinds[i], nil
}

// wrongChains names the first packet that is not rewritten to the current path, too long, or of other headers.
func (p *protected) wrongChains(list []*packet.Packet, chain ...uint8) string {
	for _, k := range list {
		if wrong := p.inspect(k, p.other()); wrong != "" {
			return wrong
		}
		if !slices.Equal(k.Chain, chain) || len(k.Octets) > mtu {
			return fmt.Sprintf("not %v: %v", chain, k)
		}
	}
	return ""
}

// sendBehindHeaders lets host a send packets with extension headers, and host b answer none: RFC 5533 section 4.6 puts the
// Payload Extension Header behind hop-by-hop options, routing headers and the destination options before these, and before
// fragment headers and final destination options.
func (p *protected) sendBehindHeaders() error {
	a, err := listenAt(p.A, p.A1, 5000)
	if err != nil {
		return err
	}
	defer a.close()
	b, err := listenAt(p.B, p.B1, 5001)
	if err != nil {
		return err
	}
	defer b.close()
	raw, err := rawSocket(p.A)
	if err != nil {
		return err
	}
	defer unix.Close(raw)
	hop, dst := packet.Options(packet.HopByHop, 1), packet.Options(packet.DestOptions, 2)
	routing, atomic := packet.RoutingDone(), packet.FragmentOf(1, 0, false)
	for _, h := range []struct {
		headers []packet.Header
		want    []uint8
	}{
		{[]packet.Header{hop}, []uint8{packet.HopByHop, packet.Shim6, packet.UDP}},
		{[]packet.Header{routing}, []uint8{packet.Routing, packet.Shim6, packet.UDP}},
		{[]packet.Header{dst}, []uint8{packet.Shim6, packet.DestOptions, packet.UDP}},
		{[]packet.Header{dst, routing}, []uint8{packet.DestOptions, packet.Routing, packet.Shim6, packet.UDP}},
		{[]packet.Header{hop, dst}, []uint8{packet.HopByHop, packet.Shim6, packet.DestOptions, packet.UDP}},
		{[]packet.Header{hop, dst, routing, dst}, []uint8{packet.HopByHop, packet.DestOptions, packet.Routing, packet.Shim6, packet.DestOptions, packet.UDP}},
		{[]packet.Header{hop, routing, atomic, dst}, []uint8{packet.HopByHop, packet.Routing, packet.Shim6, packet.Fragment, packet.DestOptions, packet.UDP}},
	} {
		if err := p.forget(); err != nil {
			return err
		}
		data := []byte(fmt.Sprintf("behind %v", h.want))
		datagram := packet.Datagram(a.addr, b.addr, data)
		if err := unix.Sendto(raw, packet.Make(p.A1, p.B1, packet.UDP, datagram, h.headers...), 0, &unix.SockaddrInet6{Addr: p.B1.As16()}); err != nil {
			return err
		}
		got := b.take()
		list, err := p.link2.Take()
		if err != nil {
			return err
		}
		trouble := "not one packet on the wire"
		if len(list) == 1 {
			trouble = p.wrongChains(list, h.want...)
		}
		p.e.Check(fmt.Sprintf("%v is sent", h.want), trouble == "", "%s", trouble)
		p.e.Check("and arrives", len(got) == 1 && got[0] == string(data), "%q", got)
	}
	return p.sendWithOptions(b)
}

// sendWithOptions has the kernel itself put options before what a socket sends, in fragments.
func (p *protected) sendWithOptions(b *listener) error {
	a, err := listenAt(p.A, p.A1, 5002)
	if err != nil {
		return err
	}
	defer a.close()
	padding := string([]byte{0, 0, 1, 4, 0, 0, 0, 0})
	err = errors.Join(
		a.control(func(fd int) error { return unix.SetsockoptString(fd, unix.IPPROTO_IPV6, unix.IPV6_HOPOPTS, padding) }),
		a.control(func(fd int) error { return unix.SetsockoptString(fd, unix.IPPROTO_IPV6, unix.IPV6_DSTOPTS, padding) }),
		p.forget(),
	)
	if err != nil {
		return err
	}
	data := strings.Repeat("0123456789", 500)
	if err := a.send([]byte(data), b.addr); err != nil {
		return err
	}
	got := b.take()
	list, err := p.link2.Take()
	if err != nil {
		return err
	}
	trouble := ""
	for _, k := range list {
		// Where destination options stand beside the Fragment header is the kernel's affair.
		if slices.Index(k.Chain, packet.Shim6) != 1 || k.Chain[0] != packet.HopByHop || !k.Has(packet.Fragment) {
			trouble = k.String()
		}
	}
	p.e.Check("5000 octets with options go in fragments behind hop-by-hop options", len(list) == 4 && trouble == "", "%d %s", len(list), trouble)
	p.e.Check("and arrive", len(got) == 1 && got[0] == data, "%d", len(got))
	return nil
}

// fragmentAtMinimum sends on a path of the least MTU that IPv6 has: the Payload Extension Header must find room all the same.
func (p *protected) fragmentAtMinimum() error {
	const least = 1280
	core, err := p.R2.LinkByName("core")
	if err != nil {
		return err
	}
	dev, err := p.A.LinkByName("p2")
	if err != nil {
		return err
	}
	devB, err := p.B.LinkByName("p1")
	if err != nil {
		return err
	}
	if err := errors.Join(p.R2.LinkSetMTU(core, least), p.A.LinkSetMTU(dev, least), p.B.LinkSetMTU(devB, least)); err != nil {
		return err
	}
	for i, name := range []string{"udp, connected", "tcp", "ICMPv6 echo"} {
		k, err := kindOf(name)
		if err != nil {
			return err
		}
		t, err := k.Open(talk.Ends{A: p.A, B: p.B, AddrA: p.A1, AddrB: p.B1, Port: uint16(4100 + 10*i)})
		if err != nil {
			return err
		}
		if err := p.forget(); err != nil {
			return err
		}
		for _, size := range []int{1200, 1220, 1224, 1225, 1230, 1232, 1233, 4000} {
			err = errors.Join(err, t.Say(size, byte(i)))
		}
		t.Close()
		list, takeErr := p.link2.Take()
		longest := 0
		for _, x := range list {
			longest = max(longest, len(x.Octets))
		}
		p.e.Check(name+" passes where the MTU is 1280", err == nil && takeErr == nil && longest > 1232 && longest <= least,
			"%d packets, the longest of %d octets %s%s", len(list), longest, errText(err), errText(takeErr))
	}
	return nil
}

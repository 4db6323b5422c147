// SPDX-License-Identifier: MIT

package cases

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"shim6/test/lab/hostile"
	"shim6/test/lab/kernel"
	"shim6/test/lab/node"
	"shim6/test/lab/packet"
)

var firewall = Case{
	Name:     "firewall",
	About:    "nftables and connection tracking see ULIDs and real ports, whatever the locators, and let nothing by as protocol 140",
	FastTime: true,
	Limit:    5 * time.Minute,
	Modules: []kernel.Need{
		{Module: "nf_conntrack"}, {Module: "nft_ct"}, {Module: "nft_fib_ipv6"}, {Module: "nft_chain_nat"}, {Module: "nft_nat"},
		{Module: "nfnetlink_queue"}, {Module: "nft_queue"},
	},
	Programs: []string{"nft"},
	Run:      runFirewall,
}

const (
	openPort     = 7002
	closedPort   = 7003
	redirectPort = 7005
	clientPort   = 7100
)

func runFirewall(e *Env) error {
	p, err := e.protect()
	if err != nil {
		return err
	}
	defer p.remove()
	if err := p.use(p.other()); err != nil {
		return err
	}
	for _, step := range []func() error{p.filterPorts, p.filterShim6, p.trackConnection, p.trackErrors, p.filterReverse, p.seeByPriority, p.holdPackets} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// strict is a host's firewall: it takes what belongs to its own connections, its neighbours, and one port.
const strict = `flush ruleset
table ip6 lab {
	chain nat {
		type nat hook prerouting priority -100
		udp dport 7005 dnat to [2001:db8:b1::b]:7002
	}
	chain input {
		type filter hook input priority 0; policy drop
		ct state invalid counter drop comment "invalid"
		ct state established,related counter accept comment "known"
		icmpv6 type nd-neighbor-solicit accept
		icmpv6 type nd-neighbor-advert accept
		udp dport 7002 accept
		tcp dport 7002 accept
		%s
	}
}`

func (p *protected) strictHosts(extra string) error {
	rules := fmt.Sprintf(strict, extra)
	return errors.Join(ruleset(p.A, rules), ruleset(p.B, rules))
}

// portsOpen sends a datagram to each port and returns to which of them it arrived and was answered.
func (p *protected) portsOpen() (string, error) {
	client, err := listenAt(p.A, p.A1, clientPort)
	if err != nil {
		return "", err
	}
	defer client.close()
	var answered []string
	for _, port := range []uint16{openPort, closedPort} {
		server, err := listenAt(p.B, p.B1, port)
		if err != nil {
			return "", err
		}
		data := []byte(fmt.Sprintf("to %d", port))
		err = client.send(data, server.addr)
		if got := server.take(); err == nil && len(got) == 1 && got[0] == string(data) {
			if err = server.send(data, server.from); err == nil && len(client.take()) == 1 {
				answered = append(answered, fmt.Sprint(port))
			}
		}
		server.close()
		if err != nil {
			return "", err
		}
	}
	return strings.Join(answered, " "), nil
}

// filterPorts tries ports without a rule for protocol 140.
func (p *protected) filterPorts() error {
	if err := p.strictHosts(""); err != nil {
		return err
	}
	got, err := p.portsOpen()
	p.e.Check("a port is open by its own number, another is not", err == nil && got == fmt.Sprint(openPort), "%s %s", got, errText(err))
	table, err := tracked(p.B)
	if err != nil {
		return err
	}
	want := fmt.Sprintf("src=%s dst=%s sport=%d dport=%d", full(p.A1), full(p.B1), clientPort, openPort)
	p.e.Check("connection tracking knows the flow by its ULIDs and ports", strings.Contains(table, want), "%s", table)
	p.e.Check("and nothing by locators", !strings.Contains(table, full(p.A2)) && !strings.Contains(table, full(p.b2)), "%s", table)

	client, err := listenAt(p.A, p.A1, clientPort+1)
	if err != nil {
		return err
	}
	defer client.close()
	server, err := listenAt(p.B, p.B1, openPort)
	if err != nil {
		return err
	}
	defer server.close()
	if err := client.send([]byte("redirect"), netip.AddrPortFrom(p.B1, redirectPort)); err != nil {
		return err
	}
	arrived := server.take()
	err = server.send([]byte("back"), server.from)
	back := client.take()
	p.e.Check("a port that is redirected is reached, and answers as itself",
		err == nil && len(arrived) == 1 && len(back) == 1 && client.from.Port() == redirectPort, "%q %q from %v %s", arrived, back, client.from, errText(err))
	return nil
}

// tracked returns the connections that a node's kernel tracks.
func tracked(n *node.Node) (string, error) {
	var raw []byte
	err := n.Do(func() (err error) {
		raw, err = os.ReadFile("/proc/thread-self/net/nf_conntrack")
		return err
	})
	return string(raw), err
}

// full is an address as the kernel's tables write it.
func full(a netip.Addr) string { return a.StringExpanded() }

// filterShim6 lets protocol 140 in, as control messages need it, and tries to come in by that.
func (p *protected) filterShim6() error {
	if err := p.strictHosts(`meta l4proto 140 counter accept comment "shim6"`); err != nil {
		return err
	}
	got, err := p.portsOpen()
	p.e.Check("a rule for protocol 140 opens no port", err == nil && got == fmt.Sprint(openPort), "%s %s", got, errText(err))
	far, err := hostile.NewSender(p.R2)
	if err != nil {
		return err
	}
	defer far.Close()
	shim6 := packet.Payload(tagB)
	for _, way := range []struct {
		name    string
		headers []packet.Header
	}{
		{"bare", []packet.Header{shim6}},
		{"behind hop-by-hop options", []packet.Header{packet.Options(packet.HopByHop, 1), shim6}},
		{"behind destination options", []packet.Header{packet.Options(packet.DestOptions, 1), shim6}},
		{"behind a routing header", []packet.Header{packet.RoutingDone(), shim6}},
		{"in a fragment", []packet.Header{packet.FragmentOf(77, 0, false), shim6}},
		{"before a fragment", []packet.Header{shim6, packet.FragmentOf(78, 0, false)}},
	} {
		var arrived []string
		for _, port := range []uint16{openPort, closedPort} {
			server, err := listenAt(p.B, p.B1, port)
			if err != nil {
				return err
			}
			datagram := packet.Datagram(netip.AddrPortFrom(p.A1, clientPort), server.addr, []byte("hello"))
			err = far.SendPacket(packet.Make(p.A2, p.b2, packet.UDP, datagram, way.headers...))
			if len(server.take()) == 1 {
				arrived = append(arrived, fmt.Sprint(port))
			}
			server.close()
			if err != nil {
				return err
			}
		}
		p.e.Check("nor does it by a header "+way.name, strings.Join(arrived, " ") == fmt.Sprint(openPort), "arrived at %v", arrived)
	}
	return nil
}

// trackConnection changes the path of a connection that both firewalls know.
func (p *protected) trackConnection() error {
	if err := p.strictHosts(""); err != nil {
		return err
	}
	near, far, err := p.connection(openPort)
	if err != nil {
		return err
	}
	defer near.Close()
	defer far.Close()
	var trouble error
	for _, ph := range phases {
		trouble = errors.Join(trouble, p.use(ph.path(p)))
		_, there := transferTime(near, far, 20000)
		_, back := transferTime(far, near, 20000)
		trouble = errors.Join(trouble, there, back)
	}
	table, err := tracked(p.B)
	lines := 0
	for line := range strings.Lines(table) {
		if strings.Contains(line, " tcp ") && strings.Contains(line, "ESTABLISHED") {
			lines++
		}
	}
	p.e.Check("a connection that is known goes on when its path changes, as one", trouble == nil && err == nil && lines == 1,
		"%d entries %s%s", lines, errText(trouble), errText(err))
	return p.use(p.other())
}

// trackErrors has routers tell of packets of known flows: their errors are related, though they quote locators.
func (p *protected) trackErrors() error {
	near, far, err := p.connection(openPort)
	if err != nil {
		return err
	}
	defer near.Close()
	defer far.Close()
	if _, err := transferTime(near, far, 100000); err != nil {
		return err
	}
	if err := errors.Join(p.forget(), p.setMTU(2, smallMTU)); err != nil {
		return err
	}
	before, err := timeouts(p.A)
	if err != nil {
		return err
	}
	took, err := transferTime(near, far, 100000)
	after, statErr := timeouts(p.A)
	told, takeErr := p.toldTooBig()
	p.e.Check("Packet Too Big passes a firewall that takes what is related", err == nil && statErr == nil && takeErr == nil && after == before && told > 0,
		"%d octets in %v, %d timeouts, %d errors %s", 100000, took, after-before, told, errText(err))
	if err := p.setMTU(2, mtu); err != nil {
		return err
	}

	t, err := p.newTeller(unix.SOCK_DGRAM, unix.IPPROTO_UDP, false)
	if err != nil {
		return err
	}
	defer t.close()
	err = errors.Join(unix.SetsockoptInt(t.fd, unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, 1), t.send([]byte("hello")))
	time.Sleep(100 * time.Millisecond)
	got, toldErr := t.told()
	p.e.Check("and so does Time Exceeded", err == nil && toldErr == nil && len(got) == 1 && got[0].kind == timeExceeded, "%v %s", got, errText(err))
	invalid, err := counted(p.A, "invalid")
	p.e.Check("nothing was invalid", err == nil && invalid == 0, "%d %s", invalid, errText(err))
	return nil
}

// filterReverse asks for a route back to where a packet came from: it is for the peer's ULID that one must be.
func (p *protected) filterReverse() error {
	const rules = `flush ruleset
table ip6 lab {
	chain prerouting {
		type filter hook prerouting priority -300
		icmpv6 type nd-neighbor-solicit accept
		icmpv6 type nd-neighbor-advert accept
		%s counter drop comment "reverse"
	}
}`
	dev, err := p.A.LinkByName("p2")
	if err != nil {
		return err
	}
	// Table 101 is for what has provider 1's addresses.
	route := &netlink.Route{LinkIndex: dev.Attrs().Index, Gw: netip.MustParseAddr("2001:db8:a2::1").AsSlice(), Dst: netlink.NewIPNet(p.B1.AsSlice()), Table: 101}
	for _, x := range []struct {
		name, rule string
		route      bool
		passes     bool
	}{
		{"a strict reverse path filter drops what comes by another provider than the ULID's", "fib saddr . iif oif missing", false, false},
		{"a loose one does not", "fib saddr oif missing", false, true},
		{"nor a strict one when the peer's ULID is reached by that provider", "fib saddr . iif oif missing", true, true},
	} {
		if err := errors.Join(ruleset(p.B, "flush ruleset"), ruleset(p.A, fmt.Sprintf(rules, x.rule))); err != nil {
			return err
		}
		if x.route {
			if err := p.A.RouteAdd(route); err != nil {
				return err
			}
		}
		got, err := p.portsOpen()
		dropped, countErr := counted(p.A, "reverse")
		p.e.Check(x.name, err == nil && countErr == nil && (got != "") == x.passes && (dropped == 0) == x.passes,
			"answers from %q, %d dropped %s%s", got, dropped, errText(err), errText(countErr))
	}
	return p.A.RouteDel(route)
}

// seeByPriority counts what chains see of a rewritten flow. Locators are for those before connection tracking's
// defragmentation. Postrouting sees a packet under ULIDs first, and then as it leaves.
func (p *protected) seeByPriority() error {
	const rules = `flush ruleset
table ip6 lab {
	chain early {
		type filter hook prerouting priority -450
		meta l4proto 140 counter comment "early locators"
		udp dport 7100 counter comment "early ULIDs"
	}
	chain raw {
		type filter hook prerouting priority -300
		meta l4proto 140 counter comment "raw locators"
		udp dport 7100 counter comment "raw ULIDs"
	}
	chain output {
		type filter hook output priority 0
		meta l4proto 140 counter comment "output locators"
		udp sport 7100 counter comment "output ULIDs"
	}
	chain postrouting {
		type filter hook postrouting priority 0
		meta l4proto 140 counter comment "postrouting locators"
		udp sport 7100 counter comment "postrouting ULIDs"
	}
}`
	if err := ruleset(p.A, rules); err != nil {
		return err
	}
	got, err := p.portsOpen()
	if err != nil {
		return err
	}
	for _, x := range []struct {
		chain           string
		locators, ulids int
	}{{"early", 2, 0}, {"raw", 0, 2}, {"output", 0, 2}, {"postrouting", 2, 2}} {
		locators, err1 := counted(p.A, x.chain+" locators")
		ulids, err2 := counted(p.A, x.chain+" ULIDs")
		p.e.Check(fmt.Sprintf("of two packets, chain %s sees %d under locators and %d under ULIDs", x.chain, x.locators, x.ulids),
			err1 == nil && err2 == nil && locators == x.locators && ulids == x.ulids,
			"%d and %d, answers from %s %s%s", locators, ulids, got, errText(err1), errText(err2))
	}
	return nil
}

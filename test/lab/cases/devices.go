// SPDX-License-Identifier: MIT

package cases

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	nl "github.com/mdlayher/netlink"

	"shim6/test/lab/genl"
	"shim6/test/lab/kernel"
	"shim6/test/lab/node"
	"shim6/test/lab/topo"
	"shim6/test/lab/traffic"
)

var devices = Case{
	Name:     "devices",
	About:    "contexts in a VRF, of sockets that are bound to a device, on the loopback and between a host's own addresses",
	FastTime: true,
	Modules:  []kernel.Need{{Module: "vrf"}},
	Limit:    5 * time.Minute,
	Run:      runDevices,
}

func runDevices(e *Env) error {
	if err := e.loadUnderTest(); err != nil {
		return err
	}
	defer e.unloadUnderTest()
	net, err := topo.BuildTwo()
	if err != nil {
		return err
	}
	defer func() { e.Works("the network goes away", net.Delete()) }()
	o := &offloader{Direct: net, e: e, port: 7000}
	if err := errors.Join(o.connect(), o.routeBoth("main")); err != nil {
		return err
	}
	defer o.disconnect()
	for _, step := range []func() error{o.bound, o.earlyDemux, o.sameHost, o.onLoopback, o.vrf} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// routeBoth gives each host another route to the other's ULID, by link 2: a socket that is bound there needs one.
func (o *offloader) routeBoth(table string) error {
	to := topo.DirectPrefix(1).String()
	_, err1 := o.A.Output("ip", "route", "add", to, "dev", "a2", "metric", "2000", "table", table)
	_, err2 := o.B.Output("ip", "route", "add", to, "dev", "b2", "metric", "2000", "table", table)
	return errors.Join(err1, err2)
}

// counted returns what contexts have counted: of a what it sent, of b what it received.
func (o *offloader) counted() (sent, got uint64, err error) {
	sent, _, err1 := contextPackets(o.a, tagA)
	_, got, err2 := contextPackets(o.b, tagB)
	return sent, got, errors.Join(err1, err2)
}

// send moves data between the ULIDs, with sockets that are bound to devices or to nothing.
func (o *offloader) send(bound, peer string, octets int) error {
	a, b := o.Link(1)
	o.port++
	_, err := traffic.Stream{From: o.A, To: o.B, Src: a, Dst: b, Port: o.port, Octets: octets, Device: bound, Peer: peer}.Run(5 * time.Second)
	return err
}

// bound has sockets use one device only: their packets go by no other, whatever the path of the context.
func (o *offloader) bound() error {
	if err := o.use(2); err != nil {
		return err
	}
	o.e.Works("a socket bound to the path's device is served", o.send("a2", "b2", some))
	before1, err1 := sentPackets(o.A, "a1")
	before2, err2 := sentPackets(o.A, "a2")
	asked, err3 := neighbourPackets(o.A)
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	o.e.Works("one bound to another keeps to the ULIDs", o.send("a1", "b1", some))
	after1, err1 := sentPackets(o.A, "a1")
	after2, err2 := sentPackets(o.A, "a2")
	askedNow, err3 := neighbourPackets(o.A)
	o.e.Check("and leaves by its device alone", errors.Join(err1, err2, err3) == nil && after1-before1 > 5 && after2-before2 <= askedNow-asked,
		"%d packets by a1, %d by a2, %d of both to know neighbours", after1-before1, after2-before2, askedNow-asked)
	counted, err := stat(o.a, statTxBound)
	o.e.Check("which is counted", err == nil && counted >= (after1-before1)/2 && counted > 5, "%d %s", counted, errText(err))
	return nil
}

// neighbourPackets returns how many messages of neighbour discovery and multicast a host has sent, which it does when it sees fit.
func neighbourPackets(n *node.Node) (uint64, error) {
	var sum int64
	for _, name := range []string{"Icmp6OutNeighborSolicits", "Icmp6OutNeighborAdvertisements", "Icmp6OutRouterSolicits", "Icmp6OutMLDv2Reports"} {
		v, err := snmp(n, name)
		if err != nil {
			return 0, err
		}
		sum += v
	}
	return uint64(sum), nil
}

// earlyDemux sees that packets find their socket before they look for a route, which a header in between would prevent.
func (o *offloader) earlyDemux() error {
	trace, err := startTrace("fib6/fib6_table_lookup")
	if err != nil {
		return err
	}
	defer trace.stop()
	in, err := snmp(o.B, "Ip6InReceives")
	if err != nil {
		return err
	}
	if err := o.send("", "", some); err != nil {
		return err
	}
	after, err := snmp(o.B, "Ip6InReceives")
	if err != nil {
		return err
	}
	text, err := trace.text()
	if err != nil {
		return err
	}
	b2, err := o.B.LinkByName("b2")
	if err != nil {
		return err
	}
	lookups := strings.Count(text, fmt.Sprintf(" iif %d ", b2.Attrs().Index))
	o.e.Check("packets of a connection find their socket at once", after-in > some/1500 && lookups > 0 && lookups < some/1500/5,
		"%d packets, %d of them looked for a route", after-in, lookups)
	return nil
}

// sameHost has a host talk to itself, between ULIDs for which there is a context.
func (o *offloader) sameHost() error {
	a1, _ := o.Link(1)
	a2, _ := o.Link(2)
	const tag = 0x0c0c0c0c0c0c
	own := newContext(pair{a1, a2}, tag, tag+1, pair{a2, a1}, a1, a2)
	if err := o.a.Do(genl.CtxNew, genl.Attrs(own.list()...)); !o.e.Works("a context between a host's own addresses is taken", err) {
		return nil
	}
	before, err := stat(o.a, statTxRewritten)
	if err != nil {
		return err
	}
	o.port++
	_, err = traffic.Stream{From: o.A, To: o.A, Src: a1, Dst: a2, Port: o.port, Octets: some}.Run(5 * time.Second)
	o.e.Works("and what stays in the host needs no context", err)
	after, err1 := stat(o.a, statTxRewritten)
	sent, got, err2 := contextPackets(o.a, tag)
	o.e.Check("which it is not counted for", errors.Join(err1, err2) == nil && before == after && sent == 0 && got == 0, "%d sent, %d received, %d rewritten", sent, got, after-before)
	candidates, err := o.a.Dump(genl.CandGet)
	o.e.Check("nor is it followed", err == nil && len(candidates) == 0, "%d flows %s", len(candidates), errText(err))
	return o.a.Do(genl.CtxDel, genl.U64(genl.TagLocal, tag))
}

// onLoopback moves the ULID of a to the loopback, where routers have theirs.
func (o *offloader) onLoopback() error {
	a1, _ := o.Link(1)
	move := func(verb, device string) error {
		_, err := o.A.Output("ip", "addr", verb, netip.PrefixFrom(a1, 128).String(), "dev", device, "nodad")
		return err
	}
	// Link 1 leads no longer to the prefix of its addresses: a route does.
	_, err := o.A.Output("ip", "addr", "del", netip.PrefixFrom(a1, 64).String(), "dev", "a1")
	if err := errors.Join(err, move("add", "lo")); err != nil {
		return err
	}
	if _, err := o.A.Output("ip", "route", "add", topo.DirectPrefix(1).String(), "dev", "a1"); err != nil {
		return err
	}
	before, err := stat(o.a, statTxRewritten)
	if err != nil {
		return err
	}
	o.e.Works("a ULID on the loopback", o.send("", "", some))
	after, err := stat(o.a, statTxRewritten)
	o.e.Check("is served as any", err == nil && after-before > some/1500/50, "%d packets rewritten", after-before)
	_, err = o.A.Output("ip", "route", "del", topo.DirectPrefix(1).String(), "dev", "a1")
	_, err1 := o.A.Output("ip", "addr", "del", netip.PrefixFrom(a1, 128).String(), "dev", "lo")
	_, err2 := o.A.Output("ip", "addr", "add", netip.PrefixFrom(a1, 64).String(), "dev", "a1", "nodad")
	return errors.Join(err, err1, err2)
}

// vrf puts both links of both hosts into a VRF each.
func (o *offloader) vrf() error {
	for _, n := range []*node.Node{o.A, o.B} {
		for _, args := range []string{
			"link add blue type vrf table 77", "link set blue up",
			"link set " + n.Name + "1 master blue", "link set " + n.Name + "2 master blue",
		} {
			if _, err := n.Output("ip", strings.Fields(args)...); err != nil {
				return err
			}
		}
		// Addresses of a device that is enslaved stay only if asked to.
		i := map[string]int{"a": 0, "b": 1}[n.Name]
		for link := 1; link <= 2; link++ {
			var both [2]netip.Addr
			both[0], both[1] = o.Link(link)
			if _, err := n.Output("ip", "addr", "replace", netip.PrefixFrom(both[i], 64).String(), "dev", fmt.Sprintf("%s%d", n.Name, link), "nodad"); err != nil {
				return err
			}
		}
		if err := n.Sysctl("net/ipv4/tcp_l3mdev_accept", "1"); err != nil {
			return err
		}
	}
	if err := errors.Join(o.routeBoth("77"), o.use(2)); err != nil {
		return err
	}
	o.wantVRF("in a VRF, rewritten", "blue", "a2", 2)
	o.wantVRF("bound to the link of the path", "a2", "a2", 2)
	if err := o.use(1); err != nil {
		return err
	}
	o.wantVRF("in a VRF, between the ULIDs", "blue", "a1", 1)
	return nil
}

// wantVRF moves data and checks by which link it went, and that each packet is counted once.
func (o *offloader) wantVRF(what, device, out string, link int) {
	before, err := sentPackets(o.A, out)
	sent, got, err1 := o.counted()
	in, err2 := receivedPackets(o.B, fmt.Sprintf("b%d", link))
	if err := errors.Join(err, err1, err2, o.send(device, "blue", some)); err != nil {
		o.e.Works(what, err)
		return
	}
	after, err := sentPackets(o.A, out)
	sentNow, gotNow, err1 := o.counted()
	inNow, err2 := receivedPackets(o.B, fmt.Sprintf("b%d", link))
	packets, counted, arrived := after-before, sentNow-sent, gotNow-got
	ok := errors.Join(err, err1, err2) == nil && packets > 5 && arrived > some/1500 && arrived < some/1300+60 && counted > some/1500 && counted < some/1300+60
	o.e.Check(what+": by its link, each packet counted once", ok, "%d packets by %s, %d counted as sent, %d as received, %d came in %s",
		packets, out, counted, arrived, inNow-in, errText(errors.Join(err, err1, err2)))
}

// contextPackets reads the counters of a context.
func contextPackets(conn *genl.Conn, tag uint64) (sent, got uint64, err error) {
	replies, err := conn.Get(genl.CtxGet, genl.U64(genl.TagLocal, tag))
	if err != nil || len(replies) == 0 {
		return 0, 0, errors.Join(err, os.ErrNotExist)
	}
	ad, err := nl.NewAttributeDecoder(replies[0].Data)
	if err != nil {
		return 0, 0, err
	}
	for ad.Next() {
		switch ad.Type() {
		case genl.TxPackets:
			sent = ad.Uint64()
		case genl.RxPackets:
			got = ad.Uint64()
		}
	}
	return sent, got, ad.Err()
}

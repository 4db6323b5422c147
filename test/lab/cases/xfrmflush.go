// SPDX-License-Identifier: MIT

package cases

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	nl "github.com/mdlayher/netlink"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"shim6/test/lab/fault"
	"shim6/test/lab/node"
	"shim6/test/lab/packet"
	"shim6/test/lab/report"
	"shim6/test/lab/topo"
	"shim6/test/lab/traffic"
)

var xfrmFlush = Case{
	Name:     "xfrm-flush",
	About:    "somebody flushes the xfrm states under a flow: contexts are repaired and the flow goes on",
	FastTime: true,
	Daemons:  true,
	Limit:    5 * time.Minute,
	Run:      runXfrmFlush,
}

func runXfrmFlush(e *Env) error {
	net, err := topo.Build(e.addresses(), e.RTT)
	if err != nil {
		return err
	}
	defer func() { e.Works("the network goes away", net.Delete()) }()
	provider1, err := fault.Install(net.R1)
	if err != nil {
		return err
	}
	p, err := e.startPeers(net, "default")
	if err != nil {
		return err
	}
	defer p.remove()
	source := "/tmp/" + report.SentName
	if err := traffic.Fill(source, failoverPace.Octets(2*time.Second+e.TSend+30*time.Second), 1); err != nil {
		return err
	}
	t, err := e.startTransfer(net, "xfrm-flush", source, failoverPace, everywhere)
	if err != nil {
		return err
	}
	if _, err := p.established(); err != nil {
		return errors.Join(err, t.abandon())
	}
	e.checkCounted(net.A)
	// Once while the ULIDs are in use, then while packets are rewritten, when a lost context loses packets.
	for _, n := range []*node.Node{net.A, net.B} {
		e.flushStates(p, n, "with the ULIDs")
	}
	e.deleteOne(p, "outbound", net.A1)
	e.deleteOne(p, "inbound", net.B1)
	if err := t.cut(provider1); err != nil {
		return errors.Join(err, t.abandon())
	}
	if err := switched(p, e.TSend+5*time.Second); !e.Works("the path changes after the failure", err) {
		return errors.Join(err, t.abandon())
	}
	for _, n := range []*node.Node{net.A, net.B} {
		e.flushStates(p, n, "while rewriting")
	}
	if err := t.finish(2 * time.Minute); err != nil {
		return err
	}
	e.Check("the transfer ends well and whole", t.Finished && t.Same, "%d of %d octets %s", t.Received, t.Sent, t.Trouble)
	return errors.Join(t.discard(), provider1.Heal())
}

// checkCounted looks at what `ip -s xfrm state` says of a context's packets.
func (e *Env) checkCounted(n *node.Node) {
	out, err := n.Output("ip", "-s", "xfrm", "state")
	counted := regexp.MustCompile(`(\d+)\(bytes\), (\d+)\(packets\)`).FindAllStringSubmatch(out, -1)
	ok := err == nil && len(counted) == 2
	for _, c := range counted {
		ok = ok && c[1] != "0" && c[2] != "0"
	}
	e.Check("ip -s xfrm state counts the packets of both directions", ok, "%v %s", counted, errText(err))
}

// deleteOne deletes one of the two states of host a, that from an address, by itself. The context goes and comes with both.
func (e *Env) deleteOne(p *peers, which string, src netip.Addr) {
	name := fmt.Sprintf("the %s state, deleted alone, is repaired", which)
	list, err := p.net.A.XfrmStateList(netlink.FAMILY_V6)
	if err != nil {
		e.Works(name, err)
		return
	}
	i := slices.IndexFunc(list, func(s netlink.XfrmState) bool { return s.Proto == packet.Shim6 && src.Compare(addrOf(s.Src)) == 0 })
	if len(list) != 2 || i < 0 {
		e.Check(name, false, "%d states, none from %v", len(list), src)
		return
	}
	e.repaired(p, p.net.A, name, func() error { return p.net.A.XfrmStateDel(&list[i]) })
}

func addrOf(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a
}

// unused returns a listing of states without when each was last used, which changes with every second of traffic.
func unused(listing string) string {
	var kept strings.Builder
	for line := range strings.Lines(listing) {
		if !strings.Contains(line, "lastused") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// flushStates deletes every xfrm state of a host. The flush of IPsec's protocols comes first: it is of no concern to us.
func (e *Env) flushStates(p *peers, n *node.Node, when string) {
	before, err1 := n.Output("ip", "xfrm", "state")
	err2 := flushProtocol(n, ipsecProtocols)
	time.Sleep(100 * time.Millisecond)
	after, err3 := n.Output("ip", "xfrm", "state")
	err := errors.Join(err1, err2, err3)
	e.Check(fmt.Sprintf("a flush of IPsec in %s %s leaves the states alone", n.Name, when), err == nil && unused(before) == unused(after) && strings.Count(after, "proto 140") == 2,
		"%d states %s", strings.Count(after, "proto 140"), errText(err))
	e.repaired(p, n, fmt.Sprintf("a flush in %s %s is repaired", n.Name, when), func() error { return flushProtocol(n, 0) })
}

// ipsecProtocols is IPSEC_PROTO_ANY, which is what IKE daemons flush.
const ipsecProtocols = 255

// flushProtocol sends what an IKE daemon sends to be rid of all states; 0 is every protocol.
func flushProtocol(n *node.Node, proto uint8) error {
	const flushSA = 0x1c // XFRM_MSG_FLUSHSA; struct xfrm_usersa_flush is one octet
	return n.Do(func() error {
		conn, err := nl.Dial(unix.NETLINK_XFRM, nil)
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = conn.Execute(nl.Message{Header: nl.Header{Type: flushSA, Flags: nl.Request | nl.Acknowledge}, Data: []byte{proto}})
		return err
	})
}

// repaired deletes states of a host and waits until they are there again, and the context with them.
func (e *Env) repaired(p *peers, n *node.Node, name string, remove func() error) {
	const limit = 10 * time.Second
	daemon := p.a
	if n == p.net.B {
		daemon = p.b
	}
	before, err := daemon.Stats()
	if err == nil {
		err = remove()
	}
	if err != nil {
		e.Works(name, err)
		return
	}
	start := time.Now()
	for time.Since(start) < limit {
		time.Sleep(50 * time.Millisecond)
		out, err := n.Output("ip", "xfrm", "state")
		if err != nil {
			e.Works(name, err)
			return
		}
		now, err := daemon.Stats()
		if err != nil {
			e.Works(name, err)
			return
		}
		if strings.Count(out, "proto 140") != 2 || now["kernel"]["states_gone"] == before["kernel"]["states_gone"] {
			continue
		}
		if _, err := p.established(); err != nil {
			e.Works(name, err)
			return
		}
		e.Check(name, true, "after %v", time.Since(start).Round(time.Millisecond))
		return
	}
	e.Check(name, false, "not after %v", limit)
}

// switched waits until a's context has left the first locator pair.
func switched(p *peers, limit time.Duration) error {
	for start := time.Now(); time.Since(start) < limit; time.Sleep(100 * time.Millisecond) {
		c, err := p.a.Established(p.net.A1, p.net.B1, time.Second)
		if err != nil {
			return err
		}
		if c.Current.Local == p.net.A2 && c.Reap == "Operational" {
			return nil
		}
	}
	return fmt.Errorf("not after %v", limit)
}

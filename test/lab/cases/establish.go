// SPDX-License-Identifier: MIT

package cases

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"shim6/test/lab/daemon"
	"shim6/test/lab/flow"
	"shim6/test/lab/node"
	"shim6/test/lab/report"
	"shim6/test/lab/topo"
	"shim6/test/lab/traffic"
)

var establishment = Case{
	Name:     "establish",
	About:    "a transfer makes the default heuristic of one host ask for a context, and both agree on it",
	FastTime: true,
	Daemons:  true,
	Limit:    5 * time.Minute,
	Run:      runEstablish,
}

func runEstablish(e *Env) error {
	net, err := topo.Build(e.addresses(), e.RTT)
	if err != nil {
		return err
	}
	defer func() { e.Works("the network goes away", net.Delete()) }()
	p, err := e.startPeers(net, "none")
	if err != nil {
		return err
	}
	defer p.remove()
	devices, err := p.a.Devices()
	e.Check("a names its devices, and who segments for them", err == nil && slices.Contains(devices, daemon.Device{Name: "p1", GSO: "segment", Why: "hardware"}) &&
		slices.Contains(devices, daemon.Device{Name: "p2", GSO: "segment", Why: "hardware"}), "%v %s", devices, errText(err))
	e.checkStates(net, 0)
	source := "/tmp/" + report.SentName
	if err := traffic.Fill(source, demoPace.Octets(3*time.Second), 1); err != nil {
		return err
	}
	t, err := e.startTransfer(net, "establish", source, demoPace, everywhere)
	if err != nil {
		return err
	}
	a, err := p.established()
	if !e.Works("the context is ESTABLISHED on both hosts, each with the other's tag", err) {
		return errors.Join(err, t.abandon())
	}
	b, err := p.b.Established(net.B1, net.A1, time.Second)
	if err != nil {
		return errors.Join(err, t.abandon())
	}
	e.checkContext(a, net)
	e.checkStates(net, 2)
	e.checkState(net.A, "outbound", net.A1, net.B1, a.TagPeer)
	e.checkState(net.A, "inbound", net.B1, net.A1, a.Tag)
	e.checkState(net.B, "outbound", net.B1, net.A1, b.TagPeer)
	e.checkState(net.B, "inbound", net.A1, net.B1, b.Tag)
	// RFC 5533 section 7.2: a locator is used only when it has been verified to be the peer's.
	e.Check("b knows both addresses of a as verified locators",
		verified(b.LocatorsPeer, net.A1) && verified(b.LocatorsPeer, net.A2) && len(b.LocatorsPeer) == 2, "%v", b.LocatorsPeer)
	e.Check("a knows b's address as a verified locator", verified(a.LocatorsPeer, net.B1) && len(a.LocatorsPeer) == 1, "%v", a.LocatorsPeer)
	if err := t.finish(time.Minute); err != nil {
		return err
	}
	e.Check("the transfer ends well and whole", t.Finished && t.Same, "%d of %d octets %s", t.Received, t.Sent, t.Trouble)
	return errors.Join(e.checkExchange(), t.discard())
}

func (e *Env) checkContext(c *daemon.Context, net *topo.Network) {
	e.Check("the ULIDs are the first locator pair", c.Current.Local == net.A1 && c.Current.Peer == net.B1, "%v", c.Current)
	e.Check("the Send Timeout is the configured one", c.SendTimeoutMS == e.TSend.Milliseconds(), "%d ms", c.SendTimeoutMS)
	e.Check("REAP is Operational", c.Reap == "Operational", "%s", c.Reap)
}

// checkState looks for an xfrm state between two addresses whose SPI is the low half of a context tag.
func (e *Env) checkState(n *node.Node, direction string, src, dst netip.Addr, tag string) {
	name := fmt.Sprintf("%s has the %s xfrm state", n.Name, direction)
	value, err := strconv.ParseUint(tag, 16, 64)
	if err != nil {
		e.Check(name, false, "context tag %q: %v", tag, err)
		return
	}
	out, err := n.Output("ip", "xfrm", "state")
	want := fmt.Sprintf("src %v dst %v\n\tproto 140 spi 0x%08x", src, dst, uint32(value))
	e.Check(name, err == nil && strings.Contains(out, want), "%s %s", strings.ReplaceAll(want, "\n\t", " "), errText(err))
}

func verified(list []daemon.Locator, addr netip.Addr) bool {
	for _, l := range list {
		if l.Addr == addr {
			return l.Verified
		}
	}
	return false
}

// checkExchange looks for the four messages of the context establishment, in their order (RFC 5533 section 4.3).
func (e *Env) checkExchange() error {
	raw, err := os.ReadFile(e.Path(report.CaptureName("establish", "b", "p1")))
	if err != nil {
		return err
	}
	c, err := flow.Read(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	names := []string{1: "I1", 2: "R1", 3: "I2", 4: "R2"}
	next := uint8(1)
	var seen []string
	for _, p := range c.Packets {
		if p.Control == 0 || int(p.Control) >= len(names) {
			continue
		}
		seen = append(seen, names[p.Control])
		if p.Control == next {
			next++
		}
	}
	e.Check("I1, R1, I2 and R2 crossed the wire", next > 4, "%s", strings.Join(seen, " "))
	return nil
}

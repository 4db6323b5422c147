// SPDX-License-Identifier: MIT

package cases

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"shim6/test/lab/fault"
	"shim6/test/lab/node"
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
	// Once while the ULIDs are in use, then while packets are rewritten, when a lost context loses packets.
	for _, n := range []*node.Node{net.A, net.B} {
		e.flushStates(p, n, "with the ULIDs")
	}
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

// flushStates deletes every xfrm state of a host and waits until they are there again, and the context with them.
func (e *Env) flushStates(p *peers, n *node.Node, when string) {
	const limit = 10 * time.Second
	name := fmt.Sprintf("a flush in %s %s is repaired", n.Name, when)
	if _, err := n.Output("ip", "xfrm", "state", "flush"); err != nil {
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
		if strings.Count(out, "proto 140") != 2 {
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

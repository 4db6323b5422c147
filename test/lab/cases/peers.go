// SPDX-License-Identifier: MIT

package cases

import (
	"fmt"
	"strings"
	"time"

	"shim6/test/lab/daemon"
	"shim6/test/lab/node"
	"shim6/test/lab/report"
	"shim6/test/lab/topo"
)

// peers are the modules and the daemons of both hosts.
type peers struct {
	e    *Env
	net  *topo.Network
	a, b *daemon.Daemon
}

// addresses are the hosts' CGAs, or plain addresses for a case without daemons.
func (e *Env) addresses() topo.Addresses {
	if !e.A1.IsValid() {
		return topo.Plain()
	}
	return topo.Addresses{A1: e.A1, A2: e.A2, B1: e.B1, A4: e.A4, A5: e.A5}
}

// startPeers loads the modules and starts a daemon in each host. Host a wants contexts by the default heuristic, host b by
// the named one: when both do, they often want one at the same time.
func (e *Env) startPeers(net *topo.Network, heuristicB string) (*peers, error) {
	return e.startPeersWithKeys(net, "a", heuristicB)
}

// startPeersWithKeys is startPeers with the keys that host a is to have.
func (e *Env) startPeersWithKeys(net *topo.Network, keysA, heuristicB string) (*peers, error) {
	if err := e.loadUnderTest(); err != nil {
		return nil, err
	}
	p := &peers{e: e, net: net}
	config := daemon.Config{Keys: keysA, SendTimeout: e.TSend, Heuristic: "default", Teardown: e.teardown}
	var err error
	if p.a, err = daemon.New(net.A, e.Path(report.DaemonLog("a")), config); err != nil {
		return nil, err
	}
	config.Keys, config.Heuristic = "b", heuristicB
	if p.b, err = daemon.New(net.B, e.Path(report.DaemonLog("b")), config); err != nil {
		return nil, err
	}
	if err := p.a.Start(); err != nil {
		return nil, err
	}
	return p, p.b.Start()
}

// established waits until both hosts have an established context for a1 and b1, and checks that the two are one.
func (p *peers) established() (*daemon.Context, error) {
	const limit = 20 * time.Second
	a, err := p.a.Established(p.net.A1, p.net.B1, limit)
	if err != nil {
		return nil, err
	}
	b, err := p.b.Established(p.net.B1, p.net.A1, limit)
	if err != nil {
		return nil, err
	}
	// RFC 5533 section 7: the hosts exchange their context tags.
	if a.Tag != b.TagPeer || b.Tag != a.TagPeer {
		return nil, fmt.Errorf("context tags do not match: a has %s and %s, b has %s and %s", a.Tag, a.TagPeer, b.Tag, b.TagPeer)
	}
	return a, nil
}

// remove ends the daemons, drops the contexts and unloads the modules, and checks that nothing of them is left.
func (p *peers) remove() {
	e := p.e
	e.Works("contexts of a are flushed", p.a.Flush())
	e.Works("contexts of b are flushed", p.b.Flush())
	e.Works("contexts that b brought back to a are flushed", p.a.Flush()) // by RFC 5533 section 7.17, had it sent meanwhile
	e.Works("shim6d of a stops", p.a.Stop())
	e.Works("shim6d of b stops", p.b.Stop())
	e.checkStates(p.net, 0)
	e.unloadUnderTest()
}

// checkStates checks how many xfrm states each host has.
func (e *Env) checkStates(net *topo.Network, want int) {
	for _, n := range []*node.Node{net.A, net.B} {
		out, err := n.Output("ip", "xfrm", "state")
		got := strings.Count(out, "proto ")
		e.Check(fmt.Sprintf("ip xfrm state of %s shows %d states", n.Name, want), err == nil && got == want, "%d %s", got, errText(err))
	}
}

// errText is empty for nil.
func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// SPDX-License-Identifier: MIT

package cases

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"shim6/test/lab/fault"
	"shim6/test/lab/topo"
)

var mobility = Case{
	Name:     "mobility",
	About:    "a host moves: all its addresses are replaced under a flow, in both orders, and the flow goes on",
	FastTime: true,
	Daemons:  true,
	Limit:    5 * time.Minute,
	Run:      runMobility,
}

// A place is where host a is connected, by both of its providers.
type place struct {
	name  string
	sites []*topo.Site
	addrs func(*topo.Network) []netip.Addr
}

var (
	home   = place{"home", []*topo.Site{topo.Site1, topo.Site2}, func(n *topo.Network) []netip.Addr { return []netip.Addr{n.A1, n.A2} }}
	abroad = place{"abroad", []*topo.Site{topo.Site4, topo.Site5}, func(n *topo.Network) []netip.Addr { return []netip.Addr{n.A4, n.A5} }}
)

func runMobility(e *Env) error {
	tr, err := e.newTrial(14*time.Second, "none")
	defer func() { tr.end() }()
	if err != nil {
		return err
	}
	return tr.steps(
		func() error { return tr.oneContext("at home") },
		func() error { return tr.moveBlind(home, abroad, (*topo.Network).Attach) },
		func() error { return tr.checkSources(tr.net.A1) },
		func() error { return tr.move(abroad, home) },
		func() error { return tr.checkSources() },
		func() error { return tr.move(home, abroad) },
		func() error { return tr.checkSources(tr.net.A1) },
		func() error { return tr.checkSeen(fault.R1bis, fault.I2bis) },
	)
}

// moveBlind leaves one place, is nowhere for a while, less than the Send Timeout, and comes to the other: nobody knows the
// addresses there, and the peer cannot be told before (RFC 5533 section 7.5 has it recover the context).
func (tr *trial) moveBlind(from, to place, arrive func(*topo.Network, *topo.Site) error) error {
	const nowhere = time.Second
	what := fmt.Sprintf("%s to %s, nowhere between", from.name, to.name)
	tr.suffer(what, nowhere+slack)
	for _, s := range from.sites {
		if err := tr.net.Leave(s); err != nil {
			return err
		}
	}
	time.Sleep(nowhere)
	for _, s := range to.sites {
		if err := arrive(tr.net, s); err != nil {
			return err
		}
	}
	return tr.arrived(what, to)
}

// move comes to one place and leaves the other when the peer knows.
func (tr *trial) move(from, to place) error {
	what := fmt.Sprintf("%s to %s", from.name, to.name)
	tr.suffer(what+": new addresses come", unnoticed)
	for _, s := range to.sites {
		if err := tr.net.Return(s); err != nil {
			return err
		}
	}
	for _, s := range to.sites {
		if err := within(5*time.Second, func() error { return tr.net.Reaches(s) }); err != nil {
			return err
		}
	}
	both := append(from.addrs(tr.net), to.addrs(tr.net)...)
	if err := tr.peerUses(both...); !tr.e.Works(what+": the peer knows old and new", err) {
		return err
	}
	tr.suffer(what+": the old addresses go", slack)
	for _, s := range from.sites {
		if err := tr.net.Leave(s); err != nil {
			return err
		}
	}
	return tr.arrived(what, to)
}

// arrived checks that everything is as if a had always been there.
func (tr *trial) arrived(what string, at place) error {
	if err := tr.flows(what, 10*time.Second); err != nil {
		return err
	}
	err := tr.peerUses(at.addrs(tr.net)...)
	if !tr.e.Works(what+": the peer knows the new addresses and no others", err) {
		return err
	}
	if err := tr.oneContext(what); err != nil {
		return err
	}
	return within(5*time.Second, func() error {
		c, err := tr.a.Established(tr.net.A1, tr.net.B1, time.Second)
		if err != nil {
			return err
		}
		var list []netip.Addr
		for _, l := range c.LocatorsLocal {
			list = append(list, l.Addr)
		}
		if c.Reap != "Operational" || len(list) != len(at.addrs(tr.net)) {
			return errors.New(tr.net.Short(fmt.Sprintf("%s, %s, own locators %v", c.Reap, c.Current, list)))
		}
		tr.e.Say("%s: path %s", what, tr.net.Short(c.Current.String()))
		return nil
	})
}

// checkSources checks which addresses that are assigned no more have a route kept for them.
func (tr *trial) checkSources(want ...netip.Addr) error {
	out, err := tr.net.A.Output("ip", "-6", "rule")
	if err != nil {
		return err
	}
	kept := 0
	for line := range strings.Lines(out) {
		if strings.Contains(line, "5533") {
			kept++
		}
	}
	ok := kept == len(want)
	for _, a := range want {
		ok = ok && strings.Contains(out, "from "+a.String()+" lookup 5533")
	}
	tr.e.Check(fmt.Sprintf("routes are kept for %d ULIDs", len(want)), ok, "%s", strings.Join(strings.Fields(out), " "))
	out, err = tr.net.A.Output("ip", "-6", "route", "show", "table", "all", "proto", "141")
	tr.e.Check("and the route they take is there as long", err == nil && strings.Contains(out, "default") == (len(want) > 0),
		"%s %s", strings.TrimSpace(out), errText(err))
	return nil
}

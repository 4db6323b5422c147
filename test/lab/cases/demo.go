// SPDX-License-Identifier: MIT

package cases

import (
	"errors"
	"fmt"
	"time"

	"shim6/test/lab/fault"
	"shim6/test/lab/report"
	"shim6/test/lab/topo"
	"shim6/test/lab/traffic"
)

var demo = Case{
	Slow:     debugKernels("its figures are of the instruction clock"),
	Name:     "demo",
	About:    "a provider fails under a transfer, first without shim6, then with it",
	FastTime: true,
	Daemons:  true,
	Limit:    10 * time.Minute,
	Run:      runDemo,
}

var demoPace = traffic.Pace{RateMbit: 10, Block: 16384}

const (
	// cutAfter is how long a transfer runs before the failure, goOn how long it is to run on after it has caught up.
	cutAfter = 5 * time.Second
	goOn     = 4 * time.Second
	// stallWatch is how long the control run is watched after the failure.
	stallWatch = 60 * time.Second
)

func runDemo(e *Env) error {
	net, err := topo.Build(e.addresses(), e.RTT)
	if err != nil {
		return err
	}
	defer func() { e.Works("the network goes away", net.Delete()) }()
	provider1, err := fault.Install(net.R1)
	if err != nil {
		return err
	}
	source := e.Path(report.SentName)
	if err := traffic.Fill(source, demoPace.Octets(cutAfter+e.TSend+goOn), 1); err != nil {
		return err
	}
	e.Say("%v", net.Addresses)
	d := report.Demo{A1: net.A1, A2: net.A2, B1: net.B1}
	if err := demoControl(e, net, provider1, source, &d); err != nil {
		return err
	}
	if err := demoShim6(e, net, provider1, source, &d); err != nil {
		return err
	}
	return e.SaveJSON(report.DemoName, d)
}

// demoControl shows that the failure is one: nothing gets through while it lasts.
func demoControl(e *Env, net *topo.Network, provider1 *fault.Switch, source string, d *report.Demo) error {
	e.Say("control run, without shim6: transfer from a to b by provider 1")
	t, err := e.startTransfer(net, "control", source, demoPace, everywhere)
	if err != nil {
		return err
	}
	time.Sleep(cutAfter)
	if err := t.cut(provider1); err != nil {
		return err
	}
	e.Say("control run: provider 1 drops everything from now on; watching for %v", stallWatch)
	time.Sleep(stallWatch)
	if err := t.abandon(); err != nil {
		return err
	}
	d.Control = t.Transfer
	e.checkCarrier(net, "control")
	e.Say("control run: %d of %d octets arrived", t.Received, t.Sent)
	return errors.Join(t.discard(), provider1.Heal())
}

// demoShim6 does the same with the module and the daemons.
func demoShim6(e *Env, net *topo.Network, provider1 *fault.Switch, source string, d *report.Demo) error {
	p, err := e.startPeers(net, "default")
	if err != nil {
		return err
	}
	defer p.remove()
	e.Say("run with shim6: the same transfer, Send Timeout %v", e.TSend)
	t, err := e.startTransfer(net, "shim6", source, demoPace, everywhere)
	if err != nil {
		return err
	}
	before, err := p.established()
	if err != nil {
		return errors.Join(err, t.abandon())
	}
	d.LocatorsBefore, d.TagA, d.TagB = before.Current.String(), before.Tag, before.TagPeer
	e.Say("run with shim6: context %s is ESTABLISHED, path %s", before.Tag, net.Short(d.LocatorsBefore))
	time.Sleep(time.Until(t.Start.Add(cutAfter)))
	if err := t.cut(provider1); err != nil {
		return errors.Join(err, t.abandon())
	}
	e.Say("run with shim6: provider 1 drops everything from now on")
	// Well after the failure the transfer is over, unless it stalls.
	if err := t.finish(e.TSend*3 + stallWatch); err != nil {
		return err
	}
	d.Shim6 = t.Transfer
	e.checkCarrier(net, "shim6")
	e.Say("run with shim6: %d of %d octets arrived", t.Received, t.Sent)
	after, err := p.established()
	if err != nil {
		return err
	}
	d.LocatorsAfter, d.ProbesA = after.Current.String(), after.ProbesSent
	peer, err := p.b.Established(net.B1, net.A1, time.Second)
	if err != nil {
		return err
	}
	d.ProbesB = peer.ProbesSent
	return provider1.Heal()
}

// checkCarrier checks that the failure is invisible at host a's links.
func (e *Env) checkCarrier(net *topo.Network, run string) {
	for _, dev := range []string{"p1", "p2"} {
		name := fmt.Sprintf("%s: link %s of host a has a carrier all the time", run, dev)
		changes, err := net.A.CarrierChanges(dev)
		// One loss and one gain, when the link was made.
		e.Check(name, err == nil && changes <= 2, "%d changes since it was made %s", changes, errText(err))
	}
}

// SPDX-License-Identifier: MIT

package cases

import (
	"errors"
	"fmt"
	"os"
	"time"

	"shim6/test/lab/fault"
	"shim6/test/lab/report"
	"shim6/test/lab/topo"
	"shim6/test/lab/traffic"
)

var failover = Case{
	Slow:     debugKernels("its figures are of the instruction clock"),
	Name:     "failover",
	About:    "ten failovers in a row with each of three Send Timeouts, whichever provider is in use",
	FastTime: true,
	Without:  realTime("thirty failovers take eight minutes"),
	Daemons:  true,
	Limit:    20 * time.Minute,
	Run:      runFailover,
}

const failoverRuns = 10

var (
	sendTimeouts = []time.Duration{time.Second, 3 * time.Second, 15 * time.Second}
	failoverPace = traffic.Pace{RateMbit: 2, Block: 4096}
)

func runFailover(e *Env) error {
	net, err := topo.Build(e.addresses(), e.RTT)
	if err != nil {
		return err
	}
	defer func() { e.Works("the network goes away", net.Delete()) }()
	p1, err := fault.Install(net.R1)
	if err != nil {
		return err
	}
	p2, err := fault.Install(net.R2)
	if err != nil {
		return err
	}
	var runs []report.FailoverRun
	for _, tsend := range sendTimeouts {
		list, err := e.failovers(net, []*fault.Switch{p1, p2}, tsend)
		runs = append(runs, list...)
		if err != nil {
			return errors.Join(err, e.SaveJSON(report.FailoverName, runs))
		}
	}
	return e.SaveJSON(report.FailoverName, runs)
}

// failovers runs transfers, one after the other by the same context, and fails the provider in use under each.
func (e *Env) failovers(net *topo.Network, providers []*fault.Switch, tsend time.Duration) ([]report.FailoverRun, error) {
	e.TSend = tsend
	p, err := e.startPeers(net, "default")
	if err != nil {
		return nil, err
	}
	defer p.remove()
	var runs []report.FailoverRun
	for i := range failoverRuns {
		run, err := e.failoverRun(p, providers, i)
		if err != nil {
			return runs, fmt.Errorf("send timeout %v, run %d: %w", tsend, i+1, err)
		}
		e.Say("Send Timeout %v, run %d: provider %d failed, path %s became %s", tsend, i+1, run.Provider, net.Short(run.Before), net.Short(run.After))
		runs = append(runs, *run)
	}
	return runs, nil
}

func (e *Env) failoverRun(p *peers, providers []*fault.Switch, i int) (*report.FailoverRun, error) {
	// The failure comes at another moment each time, as seen from any timer.
	before := time.Second + time.Duration(i)*137*time.Millisecond
	source := "/tmp/" + report.SentName
	if err := traffic.Fill(source, failoverPace.Octets(before+e.TSend+time.Second), uint64(i)); err != nil {
		return nil, err
	}
	defer os.Remove(source)
	t, err := e.startTransfer(p.net, fmt.Sprintf("%v-%02d", e.TSend, i+1), source, failoverPace, receiverOnly)
	if err != nil {
		return nil, err
	}
	context, err := p.established()
	if err != nil {
		return nil, errors.Join(err, t.abandon())
	}
	run := &report.FailoverRun{TSend: e.TSend, Provider: 1, Before: context.Current.String()}
	if context.Current.Local == p.net.A2 {
		run.Provider = 2
	}
	failing := providers[run.Provider-1]
	time.Sleep(time.Until(t.Start.Add(before)))
	if err := t.cut(failing); err != nil {
		return nil, errors.Join(err, t.abandon())
	}
	if err := t.finish(e.TSend*3 + time.Minute); err != nil {
		return nil, err
	}
	run.Transfer = t.Transfer
	if context, err = p.established(); err != nil {
		return nil, err
	}
	run.After = context.Current.String()
	return run, errors.Join(t.discard(), failing.Heal())
}

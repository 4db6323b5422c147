// SPDX-License-Identifier: MIT

package cases

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"shim6/test/lab/daemon"
	"shim6/test/lab/fault"
	"shim6/test/lab/report"
	"shim6/test/lab/topo"
	"shim6/test/lab/traffic"
)

var steering = Case{
	Name:     "steering",
	About:    "programs outside of shim6d move a transfer: by hand, by ECN marks on its path, and by a file with the providers' costs",
	FastTime: true,
	Daemons:  true,
	Examples: []string{"steer-ecn", "steer-cost"},
	Limit:    10 * time.Minute,
	Run:      runSteering,
}

const (
	// steerTime is what a program may take to see why it should move payload, and to do so.
	steerTime = 15 * time.Second
	// steerLasts is how long the transfer goes on at least.
	steerLasts = 40 * time.Second
)

func runSteering(e *Env) error {
	e.TSend = time.Minute // nothing but steering moves payload
	net, err := topo.Build(e.addresses(), e.RTT)
	if err != nil {
		return err
	}
	defer func() { e.Works("the network goes away", net.Delete()) }()
	if err := errors.Join(net.A.Sysctl("net/ipv4/tcp_ecn", "1"), net.B.Sysctl("net/ipv4/tcp_ecn", "1")); err != nil {
		return err
	}
	p, err := e.startPeers(net, "none")
	if err != nil {
		return err
	}
	defer p.remove()
	source := "/tmp/" + report.SentName
	if err := traffic.Fill(source, hintsPace.Octets(steerLasts), 1); err != nil {
		return err
	}
	t, err := e.startTransfer(net, "steering", source, hintsPace, nil)
	if err != nil {
		return err
	}
	if err := e.steers(p); err != nil {
		return errors.Join(err, t.abandon())
	}
	if err := t.finish(2 * steerLasts); err != nil {
		return err
	}
	e.Check("the transfer ends well and whole", t.Finished && t.Same, "%d of %d octets %s", t.Received, t.Sent, t.Trouble)
	return t.discard()
}

func (e *Env) steers(p *peers) error {
	c, err := p.established()
	if err != nil {
		return err
	}
	e.Check("payload begins on provider 1", c.Current == p.a1(), "%s", p.net.Short(c.Current.String()))
	if err := errors.Join(e.byHand(p, c), e.byMarks(p), e.byCosts(p)); err != nil {
		return err
	}
	log, err := p.a.Ctl("log", "--context", c.Tag)
	whole := true
	for _, want := range []string{"I1-SENT -> I2-SENT", "I2-SENT -> ESTABLISHED", "path changed", "switch failed", "message sent", "probe received"} {
		whole = whole && strings.Contains(log, want)
	}
	e.Check("the log tells the whole life of the context", err == nil && whole, "%d lines %s", strings.Count(log, "\n"), errText(err))
	return nil
}

// byHand switches to a path that works, to one that does not, and back.
func (e *Env) byHand(p *peers, c *daemon.Context) error {
	word := func(x daemon.Pair) string { return x.Local.String() + "," + x.Peer.String() }
	at := func(want daemon.Pair) (bool, string) {
		now, err := p.a.Established(p.net.A1, p.net.B1, time.Second)
		if err != nil {
			return false, err.Error()
		}
		return now.Current == want, p.net.Short(now.Current.String())
	}
	_, err := p.a.Ctl("switch", c.Tag, word(p.a2()))
	ok, where := at(p.a2())
	e.Check("shim6ctl switch returns when payload goes on provider 2", err == nil && ok, "on %s %s", where, errText(err))
	_, err = p.a.Ctl("switch", c.Tag, word(p.a1()))
	ok, where = at(p.a1())
	e.Check("and when it is back", err == nil && ok, "on %s %s", where, errText(err))
	cut, err := fault.Install(p.net.R2)
	if err != nil {
		return err
	}
	if err := cut.Cut(); err != nil {
		return err
	}
	_, err = p.a.Ctl("switch", c.Tag, word(p.a2()))
	ok, where = at(p.a1())
	e.Check("it fails on a path that is dead, and payload stays", err != nil && strings.Contains(err.Error(), "no answer") && ok, "on %s: %s", where, errText(err))
	if err := cut.Heal(); err != nil {
		return err
	}
	paths, err := p.a.Ctl("paths", c.Tag)
	e.Check("paths have a round-trip time and a loss", err == nil && strings.Contains(paths, "rtt ") && strings.Contains(paths, "loss "), "%s %s",
		strings.ReplaceAll(paths, "\n", " | "), errText(err))
	return nil
}

// byMarks has provider 1 mark what it forwards as congested.
func (e *Env) byMarks(p *peers) error {
	log := e.Path("steer-ecn.log")
	watcher, err := p.a.Launch(log, "steer-ecn")
	if err != nil {
		return err
	}
	time.Sleep(4 * time.Second)
	before, err := p.a.Established(p.net.A1, p.net.B1, time.Second)
	if err != nil {
		return errors.Join(err, watcher.Stop())
	}
	e.Check("without marks nothing moves", before.Current == p.a1(), "on %s", p.net.Short(before.Current.String()))
	marker, err := fault.Mark(p.net.R1)
	if err != nil {
		return errors.Join(err, watcher.Stop())
	}
	took, err := p.movesTo(p.a2(), steerTime)
	if err != nil {
		return errors.Join(err, watcher.Stop())
	}
	e.Check("the watcher of ECN marks leaves the congested provider", took < steerTime, "after %v", took)
	err = errors.Join(watcher.Stop(), marker.End())
	said, readErr := os.ReadFile(log)
	e.Check("it says why", strings.Contains(string(said), "segments tell of congestion"), "%s", p.net.Short(strings.TrimSpace(string(said))))
	return errors.Join(err, readErr)
}

// byCosts changes the costs of the providers in a file.
func (e *Env) byCosts(p *peers) error {
	file := "/tmp/costs.json"
	write := func(first, second int) error {
		return os.WriteFile(file, fmt.Appendf(nil, `{
			"network-map": {"one": {"ipv6": [%q]}, "two": {"ipv6": [%q]}, "world": {"ipv6": ["::/0"]}},
			"cost-map": {"one": {"world": %d}, "two": {"world": %d}}
		}`, topo.PrefixA1, topo.PrefixA2, first, second), 0o644)
	}
	if err := write(1, 10); err != nil {
		return err
	}
	ranker, err := p.a.Launch(e.Path("steer-cost.log"), "steer-cost", "--map", file)
	if err != nil {
		return err
	}
	took, err := p.movesTo(p.a1(), steerTime)
	if err != nil {
		return errors.Join(err, ranker.Stop())
	}
	e.Check("payload goes to the provider that a cost map prefers", took < steerTime, "after %v", took)
	if err := write(10, 1); err != nil {
		return errors.Join(err, ranker.Stop())
	}
	if took, err = p.movesTo(p.a2(), steerTime); err != nil {
		return errors.Join(err, ranker.Stop())
	}
	e.Check("and follows when the costs change", took < steerTime, "after %v", took)
	return ranker.Stop()
}

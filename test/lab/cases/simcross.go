// SPDX-License-Identifier: MIT

package cases

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"shim6/test/lab/daemon"
	"shim6/test/lab/fault"
	"shim6/test/lab/report"
	"shim6/test/lab/topo"
	"shim6/test/sim/cross"
)

var simCrossCheck = Case{
	Name:     "sim-cross-check",
	About:    "scripts of the simulator, carried out by real kernels and daemons: the same happens at the same times",
	FastTime: true,
	Without:  realTime("every event has its time, to some tens of milliseconds"),
	Daemons:  true,
	Limit:    15 * time.Minute,
	Run:      runSimCrossCheck,
}

func runSimCrossCheck(e *Env) error {
	files, err := fs.Glob(cross.Scripts, "*.txt")
	if err != nil {
		return err
	}
	for _, file := range files {
		raw, err := cross.Scripts.ReadFile(file)
		if err != nil {
			return err
		}
		if err := e.crossCheck(strings.TrimSuffix(file, ".txt"), string(raw)); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

// A rehearsal carries out one script.
type rehearsal struct {
	*peers
	name     string
	expected []incident
	start    time.Time     // of the script
	at       time.Duration // since then, by the script
	pinger   *pinger
	provider *fault.Switch
}

func (e *Env) crossCheck(name, text string) error {
	script, output, ok := strings.Cut(text, "----\n")
	if !ok {
		return errors.New("no line of dashes")
	}
	r := &rehearsal{name: name}
	var err error
	if r.expected, err = parseOutput(output); err != nil {
		return err
	}
	// The simulator's links take 10 ms each way.
	net, err := topo.Build(e.addresses(), 20*time.Millisecond)
	if err != nil {
		return err
	}
	defer func() { e.Works(name+": the network goes away", net.Delete()) }()
	if r.provider, err = fault.Install(net.R1); err != nil {
		return err
	}
	e.teardown = 0
	defer func() {
		if r.pinger != nil {
			r.pinger.close()
		}
		if r.peers != nil {
			r.remove()
		}
	}()
	for line := range strings.Lines(script) {
		line, _, _ = strings.Cut(line, "#")
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		if err := r.do(e, net, f); err != nil {
			return fmt.Errorf("%s: %w", strings.TrimSpace(line), err)
		}
	}
	return nil
}

// do carries out one command of the script. Those before the first time passes say what hosts there are.
func (r *rehearsal) do(e *Env, net *topo.Network, f []string) (err error) {
	command := strings.Join(f, " ")
	switch f[0] {
	case "timeout":
		e.TSend, err = time.ParseDuration(f[1])
	case "teardown":
		e.teardown, err = time.ParseDuration(f[1])
	case "host":
		if command != "host a cga a1 a2" && command != "host b cga b1" {
			return errors.New("the lab has no such host")
		}
	case "ping":
		if r.peers == nil {
			if r.peers, err = e.startPeers(net, "none"); err != nil {
				return err
			}
			if r.pinger, err = newPinger(net); err != nil {
				return err
			}
			r.start = time.Now()
		}
		var interval time.Duration
		if interval, err = time.ParseDuration(f[3]); err == nil {
			r.pinger.begin(r.start.Add(r.at), interval)
		}
	case "trigger": // by the heuristic, when a few packets have been sent
	case "mute":
		r.pinger.mute()
	case "stop":
		r.pinger.stop()
	case "cut":
		err = r.provider.Cut()
	case "fork":
		if command != "fork a2>b1" {
			return errors.New("the lab does not fork on that pair")
		}
		var c *daemon.Context
		if c, err = r.a.Established(net.A1, net.B1, time.Second); err == nil {
			err = r.a.Fork(c.Tag, daemon.Pair{Local: net.A2, Peer: net.B1})
		}
	case "forget":
		err = r.b.Flush()
	case "run", "quiet":
		var d time.Duration
		if d, err = time.ParseDuration(f[1]); err == nil {
			err = r.pass(e, d, f[0] == "run")
		}
	default:
		return errors.New("the lab has no such command")
	}
	return err
}

// pass lets time pass, and checks what happened then, if that is to be looked at.
func (r *rehearsal) pass(e *Env, d time.Duration, look bool) error {
	begin := r.at
	r.at += d
	before, err := r.keepalives()
	if err != nil {
		return err
	}
	time.Sleep(time.Until(r.start.Add(r.at)))
	if !look {
		return nil
	}
	after, err := r.keepalives()
	if err != nil {
		return err
	}
	var seen []incident
	for _, host := range []string{"a", "b"} {
		list, err := readLog(host, e.Path(report.DaemonLog(host)), r.net, r.start)
		if err != nil {
			return err
		}
		seen = append(seen, between(list, begin, r.at)...)
	}
	r.compare(e, begin, seen)
	for host, n := range after {
		want := 0
		for _, x := range between(r.expected, begin, r.at) {
			if x.host == host && x.keepalive {
				want++
			}
		}
		got := int(n - before[host])
		e.Check(fmt.Sprintf("%s, %v to %v: Keepalives of %s", r.name, begin, r.at, host), got >= want-1 && got <= want+1,
			"%d, in the simulator %d", got, want)
	}
	return nil
}

// keepalives gives how many each host has sent.
func (r *rehearsal) keepalives() (map[string]uint64, error) {
	a, errA := r.a.Stats()
	b, errB := r.b.Stats()
	return map[string]uint64{"a": a["engine"]["sent Keepalive"], "b": b["engine"]["sent Keepalive"]}, errors.Join(errA, errB)
}

// compare checks that the same happened to each host in the same order, and all at the same times as seen from what came first.
func (r *rehearsal) compare(e *Env, begin time.Duration, seen []incident) {
	name := fmt.Sprintf("%s, %v to %v", r.name, begin, r.at)
	var pairs [][2]incident
	same := true
	for _, host := range []string{"a", "b"} {
		want, got := of(host, between(r.expected, begin, r.at)), of(host, seen)
		if !e.Check(name+": the same happens to "+host, describe(want) == describe(got), "%s; in the simulator %s", describe(got), describe(want)) {
			same = false
			continue
		}
		for i := range want {
			pairs = append(pairs, [2]incident{want[i], got[i]})
		}
	}
	if !same || len(pairs) == 0 {
		return
	}
	slices.SortStableFunc(pairs, func(x, y [2]incident) int { return cmp.Compare(x[0].at, y[0].at) })
	first := pairs[0][1].at - pairs[0][0].at
	ok := first.Abs() <= pairs[0][0].slack()
	detail := fmt.Sprintf("the first %v later", first.Round(time.Millisecond))
	for _, p := range pairs[1:] {
		late := p[1].at - p[0].at - first
		ok = ok && late.Abs() <= p[0].slack()
		detail += fmt.Sprintf(", then %v", late.Round(time.Millisecond))
	}
	e.Check(name+": at the same times", ok, "%s", detail)
}

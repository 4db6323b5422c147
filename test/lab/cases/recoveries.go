// SPDX-License-Identifier: MIT

package cases

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"shim6/test/lab/daemon"
	"shim6/test/lab/fault"
	"shim6/test/lab/node"
	"shim6/test/lab/report"
	"shim6/test/lab/topo"
	"shim6/test/lab/traffic"
)

// recoveries measures how long streams stand still when providers fail, by a plan that the caller gives.
var recoveries = Case{
	Name:     "recoveries",
	About:    "how long streams stand still when the provider in use fails",
	FastTime: true,
	Daemons:  true,
	Modules:  peerModules,
	Limit:    50 * time.Minute,
	Run:      runRecoveries,
}

const (
	streamPort     = 5000
	streamInterval = 10 * time.Millisecond
	// runUp is how long a stream runs between two failures, beside a random part of runUpMore.
	runUp     = 1200 * time.Millisecond
	runUpMore = 500 * time.Millisecond
	// unharmed is after how long a failure that did no harm is taken for that.
	unharmed = 5 * time.Second
	// flowing is how many arrivals show that the stream goes on.
	flowing = 20
)

// A recoveryLab is the network with what can fail in it.
type recoveryLab struct {
	e    *Env
	net  *topo.Network
	via  [2]*fault.Switch
	rng  *rand.Rand
	done []report.Recovery
}

func runRecoveries(e *Env) error {
	raw, err := os.ReadFile(filepath.Join(report.DataDir, report.PlanName))
	if err != nil {
		return err
	}
	var plan []report.RecoveryPart
	if err := json.Unmarshal(raw, &plan); err != nil {
		return fmt.Errorf("plan: %w", err)
	}
	net, err := topo.Build(e.addresses(), e.RTT)
	if err != nil {
		return err
	}
	defer func() { e.Works("the network goes away", net.Delete()) }()
	l := &recoveryLab{e: e, net: net, rng: rand.New(rand.NewPCG(1, 9))}
	for i, r := range []*node.Node{net.R1, net.R2} {
		if l.via[i], err = fault.Install(r); err != nil {
			return err
		}
		if err := r.Sysctl("net/ipv6/conf/all/keep_addr_on_down", "1"); err != nil {
			return err
		}
	}
	if err := e.loadUnderTest(); err != nil {
		return err
	}
	defer e.unloadUnderTest()
	for _, part := range plan {
		if err = l.part(part); err != nil {
			err = fmt.Errorf("%+v: %w", part, err)
			break
		}
	}
	return errors.Join(err, e.SaveJSON(report.RecoveryName, l.done))
}

func (l *recoveryLab) part(part report.RecoveryPart) error {
	before := len(l.done)
	var err error
	switch part.Flow {
	case "tcp":
		err = l.shim6(part, traffic.TCP)
	case "udp":
		err = l.shim6(part, traffic.UDP)
	default:
		err = l.others(part)
	}
	if err != nil {
		return err
	}
	var most time.Duration
	for _, r := range l.done[before:] {
		most = max(most, r.After.Sub(r.Before))
	}
	l.e.Say("%s, %s, Send Timeout %v, kick %v: %d recoveries, %v at most", part.Flow, part.Failure, part.TSend, part.Kick, len(l.done)-before,
		most.Round(time.Millisecond))
	return nil
}

// shim6 has the failures one after the other, each of the provider in use, under one stream and one context.
func (l *recoveryLab) shim6(part report.RecoveryPart, t traffic.Transport) (err error) {
	more := ""
	if !part.Kick {
		more = "tcp_kick: false\n"
	}
	a, err := daemon.New(l.net.A, l.e.Path(report.DaemonLog("a")), daemon.Config{Keys: "a", SendTimeout: part.TSend, Heuristic: "default", More: more})
	if err != nil {
		return err
	}
	b, err := daemon.New(l.net.B, l.e.Path(report.DaemonLog("b")), daemon.Config{Keys: "b", SendTimeout: part.TSend, Heuristic: "none", More: more})
	if err != nil {
		return err
	}
	for _, d := range []*daemon.Daemon{a, b} {
		if err := d.Start(); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, d.Flush(), d.Stop()) }()
	}
	port := uint16(streamPort + len(l.done)%10000)
	s, err := traffic.StartBeat(t, l.net.A, l.net.B, netip.AddrPortFrom(l.net.A1, 0), netip.AddrPortFrom(l.net.B1, port), streamInterval)
	if err != nil {
		return err
	}
	defer s.End()
	for run := range part.Runs {
		context, err := a.Established(l.net.A1, l.net.B1, 30*time.Second)
		if err != nil {
			return err
		}
		provider := 0
		if context.Current.Local == l.net.A2 {
			provider = 1
		}
		if err := l.failure(part, run, provider, s); err != nil {
			return err
		}
	}
	return nil
}

// failure breaks a provider under a stream, waits until that goes on, and mends it.
func (l *recoveryLab) failure(part report.RecoveryPart, run, provider int, s *traffic.Beat) error {
	time.Sleep(runUp + time.Duration(l.rng.Int64N(int64(runUpMore))))
	s.Mark()
	r := report.Recovery{RecoveryPart: part, Run: run, Cut: time.Now()}
	if err := l.fail(part.Failure, provider, true); err != nil {
		return err
	}
	// TCP that nobody tells waits twice as long as it has waited already.
	limit := 3*part.TSend + 2*time.Minute
	for {
		time.Sleep(50 * time.Millisecond)
		gap, since, err := s.Longest()
		if err != nil {
			return fmt.Errorf("run %d: the stream ended: %w", run, err)
		}
		// What is less than a missing packet is no silence: nothing has happened yet. MPTCP and SCTP may have both paths in use, and
		// lose none.
		if gap.Length() > streamInterval*3/2 && since >= flowing || part.TSend == 0 && time.Since(r.Cut) > unharmed && since >= int(unharmed/streamInterval)/2 {
			r.Before, r.After = gap.From, gap.To
			break
		}
		if time.Since(r.Cut) > limit {
			return fmt.Errorf("run %d: the stream stands still, or never did, %v after the failure; the longest silence was %v", run, limit, gap.Length())
		}
	}
	l.done = append(l.done, r)
	return l.fail(part.Failure, provider, false)
}

// fail breaks a provider in some way, or mends it.
func (l *recoveryLab) fail(failure string, provider int, down bool) error {
	s, r := l.via[provider], []*node.Node{l.net.R1, l.net.R2}[provider]
	switch failure {
	case "silent":
		if down {
			return s.Cut()
		}
		return s.Heal()
	case "out", "back":
		if !down {
			return s.Mend()
		}
		return s.CutFrom(map[string]string{"out": "cust", "back": "core"}[failure])
	case "interface":
		dev, err := r.LinkByName("cust")
		if err != nil {
			return err
		}
		if down {
			return r.LinkSetDown(dev)
		}
		if err := r.LinkSetUp(dev); err != nil {
			return err
		}
		// After a link comes up the kernel takes up to a second to believe it.
		return within(5*time.Second, func() error { return l.net.Reaches([]*topo.Site{topo.Site1, topo.Site2}[provider]) })
	}
	return fmt.Errorf("there is no failure %q", failure)
}

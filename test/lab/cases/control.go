// SPDX-License-Identifier: MIT

package cases

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"shim6/test/lab/daemon"
	"shim6/test/lab/hostile"
	"shim6/test/lab/node"
	"shim6/test/lab/report"
	"shim6/test/lab/topo"
	"shim6/test/lab/traffic"
)

var malformedControl = Case{
	Name:     "malformed-control",
	About:    "thousands of wrong control messages in both hosts' names change no context and stop no daemon",
	FastTime: true,
	Daemons:  true,
	Limit:    10 * time.Minute,
	Run:      runMalformedControl,
}

// reasonsWanted are refusals that the messages provoke for certain, as the daemon's counters name them.
var reasonsWanted = []string{
	"dropped truncated", "dropped bad-checksum", "dropped bad-length", "dropped bad-option-length", "dropped option-overrun",
	"dropped unknown-type", "dropped unknown-critical-option", "dropped bad-probe",
}

func runMalformedControl(e *Env) error {
	messages, err := vectors()
	if err != nil {
		return err
	}
	// A Send Timeout that does not end while the messages come: whatever changes, they did it.
	e.TSend = time.Minute
	net, err := topo.Build(e.addresses(), e.RTT)
	if err != nil {
		return err
	}
	defer func() { e.Works("the network goes away", net.Delete()) }()
	p, err := e.startPeers(net, "default")
	if err != nil {
		return err
	}
	defer p.remove()
	source := "/tmp/" + report.SentName
	if err := traffic.Fill(source, failoverPace.Octets(20*time.Second), 1); err != nil {
		return err
	}
	t, err := e.startTransfer(net, "malformed", source, failoverPace, nil)
	if err != nil {
		return err
	}
	before, err := bothContexts(p)
	if err != nil {
		return errors.Join(err, t.abandon())
	}
	counted, err := refusalCounts(p)
	if err != nil {
		return errors.Join(err, t.abandon())
	}
	if err := e.attack(net, messages, before); err != nil {
		return errors.Join(err, t.abandon())
	}
	time.Sleep(time.Second)
	e.Check("the transfer was under way all the time", !t.running.Over(), "%v", !t.running.Over())
	e.Check("both daemons run", p.a.Running() && p.b.Running(), "%v, %v", p.a.Running(), p.b.Running())
	after, err := bothContexts(p)
	if err != nil {
		return errors.Join(err, t.abandon())
	}
	e.Check("the contexts are untouched", reflect.DeepEqual(before, after), "%s", net.Short(fmt.Sprintf("%+v, before %+v", after, before)))
	if err := e.checkRefusals(p, counted); err != nil {
		return errors.Join(err, t.abandon())
	}
	if err := t.finish(2 * time.Minute); err != nil {
		return err
	}
	e.Check("the transfer ends well and whole", t.Finished && t.Same, "%d of %d octets %s", t.Received, t.Sent, t.Trouble)
	return t.discard()
}

// vectors reads the right messages that the wrong ones are made from.
func vectors() ([]hostile.Message, error) {
	files, err := filepath.Glob(filepath.Join(report.VectorDir, "*.hex"))
	if err != nil {
		return nil, err
	}
	var list []hostile.Message
	types := map[byte]bool{}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		m, err := hostile.ParseHex(strings.TrimSuffix(filepath.Base(f), ".hex"), string(text))
		if err != nil {
			return nil, err
		}
		list = append(list, m)
		types[m.Octets[2]] = true
	}
	for _, kind := range []byte{1, 2, 3, 4, 5, 6, 64, 65, 66, 67, 68} {
		if !types[kind] {
			return nil, fmt.Errorf("no message of type %d in %s", kind, report.VectorDir)
		}
	}
	return list, nil
}

// attack sends every variant from a router to each host in the name of the other.
func (e *Env) attack(net *topo.Network, messages []hostile.Message, live [2]daemon.Context) error {
	sender, err := hostile.NewSender(net.R3)
	if err != nil {
		return err
	}
	defer sender.Close()
	for _, to := range []struct {
		host     *node.Node
		src, dst netip.Addr
		tag      string
	}{{net.A, net.B1, net.A1, live[0].Tag}, {net.B, net.A1, net.B1, live[1].Tag}} {
		tag, err := strconv.ParseUint(to.tag, 16, 64)
		if err != nil {
			return err
		}
		sent := 0
		for _, m := range messages {
			variants := append(m.Refusable(), m.Mutants()...)
			if m.ToReceiver() {
				// With the tag of the living context, only what must be refused whatever the tag.
				variants = append(variants, m.WithTag(tag).Refusable()...)
			}
			for _, v := range variants {
				if err := sender.Send(to.src, to.dst, v); err != nil {
					return err
				}
				if sent++; sent%20 == 0 {
					time.Sleep(20 * time.Millisecond) // the socket of the daemon is not to overflow
				}
			}
		}
		e.Say("%d wrong messages sent to %s", sent, to.host.Name)
	}
	return nil
}

// bothContexts returns each host's context, less the counters.
func bothContexts(p *peers) ([2]daemon.Context, error) {
	a, err := p.established()
	if err != nil {
		return [2]daemon.Context{}, err
	}
	b, err := p.b.Established(p.net.B1, p.net.A1, time.Second)
	if err != nil {
		return [2]daemon.Context{}, err
	}
	return [2]daemon.Context{*a, *b}, nil
}

// refusalCounts adds up each host's counters of refused input.
func refusalCounts(p *peers) ([2]map[string]uint64, error) {
	var counts [2]map[string]uint64
	for i, d := range []*daemon.Daemon{p.a, p.b} {
		stats, err := d.Stats()
		if err != nil {
			return counts, err
		}
		counts[i] = stats["engine"]
	}
	return counts, nil
}

// checkRefusals checks that what came was counted, by its reason.
func (e *Env) checkRefusals(p *peers, before [2]map[string]uint64) error {
	after, err := refusalCounts(p)
	if err != nil {
		return err
	}
	for i, host := range []string{"a", "b"} {
		var total uint64
		var seen, silent []string
		for reason, n := range after[i] {
			if more := n - before[i][reason]; more > 0 && strings.HasPrefix(reason, "dropped ") {
				total += more
				seen = append(seen, fmt.Sprintf("%s %d", reason, more))
			}
		}
		for _, reason := range reasonsWanted {
			if after[i][reason] == before[i][reason] {
				silent = append(silent, reason)
			}
		}
		slices.Sort(seen)
		e.Check(host+" counted the refusals by their reason", len(silent) == 0, "%d in all: %s; not counted: %s",
			total, strings.Join(seen, ", "), or(strings.Join(silent, ", "), "none"))
	}
	return nil
}

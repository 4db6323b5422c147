// SPDX-License-Identifier: MIT

package bench

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"shim6/test/lab/report"
)

const (
	repetitions = 3
	udpPayload  = 64
	udpPackets  = 4000
	udpWarm     = 320
)

// A Guest is what the benchmark needs of the one it runs in.
type Guest struct {
	Load   func() error // loads the module and its heuristics
	Unload func() error
	Say    func(format string, args ...any)
}

// A load is what a flow sends.
type load struct {
	name    string
	routed  bool
	tcp     bool
	octets  int // of TCP
	devices offloads
}

// groups are measured together: plain comes first in each, for the others to be compared with.
var groups = []struct {
	load
	techniques []technique
}{
	{load{name: "udp64"}, []technique{unloaded, plain, idle, candidate, contextual, rewriting}},
	{load{name: "udp64", routed: true}, []technique{plain, contextual, rewriting, destopt, ila, mobile, espNull}},
	{load{name: "tcp-tso", tcp: true, octets: 96 << 20, devices: offloads{tso: true}}, []technique{plain, contextual, rewriting}},
	{load{name: "tcp-sw", tcp: true, octets: 12 << 20, routed: true}, []technique{plain, contextual, rewriting, destopt, ila, mobile, espNull}},
	{load{name: "tcp-gro", tcp: true, octets: 12 << 20, routed: true, devices: offloads{gro: true}}, []technique{plain, contextual, rewriting, destopt, ila}},
}

// A bench is one technique under one load, in its own network.
type bench struct {
	load
	technique
	net  *network
	flow *flow
	cost report.Cost
}

// Costs measures every technique under the loads that are named.
func Costs(g *Guest, loads []string) (costs []report.Cost, err error) {
	var all []*bench
	for _, group := range groups {
		if !slices.Contains(loads, group.name) {
			continue
		}
		for _, t := range group.techniques {
			b, err := newBench(group.load, t, len(all))
			if err != nil {
				return nil, fmt.Errorf("%s, %s: %w", group.name, t.name, err)
			}
			all = append(all, b)
		}
	}
	settle()
	for i := range repetitions {
		g.Say("repetition %d of %d", i+1, repetitions)
		if err := repetition(g, all); err != nil {
			return nil, err
		}
	}
	for _, b := range all {
		costs = append(costs, b.cost)
		err = errors.Join(err, b.flow.close(), b.net.delete())
	}
	return costs, err
}

// settle waits until the kernel has done all that new devices ask for. A socket that has kept a route for what it receives would
// look for another with every packet, once routes have changed.
func settle() { time.Sleep(5 * time.Second) }

func newBench(l load, t technique, number int) (*bench, error) {
	n, err := newNetwork(fmt.Sprintf("%d-%s", number, t.name), l.routed, l.devices)
	if err != nil {
		return nil, err
	}
	if t.setUp != nil {
		if err := t.setUp(n); err != nil {
			return nil, err
		}
	}
	b := &bench{load: l, technique: t, net: n}
	b.cost = report.Cost{Load: l.name, Topology: "direct", Technique: t.name, Packets: udpPackets, Octets: udpPackets * udpPayload}
	if l.routed {
		b.cost.Topology = "routed"
	}
	if l.tcp {
		b.cost.Octets, b.cost.Packets = int64(l.octets), 0
	}
	return b, nil
}

// repetition gives everybody a turn, those without the module first.
func repetition(g *Guest, all []*bench) error {
	for _, b := range all {
		if b.without {
			if err := b.measure(); err != nil {
				return fmt.Errorf("%s %s: %w", b.load.name, b.technique.name, err)
			}
		}
	}
	if err := g.Load(); err != nil {
		return err
	}
	for _, b := range all {
		if b.begin != nil {
			if err := b.begin(b.net); err != nil {
				return fmt.Errorf("%s %s: %w", b.load.name, b.technique.name, err)
			}
		}
	}
	for _, b := range all {
		if !b.without {
			if err := b.measure(); err != nil {
				return fmt.Errorf("%s %s %s: %w", b.load.name, b.cost.Topology, b.technique.name, err)
			}
		}
	}
	for _, b := range all {
		if b.begin != nil {
			if err := b.net.release(); err != nil {
				return err
			}
		}
	}
	return g.Unload()
}

// measure makes the flow if there is none yet, warms it up and counts.
func (b *bench) measure() error {
	before, err := b.rewritten()
	if err != nil {
		return err
	}
	if b.tcp {
		err = b.measureTCP()
	} else {
		err = b.measureUDP()
	}
	if err != nil || !b.rewrite {
		return err
	}
	after, err := b.rewritten()
	if err == nil && int64(after-before) < max(b.cost.Packets, b.cost.Octets/(64<<10)) {
		err = fmt.Errorf("only %d packets were rewritten", after-before)
	}
	return err
}

func (b *bench) rewritten() (uint64, error) {
	if !b.rewrite {
		return 0, nil
	}
	return rewritten(b.net.b)
}

func (b *bench) measureUDP() (err error) {
	if b.flow == nil {
		if b.flow, err = udpFlow(b.net, udpPayload, b.socket); err != nil {
			return err
		}
	}
	if err := b.flow.warmUDP(udpWarm); err != nil {
		return err
	}
	took, err := instructions(func() error { return b.flow.runUDP(udpPackets) })
	b.cost.Instructions = append(b.cost.Instructions, took)
	return err
}

func (b *bench) measureTCP() (err error) {
	if b.flow == nil {
		if b.flow, err = tcpFlow(b.net, b.socket); err != nil {
			return err
		}
	}
	// Enough for the windows to grow.
	if _, err := b.flow.runTCP(b.octets / 4); err != nil {
		return err
	}
	stalls := 0
	took, err := instructions(func() (err error) {
		stalls, err = b.flow.runTCP(b.octets)
		return err
	})
	b.cost.Instructions = append(b.cost.Instructions, took)
	b.cost.Stalls += stalls
	return err
}

// SPDX-License-Identifier: MIT

package cases

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"time"

	"shim6/test/lab/fault"
	"shim6/test/lab/flow"
	"shim6/test/lab/node"
	"shim6/test/lab/report"
	"shim6/test/lab/topo"
	"shim6/test/lab/traffic"
)

const (
	// unnoticed is how long the stream may stand still when nothing happened to its path: a few blocks.
	unnoticed = 100 * time.Millisecond
	// slack is what a recovery may take beside the timeouts, as everywhere.
	slack = 300 * time.Millisecond
	// debugPatience is how much longer anything may take on a kernel with checks, whose processor is no faster for them.
	debugPatience = 3
	// realPatience is for what else this machine does, where the guest's clock is its own.
	realPatience = 2 * time.Second
	// realLength is longer than any trial takes there. What is left of the transfer then is not awaited.
	realLength = 10 * time.Minute
)

// An ordeal is what happened to a stream from one time on, and how long it may have stood still for that.
type ordeal struct {
	name  string
	at    time.Time
	limit time.Duration
}

// A trial is one transfer from a to b that goes through one ordeal after the other.
type trial struct {
	e   *Env
	net *topo.Network
	*peers
	t       *transfer
	ordeals []ordeal
	faults  map[int]*fault.Switch // of the routers r1 to r3
	wanted  []uint8               // types of control messages that must come to b or leave it
}

// newTrial builds the network, starts the daemons and begins a transfer of some length. Whatever it returned is to be
// ended.
func (e *Env) newTrial(length time.Duration, heuristicB string) (*trial, error) {
	net, err := topo.Build(e.addresses(), e.RTT)
	if err != nil {
		return nil, err
	}
	tr := &trial{e: e, net: net, faults: make(map[int]*fault.Switch)}
	for i, r := range map[int]*node.Node{1: net.R1, 2: net.R2, 3: net.R3} {
		if tr.faults[i], err = fault.Install(r); err != nil {
			return tr, err
		}
	}
	if tr.peers, err = e.startPeers(net, heuristicB); err != nil {
		return tr, err
	}
	return tr, tr.begin(length)
}

// begin starts the transfer.
func (tr *trial) begin(length time.Duration) error {
	source := "/tmp/" + report.SentName
	if tr.e.Debug {
		length *= 2
	}
	if !tr.e.FastTime {
		length = realLength
	}
	err := traffic.Fill(source, failoverPace.Octets(length), 1)
	if err != nil {
		return err
	}
	tr.t, err = tr.e.startTransfer(tr.net, tr.e.Case, source, failoverPace, receiverOnly)
	return err
}

// end takes everything down.
func (tr *trial) end() {
	if tr == nil {
		return
	}
	if tr.peers != nil {
		tr.peers.remove()
	}
	tr.e.Works("the network goes away", tr.net.Delete())
}

// steps runs steps until one fails, then the rest of the transfer, and judges how the stream went.
func (tr *trial) steps(list ...func() error) error {
	for _, step := range list {
		if err := step(); err != nil {
			return errors.Join(err, tr.t.abandon())
		}
	}
	if !tr.e.FastTime {
		return errors.Join(tr.t.abandon(), tr.judge(), tr.t.discard())
	}
	if err := tr.t.finish(2 * time.Minute); err != nil {
		return err
	}
	tr.e.Check("the transfer ends well and whole", tr.t.Finished && tr.t.Same, "%d of %d octets %s", tr.t.Received, tr.t.Sent, tr.t.Trouble)
	return errors.Join(tr.judge(), tr.t.discard())
}

// suffer begins the next ordeal; limit is how long the stream may stand still from now on.
func (tr *trial) suffer(name string, limit time.Duration) {
	tr.e.Check(name+": the transfer is under way", !tr.t.running.Over(), "%v", !tr.t.running.Over())
	tr.ordeals = append(tr.ordeals, ordeal{name, time.Now(), limit})
}

// allow changes how long the stream may stand still in the ordeal that is under way.
func (tr *trial) allow(limit time.Duration) { tr.ordeals[len(tr.ordeals)-1].limit = limit }

// since is how long the ordeal has lasted.
func (tr *trial) since() time.Duration { return time.Since(tr.ordeals[len(tr.ordeals)-1].at) }

// flows waits until more of the stream has come.
func (tr *trial) flows(what string, limit time.Duration) error {
	size := func() int64 {
		info, err := os.Stat(tr.t.sink)
		if err != nil {
			return 0
		}
		return info.Size()
	}
	before := size()
	err := within(limit, func() error {
		if now := size(); now-before < 8*int64(failoverPace.Block) {
			return fmt.Errorf("%d octets, %d before", now, before)
		}
		return nil
	})
	tr.e.Works(what+": the stream goes on", err)
	return err
}

// checkSeen has the capture checked for control messages of these types.
func (tr *trial) checkSeen(types ...uint8) error {
	tr.wanted = append(tr.wanted, types...)
	return nil
}

// judge checks each ordeal against the stream as it came to b, and the control messages.
func (tr *trial) judge() error {
	raw, err := os.ReadFile(tr.e.Path(report.CaptureName(tr.t.Name, "b", "p1")))
	if err != nil {
		return err
	}
	c, err := flow.Read(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	seen := make(map[uint8]int)
	for _, p := range c.Packets {
		seen[p.Control]++
	}
	for _, t := range tr.wanted {
		tr.e.Check(fmt.Sprintf("control messages of type %d crossed the wire", t), seen[t] > 0, "%d", seen[t])
	}
	f, err := c.Largest(traffic.Port)
	if err != nil {
		return err
	}
	for i, o := range tr.ordeals {
		until := tr.t.End
		if i+1 < len(tr.ordeals) {
			until = tr.ordeals[i+1].at
		}
		limit := o.limit
		if tr.e.Debug {
			limit *= debugPatience
		}
		if !tr.e.FastTime {
			limit += realPatience
		}
		gap, ok := f.Longest(o.at, until)
		tr.e.Check(fmt.Sprintf("%s: the stream stands still for %v at most", o.name, limit.Round(time.Millisecond)),
			ok && gap <= limit, "%v", gap.Round(time.Millisecond))
	}
	return nil
}

// within calls f until it has no error, which is returned when there still is one after the limit.
func within(limit time.Duration, f func() error) error {
	var err error
	for start := time.Now(); time.Since(start) < limit; time.Sleep(20 * time.Millisecond) {
		if err = f(); err == nil {
			return nil
		}
	}
	return fmt.Errorf("not after %v: %w", limit, err)
}

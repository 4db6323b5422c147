// SPDX-License-Identifier: MIT

package sim

import (
	"net/netip"
	"slices"
	"time"

	"shim6/daemon/engine"
	"shim6/daemon/reap"
	"shim6/daemon/wire"
)

// A kernel is a model of the kernel module: contexts, rewriting, and the timers that payload drives. Its netlink header
// says what they do.
type kernel struct {
	host     *Host
	contexts []*kernelContext
}

// A kernelContext holds one context. Its timers are the instants at which they expire; zero means not running.
type kernelContext struct {
	engine.ProgramContext
	state     reap.State
	epoch     uint32
	send      time.Time
	keepalive time.Time
	due       time.Time // next Keepalive while keepalive runs
	used      time.Time // last payload either way
	moved     time.Time // when the current pair was last another one
}

// A payload is a packet of an application. Tag is zero where no Payload Extension Header is needed.
type payload struct {
	src, dst netip.Addr
	tag      wire.ContextTag
	flow     *Flow
	sent     time.Time
}

func (k *kernel) byTag(tag wire.ContextTag) *kernelContext {
	i := slices.IndexFunc(k.contexts, func(c *kernelContext) bool { return c.TagLocal == tag })
	if i < 0 {
		return nil
	}
	return k.contexts[i]
}

func (k *kernel) byULIDs(u engine.ULIDPair) *kernelContext {
	i := slices.IndexFunc(k.contexts, func(c *kernelContext) bool { return c.ULIDs == u && c.FII == 0 })
	if i < 0 {
		return nil
	}
	return k.contexts[i]
}

func (k *kernel) program(p engine.ProgramContext) {
	if c := k.byTag(p.TagLocal); c != nil {
		if p.Paths[0] != c.Paths[0] {
			c.moved = k.host.kernelNow()
		}
		c.ProgramContext = p
		return
	}
	k.contexts = append(k.contexts, &kernelContext{ProgramContext: p, used: k.host.kernelNow()})
}

func (k *kernel) remove(tag wire.ContextTag) {
	k.contexts = slices.DeleteFunc(k.contexts, func(c *kernelContext) bool { return c.TagLocal == tag })
}

func (k *kernel) setReap(now time.Time, r engine.SetReap) {
	c := k.byTag(r.Tag)
	if c == nil {
		return
	}
	c.state, c.epoch = r.State, r.Epoch
	switch r.Send {
	case reap.TimerStop:
		c.send = time.Time{}
	case reap.TimerStart:
		c.startSend(now)
	case reap.TimerRestart:
		c.send = time.Time{}
		c.startSend(now)
	}
	switch r.Keepalive {
	case reap.TimerStop:
		c.stopKeepalive()
	case reap.TimerStart:
		c.startKeepalive(now)
	case reap.TimerRestart:
		c.stopKeepalive()
		c.startKeepalive(now)
	}
}

func (c *kernelContext) startSend(now time.Time) {
	if c.send.IsZero() {
		c.send = now.Add(c.SendTimeout)
	}
}

func (c *kernelContext) startKeepalive(now time.Time) {
	if c.keepalive.IsZero() {
		c.keepalive = now.Add(c.KeepaliveTimeout)
		c.due = now.Add(c.KeepaliveInterval)
	}
}

func (c *kernelContext) stopKeepalive() { c.keepalive, c.due = time.Time{}, time.Time{} }

// output sends a payload packet of the host's application.
func (k *kernel) output(now time.Time, f *Flow) {
	p := payload{src: f.ulids.Local, dst: f.ulids.Peer, flow: f, sent: now}
	if c := k.byULIDs(f.ulids); c != nil {
		c.used = now
		switch c.state {
		case reap.Operational:
			c.startSend(now)
			c.stopKeepalive()
		case reap.InboundOk:
			c.startSend(now)
		}
		if path := c.Paths[0]; path != engine.LocatorPair(f.ulids) {
			p.src, p.dst, p.tag = path.Local, path.Peer, c.TagPeer
		}
	}
	if !k.host.has(p.src) {
		return
	}
	k.host.w.carryPayload(p)
}

// input takes a payload packet from the network.
func (k *kernel) input(now time.Time, p payload) {
	var c *kernelContext
	if p.tag != 0 {
		if c = k.byTag(p.tag); c == nil {
			k.host.Handle(engine.UnknownTag{Src: p.src, Dst: p.dst, Tag: p.tag})
			return
		}
		if !slices.Contains(c.LocatorsLocal, p.dst) {
			return
		}
	} else {
		c = k.byULIDs(engine.ULIDPair{Local: p.dst, Peer: p.src})
	}
	p.flow.received(k.host.w.Now, p)
	if c != nil {
		k.arrived(now, c)
	}
	if r := p.flow.replies; r != nil {
		r.Sent++
		k.output(now, r)
	}
}

// arrived does for a context what payload that came does.
func (k *kernel) arrived(now time.Time, c *kernelContext) {
	c.used = now
	switch c.state {
	case reap.Operational:
		c.send = time.Time{}
		c.startKeepalive(now)
	case reap.Exploring:
		c.state = reap.InboundOk
		c.startSend(now)
		k.host.Handle(engine.PayloadSeen{Tag: c.TagLocal, Epoch: c.epoch})
	case reap.InboundOk:
		c.send = time.Time{}
	}
}

// deadline is the earliest instant at which a timer does something.
func (k *kernel) deadline() time.Time {
	var first time.Time
	for _, c := range k.contexts {
		for _, t := range []time.Time{c.send, c.keepalive, c.due} {
			if !t.IsZero() && (first.IsZero() || t.Before(first)) {
				first = t
			}
		}
	}
	return first
}

// expire lets the timers do what is due.
func (k *kernel) expire(now time.Time) {
	for _, c := range slices.Clone(k.contexts) {
		switch {
		case !c.send.IsZero() && !c.send.After(now):
			c.state, c.send = reap.Exploring, time.Time{}
			c.stopKeepalive()
			k.host.Handle(engine.SendTimeoutExpired{Tag: c.TagLocal, Epoch: c.epoch})
		case !c.keepalive.IsZero() && !c.keepalive.After(now):
			c.stopKeepalive()
			k.host.Handle(engine.KeepaliveDue{Tag: c.TagLocal, Epoch: c.epoch, Last: true})
		case !c.due.IsZero() && !c.due.After(now):
			c.due = c.due.Add(c.KeepaliveInterval)
			k.host.Handle(engine.KeepaliveDue{Tag: c.TagLocal, Epoch: c.epoch})
		}
	}
}

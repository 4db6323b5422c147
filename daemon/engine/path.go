// SPDX-License-Identifier: MIT

package engine

import (
	"slices"
	"time"

	"shim6/daemon/reap"
	"shim6/daemon/shim6"
	"shim6/daemon/wire"
)

// reapDo carries out what a REAP machine wants, in its order.
func (e *Engine) reapDo(now time.Time, c *context, acts []reap.Action) {
	moved := false
	for _, a := range acts {
		switch a := a.(type) {
		case reap.SendProbe:
			a.Probe.ReceiverTag = c.TagPeer
			if e.send(LocatorPair(a.Pair), a.Probe) {
				c.probesSent++
				e.do(ProbeSent{
					ULIDs: c.ULIDs, TagLocal: c.TagLocal, Pair: LocatorPair(a.Pair), State: reap.State(a.Probe.State),
					Nonce: a.Probe.Sent[0].Nonce,
				})
			}
		case reap.SendKeepalive:
			if e.send(LocatorPair(a.Pair), &wire.Keepalive{ReceiverTag: c.TagPeer}) {
				c.keepalivesSent++
			}
		case reap.SetTimers:
			e.do(SetReap{Tag: c.TagLocal, Epoch: a.Epoch, State: a.State, Send: a.Send, Keepalive: a.Keepalive})
		case reap.StateChanged:
			e.do(ReapChanged{ULIDs: c.ULIDs, TagLocal: c.TagLocal, From: a.From, To: a.To, Why: a.Why})
		case reap.PathChanged:
			if c.path != LocatorPair(a.To) {
				e.program(c)
			}
			e.do(PathChanged{ULIDs: c.ULIDs, TagLocal: c.TagLocal, From: LocatorPair(a.From), To: LocatorPair(a.To)})
			moved = true
		case reap.MoveFailed:
			e.do(SwitchFailed{ULIDs: c.ULIDs, TagLocal: c.TagLocal, To: LocatorPair(a.To), Why: a.Why})
		case reap.PathsChanged:
			e.program(c)
		case reap.Answered:
			c.Peer.MarkProbed(a.Pair.Peer)
		case reap.Refused:
			e.refuse(reasonOf(a.Why), a.Detail)
		}
	}
	e.table.schedule(c)
	if moved && (c.noticed == nil || *c.noticed != LocatorPair(c.reap.Current())) && c.State() == shim6.StateEstablished {
		e.apply(now, c, c.Remind(now))
	}
}

// setCandidates tells REAP what it may probe: those announced local locators that are there now, and verified locators of
// the peer that are not ours. Those that the peer may have been told to forget come last: when nothing else works, they are all
// there is, and an answer shows that they do.
func (e *Engine) setCandidates(now time.Time, c *context) {
	sources := e.working(c.Sources())
	local, peer := make([]reap.Candidate, 0, len(sources)), make([]reap.Candidate, 0, len(c.Peer.Locators))
	for _, a := range sources {
		local = append(local, e.localCandidate(c, a))
	}
	for _, a := range e.working(c.Doubted()) {
		l := e.localCandidate(c, a)
		l.Avoid = true
		local = append(local, l)
	}
	if slices.Equal(local, e.candidates) {
		local = e.candidates
	}
	e.candidates = local
	for _, l := range c.Peer.Locators {
		if l.Verified && !e.own.Has(l.Addr) {
			peer = append(peer, reap.Candidate{Addr: l.Addr, Avoid: l.Broken, Priority: l.Priority, Weight: l.Weight})
		}
	}
	e.reapDo(now, c, c.reap.SetWatch(now, reap.WatchPlan{
		Home: (*reap.Pair)(c.home), FailBack: e.failBack(c), Timeout: max(c.sendTimeout, c.told, c.keepaliveTimeout()),
		Multipath: e.cfg.Multipath,
	}))
	e.reapDo(now, c, c.reap.SetCandidates(now, local, peer))
}

// paths gives the current pair and those others that work and are still of use.
func (e *Engine) paths(c *context) []LocatorPair {
	var paths []LocatorPair
	for i, p := range c.reap.Paths() {
		if i == 0 || e.own.Works(p.Local) && c.HasLocal(p.Local) && c.Peer.HasVerified(p.Peer) {
			paths = append(paths, LocatorPair(p))
		}
	}
	return paths
}

// onHint has the contexts whose payload goes on a pair look whether it works.
func (e *Engine) onHint(now time.Time, ev Hint) {
	for _, c := range e.table.all() {
		if c.State() != shim6.StateEstablished {
			continue
		}
		if p := c.reap.Current(); p.Local == ev.Pair.Local && (!ev.Pair.Peer.IsValid() || p.Peer == ev.Pair.Peer) {
			e.reapDo(now, c, c.reap.Suspect(now, ev.Why, true))
		}
	}
}

// restAfter is how long a context carries no payload until nothing is probed for it.
const restAfter = time.Minute

// usedAfter is how much later than its state a context must have been used for that to be payload, and not its making.
const usedAfter = time.Second

// onIdle is RFC 5533 section 9. An exchange counts as payload: it has started timers, and who goes before they have run out is
// asked for again by the peer. Only for what is probed without need payload itself counts. A forked context is held by nobody:
// payload does not take it.
func (e *Engine) onIdle(now time.Time, c *context, ev ContextIdle) {
	idle, age := ev.Idle, now.Sub(c.Since)
	if min(idle, age) >= c.teardown && (!ev.Held || c.FII != 0) {
		e.apply(now, c, c.Close(now, "idle"))
		return
	}
	if c.reap != nil {
		e.reapDo(now, c, c.reap.Rest(now, idle >= restAfter || c.reap.Rests() && idle+usedAfter >= age))
	}
}

// onContextGone gives the kernel back what somebody else took from it.
func (e *Engine) onContextGone(now time.Time, ev ContextGone) {
	c := e.find(ev.Tag, "context gone")
	if c == nil {
		return
	}
	c.inKernel = false
	if c.State() != shim6.StateEstablished {
		e.refuse(ReasonWrongState, "context gone: context in "+c.State().String())
		return
	}
	e.program(c)
	e.reapDo(now, c, c.reap.Sync())
}

func (e *Engine) onKeepalive(now time.Time, c *context) {
	e.reapDo(now, c, c.reap.Keepalive(now))
}

func (e *Engine) onProbe(now time.Time, p PacketIn, c *context, m *wire.Probe) {
	pair := pairOf(p)
	c.probesReceived++
	e.do(ProbeReceived{
		ULIDs: c.ULIDs, TagLocal: c.TagLocal, Pair: pair, State: reap.State(m.State), Reports: len(m.Received),
	})
	e.reapDo(now, c, c.reap.Probe(now, reap.Pair(pair), m))
}

// SPDX-License-Identifier: MIT

package run

import (
	"fmt"
	"maps"
	"slices"

	"shim6/daemon/engine"
	"shim6/daemon/nl"
	"shim6/daemon/shim6"
	"shim6/daemon/wire"
)

// readKernel hands the kernel's events to the loop.
func (l *Loop) readKernel() {
	for {
		ev, err := l.ports.Events.Next()
		if err != nil {
			l.fail(err)
			return
		}
		select {
		case l.kernel <- ev:
		case <-l.stopped:
			return
		}
	}
}

// fail ends the loop. The first error is the one that counts.
func (l *Loop) fail(err error) {
	select {
	case l.fatal <- err:
	default:
	}
}

// onKernel turns an event of the kernel into one of the engine.
func (l *Loop) onKernel(ev nl.Event) {
	l.stats.kernelEvents.Add(1)
	switch ev := ev.(type) {
	case nl.Trigger:
		l.handle(engine.Trigger{ULIDs: engine.ULIDPair{Local: ev.ULIDLocal, Peer: ev.ULIDPeer}})
	case nl.SendTimeout:
		l.report.sendTimeout(l.now, l.ulids(ev.TagLocal), ev)
		l.handle(engine.SendTimeoutExpired{Tag: wire.ContextTag(ev.TagLocal), Epoch: ev.Epoch})
	case nl.KeepaliveDue:
		l.handle(engine.KeepaliveDue{Tag: wire.ContextTag(ev.TagLocal), Epoch: ev.Epoch, Last: ev.Last})
	case nl.PayloadSeen:
		l.handle(engine.PayloadSeen{Tag: wire.ContextTag(ev.TagLocal), Epoch: ev.Epoch})
	case nl.UnknownTag:
		l.handle(engine.UnknownTag{Src: ev.Src, Dst: ev.Dst, Tag: wire.ContextTag(ev.Tag)})
	case nl.ContextGone:
		l.onContextGone(wire.ContextTag(ev.Context.TagLocal))
	case nl.TCPKick:
		l.report.tcpKick(l.now, ev)
	case nl.RTO:
		l.handle(engine.ContextHint{Tag: wire.ContextTag(ev.TagLocal), Why: "TCP retransmission timeout"})
	case nl.Lost:
		l.stats.kernelLost.Add(1)
		l.log.Warn("events of the kernel were lost, comparing contexts")
		l.poll()
		l.takeAsked()
	case nl.Malformed:
		l.log.Error("event of the kernel not understood", "command", ev.Command, "error", ev.Err)
	default:
		l.impossible("kernel event %T is not handled", ev)
	}
}

func (l *Loop) ulids(tag uint64) engine.ULIDPair {
	if h := l.held[wire.ContextTag(tag)]; h != nil {
		return h.ulids
	}
	return engine.ULIDPair{}
}

func (l *Loop) onContextGone(tag wire.ContextTag) {
	h := l.held[tag]
	if h == nil {
		return
	}
	h.inKernel = false
	l.log.Warn("somebody deleted a context from the kernel", "ulid_local", h.ulids.Local, "ulid_peer", h.ulids.Peer,
		"tag", tag.String())
	l.handle(engine.ContextGone{Tag: tag})
}

// A comparison is what poll is in the middle of.
type comparison struct {
	left  []nl.Context      // of the kernel, not looked at yet
	held  []wire.ContextTag // when the kernel's were read, sorted
	seen  map[wire.ContextTag]bool
	quiet []quietContext
}

// poll tells idle times, and makes up for whatever the kernel and the engine do not agree on: lost events, refused
// requests, contexts that one of the two does not have.
func (l *Loop) poll() {
	for l.comparing = l.compare(); l.comparing != nil; {
		l.compareSome()
	}
}

// compare reads what the kernel has; nil is for an error, which is told.
func (l *Loop) compare() *comparison {
	if err := l.ports.Kernel.Loaded(); err != nil {
		l.fail(fmt.Errorf("kernel module: %w", err))
		return nil
	}
	list, err := l.ports.Kernel.Contexts()
	if err != nil {
		l.kernelError(err, nil)
		l.log.Error("contexts of the kernel not read", "error", err)
		return nil
	}
	return &comparison{left: list, held: slices.Sorted(maps.Keys(l.held)), seen: make(map[wire.ContextTag]bool, len(list))}
}

// compareSome goes on with a few contexts, so that many keep no message waiting. After the last l.comparing is nil.
func (l *Loop) compareSome() {
	c := l.comparing
	n := min(contextsAtOnce, len(c.left))
	for _, k := range c.left[:n] {
		tag := wire.ContextTag(k.TagLocal)
		c.seen[tag] = true
		_, was := slices.BinarySearch(c.held, tag)
		switch is := l.held[tag] != nil; {
		case was && is:
			s, _ := l.engine.Context(tag)
			if k.Idle >= s.Teardown {
				c.quiet = append(c.quiet, quietContext{tag, s.ULIDs, k.Idle})
			} else {
				l.handle(engine.ContextIdle{Tag: tag, Idle: k.Idle})
			}
			l.followReap(s, k)
		case !was && !is:
			l.removeOrphan(k, "it is not known")
		}
	}
	if c.left = c.left[n:]; len(c.left) > 0 {
		return
	}
	l.comparing = nil
	l.whoHolds(c.quiet)
	// What was programmed since the list was read is not in it.
	for _, tag := range c.held {
		if h := l.held[tag]; h != nil && (!c.seen[tag] || h.broken) {
			h.inKernel, h.broken = c.seen[tag], false
			l.handle(engine.ContextGone{Tag: tag})
		}
	}
}

// followReap makes up for a lost event that told of a change of the REAP state. The epoch keeps it from being told twice.
func (l *Loop) followReap(s engine.Snapshot, k nl.Context) {
	tag := wire.ContextTag(k.TagLocal)
	switch {
	case s.State != shim6.StateEstablished || nl.ReapState(s.Reap) == k.ReapState:
	case k.ReapState == nl.ReapExploring:
		l.handle(engine.SendTimeoutExpired{Tag: tag, Epoch: k.ReapEpoch})
	case k.ReapState == nl.ReapInboundOk:
		l.handle(engine.PayloadSeen{Tag: tag, Epoch: k.ReapEpoch})
	}
}

// removeOrphan deletes a context that nobody answers for.
func (l *Loop) removeOrphan(k nl.Context, why string) {
	l.log.Warn("context removed from the kernel", "ulid_local", k.ULIDLocal, "ulid_peer", k.ULIDPeer, "tag", tag(k.TagLocal),
		"why", why)
	if err := l.ports.Kernel.DeleteContext(k.TagLocal); err != nil {
		l.stats.kernelErrors.Add(1)
		l.log.Error("context not removed", "tag", tag(k.TagLocal), "error", err)
	}
}

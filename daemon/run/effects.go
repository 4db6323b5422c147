// SPDX-License-Identifier: MIT

package run

import (
	"errors"

	"golang.org/x/sys/unix"

	"shim6/daemon/ctl"
	"shim6/daemon/engine"
	"shim6/daemon/nl"
	"shim6/daemon/reap"
	"shim6/daemon/shim6"
	"shim6/daemon/wire"
)

// held is a context that the engine wants in the kernel.
type held struct {
	ulids    engine.ULIDPair
	inKernel bool
	// broken says that the kernel refused something since, so that it may not be as the engine thinks.
	broken bool
}

// apply carries out one action.
func (l *Loop) apply(a engine.Action) {
	switch a := a.(type) {
	case engine.SendPacket:
		l.sender.send(l.now, a)
	case engine.ProgramContext:
		l.program(a)
	case engine.RemoveContext:
		l.remove(a.Tag)
	case engine.SetReap:
		l.setReap(a)
	case engine.Sign:
		keys := l.keys
		l.stats.signatures.Add(1)
		if !l.workers.submit(func() engine.Event { return sign(keys, a) }) {
			l.stats.workRefused.Add(1)
			l.pending = append(l.pending, engine.SignDone{ID: a.ID, Err: errBusy})
		}
	case engine.Verify:
		l.stats.verifications.Add(1)
		if !l.workers.submit(func() engine.Event { return verify(a) }) {
			l.stats.workRefused.Add(1)
			l.pending = append(l.pending, engine.VerifyDone{ID: a.ID, BadLocator: -1, Err: errBusy})
		}
	case engine.StateChanged:
		if a.To == shim6.StateEstablished {
			l.stats.established.Add(1)
		}
		l.report.stateChanged(l.now, a)
		l.changed()
	case engine.ReapChanged:
		if a.From == reap.Operational {
			l.stats.explorations.Add(1)
		}
		l.report.reapChanged(l.now, a)
	case engine.ProbeSent:
		l.report.probeSent(l.now, a)
	case engine.ProbeReceived:
		l.report.probeReceived(l.now, a)
	case engine.PathChanged:
		l.stats.pathChanges.Add(1)
		l.report.pathChanged(l.now, a)
		l.changed()
	case engine.SwitchFailed:
		l.report.switchFailed(l.now, a)
	case engine.MessageSent:
		l.report.message(l.now, ctl.EventMessageSent, a.ULIDs, uint64(a.TagLocal), a.Pair, a.Type)
	case engine.MessageReceived:
		l.report.message(l.now, ctl.EventMessageReceived, a.ULIDs, uint64(a.TagLocal), a.Pair, a.Type)
	case engine.Dropped:
		l.report.dropped(l.now, a)
	default:
		l.impossible("action %T is not carried out", a)
	}
}

// program makes the kernel hold a context: it is created, or changed where the kernel has it.
func (l *Loop) program(a engine.ProgramContext) {
	h := l.held[a.TagLocal]
	if h == nil {
		h = &held{ulids: a.ULIDs}
		l.hold(a.TagLocal, h)
	}
	c := kernelContext(a)
	var err error
	if h.inKernel {
		err = l.ports.Kernel.SetContext(c)
		// Somebody deleted it, and the event that says so is on its way.
		h.inKernel = !errors.Is(err, unix.ENOENT)
	}
	if !h.inKernel {
		err = l.ports.Kernel.NewContext(c)
		h.inKernel = err == nil
	}
	if l.kernelError(err, h) {
		l.log.Error("context not programmed", "ulid_local", a.ULIDs.Local, "ulid_peer", a.ULIDs.Peer, "tag", tag(a.TagLocal),
			"error", err)
	}
	l.changed()
}

func kernelContext(a engine.ProgramContext) nl.Context {
	c := nl.Context{
		ULIDLocal: a.ULIDs.Local, ULIDPeer: a.ULIDs.Peer, FII: a.FII,
		TagLocal: uint64(a.TagLocal), TagPeer: uint64(a.TagPeer),
		LocatorsLocal: a.LocatorsLocal[:min(len(a.LocatorsLocal), nl.MaxLocators)],
		SendTimeout:   a.SendTimeout, KeepaliveTimeout: a.KeepaliveTimeout, KeepaliveInterval: a.KeepaliveInterval,
	}
	for _, p := range a.Paths[:min(len(a.Paths), nl.MaxPaths)] {
		c.Paths = append(c.Paths, nl.Path(p))
	}
	return c
}

func (l *Loop) remove(tag wire.ContextTag) {
	h := l.letGo(tag)
	l.changed()
	if h == nil || !h.inKernel {
		return
	}
	err := l.ports.Kernel.DeleteContext(uint64(tag))
	if errors.Is(err, unix.ENOENT) {
		// Somebody was faster.
		return
	}
	if l.kernelError(err, nil) {
		l.log.Error("context not removed", "tag", tag.String(), "error", err)
	}
}

func (l *Loop) setReap(a engine.SetReap) {
	err := l.ports.Kernel.SetReap(nl.Reap{
		TagLocal: uint64(a.Tag), State: nl.ReapState(a.State), Epoch: a.Epoch,
		Send: nl.TimerOp(a.Send), Keepalive: nl.TimerOp(a.Keepalive),
	})
	if l.kernelError(err, l.held[a.Tag]) {
		l.log.Error("REAP state not set", "tag", a.Tag.String(), "error", err)
	}
}

// kernelError notes a request that the kernel refused and has the two compared soon.
func (l *Loop) kernelError(err error, h *held) bool {
	if err == nil {
		return false
	}
	l.stats.kernelErrors.Add(1)
	if h != nil {
		h.broken = true
	}
	l.resyncSoon()
	return true
}

func (l *Loop) resyncSoon() {
	if at := l.now.Add(resyncDelay); at.Before(l.pollAt) {
		l.pollAt = at
	}
}

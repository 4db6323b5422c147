// SPDX-License-Identifier: MIT

package sim

import (
	"errors"
	"time"

	"shim6/daemon/engine"
	"shim6/daemon/shim6"
	"shim6/daemon/wire"
)

// saveDelay is how long a change of the contexts is not saved yet: shim6d writes it at once, which takes its time.
const saveDelay = 5 * time.Millisecond

// pollInterval is how often the daemon compares the kernel's contexts with its own, as shim6d does.
const pollInterval = 30 * time.Second

// kernelNow is the time by the clock of the host's kernel.
func (h *Host) kernelNow() time.Time {
	if h.asleep() {
		return h.frozen
	}
	return h.w.Now.Add(h.skew)
}

// now is the time by the daemon's clock.
func (h *Host) now() time.Time { return h.kernelNow().Add(h.wall) }

// Step moves the host's clock forward. The time of day may go back too, which a daemon that runs does not see.
func (h *Host) Step(d time.Duration) error {
	switch {
	case d >= 0:
		h.skew += d
	case h.Engine == nil:
		h.wall += d
	default:
		return errors.New("the clock of a daemon never goes back")
	}
	return nil
}

func (h *Host) asleep() bool { return !h.frozen.IsZero() }

// Suspend stops the host for a while. Its clock stands still; what is sent to it is lost.
func (h *Host) Suspend(d time.Duration) {
	if !h.asleep() {
		h.frozen = h.kernelNow()
		since := h.frozen
		h.w.After(d, func() {
			if h.frozen.Equal(since) {
				h.wake()
			}
		})
	}
}

func (h *Host) wake() {
	if !h.asleep() {
		return
	}
	h.skew, h.frozen = h.frozen.Sub(h.w.Now), time.Time{}
	late := h.pending
	h.pending = nil
	for _, do := range late {
		do()
	}
}

// later does something later, unless the daemon of now is gone by then.
func (h *Host) later(d time.Duration, do func()) {
	life := h.life
	var due func()
	due = func() {
		switch {
		case h.life != life || h.Engine == nil:
		case h.asleep():
			h.pending = append(h.pending, due)
		default:
			do()
		}
	}
	h.w.After(d, due)
}

// poll tells the engine the idle times of its contexts, and gives back to the kernel what that lost, again and again.
func (h *Host) poll() {
	h.later(pollInterval, func() {
		for _, s := range h.Engine.Contexts() {
			switch k := h.kernel.byTag(s.TagLocal); {
			case k != nil:
				h.Handle(engine.ContextIdle{Tag: s.TagLocal, Idle: h.kernelNow().Sub(k.used), Held: h.open[s.ULIDs]})
			case s.State == shim6.StateEstablished:
				h.Handle(engine.ContextGone{Tag: s.TagLocal})
			}
		}
		h.poll()
	})
}

func (h *Host) deadline() time.Time {
	if h.Engine == nil {
		return time.Time{}
	}
	return h.Engine.Deadline()
}

// save writes down the contexts soon.
func (h *Host) save() {
	if h.saving {
		return
	}
	h.saving = true
	h.later(saveDelay, func() {
		h.saving = false
		h.saved = h.Engine.Contexts()
	})
}

// Kill ends the daemon; the kernel goes on.
func (h *Host) Kill() {
	h.wake()
	h.Engine, h.saving, h.pending = nil, false, nil
}

// Reboot ends the daemon and empties the kernel.
func (h *Host) Reboot() {
	h.Kill()
	h.Wipe()
	h.kernel.contexts = nil
}

// Wipe loses what the daemon saved.
func (h *Host) Wipe() { h.saved = nil }

// Flush deletes the kernel's contexts behind the daemon's back.
func (h *Host) Flush() {
	h.wake()
	gone := h.kernel.contexts
	h.kernel.contexts = nil
	for _, k := range gone {
		h.Handle(engine.ContextGone{Tag: k.TagLocal})
	}
}

// Start starts a daemon where none runs. It adopts those contexts of the kernel which the last one saved, and removes others.
// Its random numbers are others than those of the last one, or the same, where chance is to be as unkind as can be.
func (h *Host) Start(again bool) error {
	h.wake()
	if h.Engine != nil || h.foreign {
		return nil
	}
	h.life++
	if !again {
		h.chance++
	}
	cfg := h.cfg
	cfg.Seed[31] = byte(h.chance)
	cfg.Seed[30] = byte(h.chance >> 8)
	e, err := engine.New(cfg)
	if err != nil {
		return err
	}
	h.Engine = e
	fresh := newInvariants()
	fresh.reached, fresh.full = h.reached, h.full
	h.invariants = fresh
	h.announce()
	saved := map[wire.ContextTag]engine.Snapshot{}
	for _, s := range h.saved {
		saved[s.TagLocal] = s
	}
	for _, k := range append([]*kernelContext(nil), h.kernel.contexts...) {
		s, ok := saved[k.TagLocal]
		if !ok || s.TagPeer != k.TagPeer || s.ULIDs != k.ULIDs {
			h.kernel.remove(k.TagLocal)
			continue
		}
		s.Current, s.Reap = k.Paths[0], k.state
		h.Handle(engine.AdoptContext{Snapshot: s})
		if !h.knows(k.TagLocal) {
			h.kernel.remove(k.TagLocal)
		}
	}
	h.poll()
	return nil
}

// knows tells whether the engine has a context.
func (h *Host) knows(tag wire.ContextTag) bool {
	for _, s := range h.Engine.Contexts() {
		if s.TagLocal == tag {
			return true
		}
	}
	return false
}

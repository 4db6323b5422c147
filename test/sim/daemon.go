// SPDX-License-Identifier: MIT

package sim

import (
	"time"

	"shim6/daemon/engine"
	"shim6/daemon/wire"
)

// saveDelay is how long a change of the contexts is not saved yet, as in shim6d.
const saveDelay = 200 * time.Millisecond

// now is the time by the host's clock.
func (h *Host) now() time.Time { return h.w.Now.Add(h.skew) }

// world turns a time of the host's clock into one of the world.
func (h *Host) world(t time.Time) time.Time { return t.Add(-h.skew) }

// Step moves the host's clock forward, as a suspended machine finds it.
func (h *Host) Step(d time.Duration) { h.skew += d }

// later does something later, unless the daemon of now is gone by then.
func (h *Host) later(d time.Duration, do func()) {
	life := h.life
	h.w.After(d, func() {
		if h.life == life && h.Engine != nil {
			do()
		}
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
	h.Engine, h.saving = nil, false
}

// Reboot ends the daemon and empties the kernel.
func (h *Host) Reboot() {
	h.Kill()
	h.kernel.contexts, h.saved = nil, nil
}

// Start starts a daemon where none runs. It adopts those contexts of the kernel which the last one saved, and removes others.
func (h *Host) Start() error {
	if h.Engine != nil {
		return nil
	}
	h.life++
	cfg := h.cfg
	cfg.Seed[31] = byte(h.life)
	cfg.Seed[30] = byte(h.life >> 8)
	e, err := engine.New(cfg)
	if err != nil {
		return err
	}
	h.Engine = e
	h.epochs = map[epoch]bool{}
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

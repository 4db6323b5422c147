// SPDX-License-Identifier: MIT

package run

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"shim6/daemon/engine"
	"shim6/daemon/nl"
	"shim6/daemon/wire"
)

// lose makes the kernel go to a REAP state without the loop hearing of it.
func lose(h *host, tag uint64, state nl.ReapState) {
	h.module.mu.Lock()
	h.module.contexts[tag].ReapState = state
	h.module.mu.Unlock()
}

func TestLostEventsAreMadeUpFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := establishedPair(t)
		p.wires.setCut(p.a1, p.b1, true)
		lose(p.a, p.a.module.only(t).TagLocal, nl.ReapExploring)
		p.a.events.queue <- nl.Lost{}
		time.Sleep(10 * time.Second)
		if got := p.a.module.only(t).Paths[0]; got == (nl.Path{Local: p.a1, Peer: p.b1}) {
			t.Error("the send timeout was not made up for")
		}
		if len(p.a.journal.lines(t, "events of the kernel were lost, comparing contexts")) != 1 {
			t.Error("the loss was not logged")
		}
	})
}

// A heuristic may ask for a context while no daemon runs, and what it asks can be lost.
func TestRequestsForContextsAreMadeUpFor(t *testing.T) {
	for name, lost := range map[string]bool{"before the start": false, "lost": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t)
				asked := []nl.Candidate{{ULIDLocal: p.a2, ULIDPeer: p.b2}, {ULIDLocal: p.a1, ULIDPeer: p.b1, Asked: true}}
				if !lost {
					p.a.module.asked = asked
				}
				p.run(t)
				defer p.stop()
				if lost {
					p.a.module.mu.Lock()
					p.a.module.asked = asked
					p.a.module.mu.Unlock()
					p.a.events.queue <- nl.Lost{}
				}
				time.Sleep(20 * time.Second) // the first I1 may be too early for the peer
				if c := p.a.module.only(t); c.ULIDLocal != p.a1 || c.ULIDPeer != p.b1 {
					t.Errorf("a context for %v and %v", c.ULIDLocal, c.ULIDPeer)
				}
			})
		})
	}
}

func TestLossesAreFoundWithoutBeingTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := establishedPair(t)
		tag := p.a.module.only(t).TagLocal
		p.wires.setCut(p.a1, p.b1, true)
		lose(p.a, tag, nl.ReapExploring)
		// A context that only the kernel has, and one that only the engine has.
		p.a.module.mu.Lock()
		p.a.module.contexts[77] = &nl.Context{TagLocal: 77, ULIDLocal: ulidA, ULIDPeer: ulidB}
		p.a.module.mu.Unlock()
		p.b.module.mu.Lock()
		clear(p.b.module.contexts)
		p.b.module.mu.Unlock()
		time.Sleep(pollInterval + 10*time.Second)
		if got := p.a.module.only(t); got.TagLocal != tag || got.Paths[0] == (nl.Path{Local: p.a1, Peer: p.b1}) {
			t.Errorf("a's kernel has %+v", got)
		}
		p.b.module.only(t)
	})
}

func TestDeletedContextsAreGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := establishedPair(t)
		k := p.a.module.only(t)
		p.a.module.mu.Lock()
		clear(p.a.module.contexts)
		p.a.module.mu.Unlock()
		p.a.events.queue <- nl.ContextGone{Context: nl.Context{TagLocal: k.TagLocal}}
		p.a.events.queue <- nl.ContextGone{Context: nl.Context{TagLocal: 12345}}
		time.Sleep(time.Second)
		if got := p.a.module.only(t); got.TagLocal != k.TagLocal || got.ReapEpoch == 0 {
			t.Errorf("the kernel has %+v", got)
		}
	})
}

func TestRefusedContextIsProgrammedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		// The kernel still has a context of the same ULIDs that nobody knows.
		p.run(t)
		defer p.stop()
		p.a.module.mu.Lock()
		p.a.module.contexts[77] = &nl.Context{TagLocal: 77, ULIDLocal: p.a1, ULIDPeer: p.b1}
		p.a.module.mu.Unlock()
		p.a.events.queue <- nl.Trigger{ULIDLocal: p.a1, ULIDPeer: p.b1}
		time.Sleep(500 * time.Millisecond)
		if got := p.a.module.only(t).TagLocal; got != 77 {
			t.Fatalf("the kernel has %x already", got)
		}
		time.Sleep(3 * time.Second)
		if got := p.a.module.only(t); got.TagLocal == 77 || got.TagPeer != p.b.module.only(t).TagLocal {
			t.Errorf("the kernel has %+v", got)
		}
	})
}

func TestKernelThatCannotListIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		p.a.run(t, p.wires)
		defer p.a.stop()
		p.a.module.mu.Lock()
		p.a.module.fail["list"] = unix.ENOBUFS
		p.a.module.mu.Unlock()
		time.Sleep(pollInterval + 10*time.Second + time.Millisecond)
		if n := len(p.a.journal.lines(t, "contexts of the kernel not read")); n != 11 {
			t.Errorf("the kernel was asked %d times, want 11", n)
		}
	})
}

func TestMalformedEventsAreLogged(t *testing.T) {
	h, l := still(t)
	l.onKernel(nl.Malformed{Command: 11, Err: errors.New("attribute 5 is missing")})
	lines := h.journal.lines(t, "event of the kernel not understood")
	if len(lines) != 1 || lines[0]["error"] != "attribute 5 is missing" || lines[0]["command"] != 11.0 {
		t.Errorf("logged %v", lines)
	}
}

func TestUnknownKernelEventPanics(t *testing.T) {
	_, l := still(t)
	defer func() {
		if recover() == nil {
			t.Error("the event did not panic")
		}
	}()
	l.onKernel(struct{ nl.Event }{})
}

// Many contexts are compared in turns, between which messages are handled, and contexts come and go.
func TestComparingKeepsNobodyWaiting(t *testing.T) {
	h, l := still(t)
	const turns, contexts, orphan = 3, 2*contextsAtOnce + 1, 5000
	for tag := range wire.ContextTag(contexts) {
		s := snapshot(tag + 1)
		s.FII = uint32(tag + 1)
		s.Teardown = time.Hour
		l.engine.Handle(l.now, engine.AdoptContext{Snapshot: s})
		l.held[s.TagLocal] = &held{inKernel: true}
		k := inKernel(s)
		h.module.contexts[k.TagLocal] = &k
	}
	l.now = l.pollAt
	l.onTime()
	if l.comparing == nil || l.alarm().After(l.now) {
		t.Fatal("all were compared in one go, or the rest is not due")
	}
	gone := l.comparing.left[0].TagLocal
	delete(l.held, wire.ContextTag(gone))
	l.held[9999] = &held{inKernel: true}
	l.comparing.left = append(l.comparing.left, nl.Context{TagLocal: orphan})
	h.module.contexts[orphan] = &nl.Context{TagLocal: orphan}
	for range turns - 1 {
		l.onTime()
	}
	if l.comparing != nil || l.pollAt != l.now.Add(pollInterval) {
		t.Error("it has no end")
	}
	if h.module.contexts[gone] == nil || h.module.contexts[orphan] != nil || !l.held[9999].inKernel {
		t.Errorf("of those that went and came meanwhile: removed %v, an orphan kept %v, taken for gone %v", h.module.contexts[gone] == nil,
			h.module.contexts[orphan] != nil, !l.held[9999].inKernel)
	}
}

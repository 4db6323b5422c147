// SPDX-License-Identifier: MIT

package run

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"shim6/daemon/engine"
	"shim6/daemon/wire"
	"shim6/internal/rtnl"
)

// A ULID that no interface has any more keeps a route as long as its context lives, over a restart of the daemon too.
func TestSourcesOfContextsAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		p.run(t)
		defer p.stop()
		want := func(when string, want ...string) {
			t.Helper()
			time.Sleep(time.Second)
			if d := cmp.Diff(want, p.a.keptSources()); d != "" {
				t.Errorf("%s (-want +got):\n%s", when, d)
			}
		}
		want("at the start, what an earlier daemon left goes", "[] by 7")
		p.establish(t)
		want("established")
		p.a.setAddresses(address(p.a2, "eth1"))
		want("the ULID went", fmt.Sprintf("[%v] by 7", p.a1))
		p.a.setAddresses(address(p.a2, "eth1"))
		want("links changed, and routes may have gone with them", fmt.Sprintf("[%v] by 7", p.a1))
		p.a.stop()
		p.a.run(t, p.wires)
		want("another daemon", fmt.Sprintf("[%v] by 7", p.a1))
		p.a.setAddresses()
		want("no address at all", fmt.Sprintf("[%v] by 0", p.a1))
		p.a.setAddresses(address(p.a1, "eth0"), address(p.a2, "eth1"))
		want("the ULID is back", "[] by 7")
		p.a.setAddresses(address(p.a2, "eth1"))
		want("it went again", fmt.Sprintf("[%v] by 7", p.a1))
		if _, err := p.a.loop.Backend().Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		want("no context any more", "[] by 7")
	})
}

// A ULID that is still there, and from which no route leads to the peer's, gets a route until there is one again.
func TestSourcesThatAreCutOffAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := establishedPair(t)
		time.Sleep(time.Second)
		p.a.keptSources()
		p.a.setRoutes(p.a1)
		time.Sleep(time.Second)
		p.a.setRoutes()
		time.Sleep(time.Second)
		if d := cmp.Diff([]string{fmt.Sprintf("[] and [%v] by 7", p.a1), "[] by 7"}, p.a.keptSources()); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	})
}

func TestSourcesAreTriedAgain(t *testing.T) {
	h, l := still(t)
	l.sources.adopted = true
	h.keepFails = errors.New("no such thing")
	l.refresh()
	h.keepFails = nil
	l.refresh()
	l.refresh()
	if d := cmp.Diff([]string{"[] by 7", "[] by 7"}, h.keptSources()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if len(h.journal.lines(t, "routes of ULIDs not kept")) != 1 {
		t.Error("the error was not told once")
	}
}

func TestSourcesLookForALinkWithCarrier(t *testing.T) {
	_, l := still(t)
	down, up := address(ulidA, "eth0"), address(ulidB, "eth1")
	down.Carrier, up.LinkIndex = false, 8
	off := address(ulidA, "eth2")
	off.Up = false
	both := []rtnl.Address{down, up}
	l.sources.look(both, both)
	if l.sources.link != 8 || !l.sources.assigned[ulidA] {
		t.Errorf("link %d, assigned %v", l.sources.link, l.sources.assigned)
	}
	l.sources.look([]rtnl.Address{off}, nil)
	if l.sources.link != 0 || l.sources.assigned[ulidA] {
		t.Errorf("link %d, assigned %v", l.sources.link, l.sources.assigned)
	}
}

// A host with many contexts of one ULID looks at the ULID once, not at each context: what one more costs must not grow.
func TestSourcesAreCountedByULID(t *testing.T) {
	_, l := still(t)
	for tag := range wire.ContextTag(1000) {
		l.hold(tag+1, &held{ulids: engine.ULIDPair{Local: ulidA, Peer: ulidB}})
		if want := tag == 0; l.sources.stale != want {
			t.Fatalf("context %d: sources are to be looked at: %v", tag+1, l.sources.stale)
		}
		l.sources.stale = false
	}
	if len(l.sources.contexts) != 1 {
		t.Errorf("%d ULIDs, want 1", len(l.sources.contexts))
	}
	for tag := range wire.ContextTag(1000) {
		l.letGo(tag + 1)
		if want := tag == 999; l.sources.stale != want {
			t.Fatalf("context %d went: sources are to be looked at: %v", tag+1, l.sources.stale)
		}
	}
	if l.letGo(1) != nil || len(l.sources.contexts) != 0 || len(l.held) != 0 {
		t.Errorf("contexts %v are left, of ULIDs %v", l.held, l.sources.contexts)
	}
}

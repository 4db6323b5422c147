// SPDX-License-Identifier: MIT

package run

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"shim6/daemon/nl"
)

// A context that the kernel would not take is none, and the operator is told which number to change: 100 000 contexts, for which
// the daemon had room and the module had not, were a million lines of errors.
func TestRoomOfTheKernel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		p.a.room.Store(1)
		p.run(t)
		defer p.stop()
		if lines := p.a.journal.lines(t, "limits.contexts: the kernel module takes 1 and not 16384: write a greater number to "+RoomPath+", and reload"); len(lines) != 1 {
			t.Errorf("%d warnings at the start", len(lines))
		}
		p.establish(t)
		another := func(want int) {
			t.Helper()
			p.a.events.queue <- nl.Trigger{ULIDLocal: p.a1, ULIDPeer: p.b2}
			time.Sleep(3 * time.Second)
			if n := len(p.a.contexts(t)); n != want {
				t.Errorf("%d contexts, want %d", n, want)
			}
		}
		another(1)
		r, err := p.a.loop.Backend().Reload(t.Context())
		if err != nil || len(r.Warnings) == 0 || !strings.HasPrefix(r.Warnings[0], "limits.contexts: ") {
			t.Errorf("%+v, %v", r, err)
		}
		p.a.room.Store(20000)
		if r, err := p.a.loop.Backend().Reload(t.Context()); err != nil || len(r.Warnings) != 0 {
			t.Errorf("%+v, %v", r, err)
		}
		another(2)
	})
}

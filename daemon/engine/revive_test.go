// SPDX-License-Identifier: MIT

package engine_test

import (
	"testing"
	"time"

	"shim6/daemon/engine"
	"shim6/daemon/reap"
)

// A context that is there again because the peer answered an R1bis is watched once there is payload, and not before: two hosts
// that tear down out of step would wake each other for ever.
func TestRevivedContextRests(t *testing.T) {
	w, a, b := established(t, engine.Config{FailBack: time.Second, Multipath: true})
	tag := a.only().TagLocal
	watched := func() bool {
		for range 3 {
			if d := a.e.Deadline(); !d.IsZero() {
				w.now = d
				for _, p := range pick[engine.ProbeSent](a.handle(engine.Tick{})) {
					if p.State == reap.InboundOk {
						return true
					}
				}
			}
		}
		return false
	}
	if !watched() {
		t.Fatal("a context that was asked for is not watched")
	}
	a.handle(engine.DeleteContext{Tag: tag})
	b.handle(engine.ProbeContext{Tag: b.only().TagLocal})
	w.settle()
	if agree(t, a, b); a.only().TagLocal == tag {
		t.Fatal("not revived")
	}
	if watched() {
		t.Error("watched though nobody needs it")
	}
	w.now = w.now.Add(20 * time.Second)
	a.handle(engine.ContextIdle{Tag: a.only().TagLocal, Idle: 20 * time.Second}) // since it was made
	if watched() {
		t.Error("its making counts as payload")
	}
	a.handle(engine.ContextIdle{Tag: a.only().TagLocal, Idle: time.Second})
	if !watched() {
		t.Error("not watched though there is payload")
	}
}

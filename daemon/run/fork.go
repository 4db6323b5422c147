// SPDX-License-Identifier: MIT

package run

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"shim6/daemon/ctl"
	"shim6/daemon/engine"
	"shim6/daemon/shim6"
)

// forkRefusals say why the engine does not fork a context.
var forkRefusals = map[engine.Reason]string{
	engine.ReasonBadFork:      "a local locator that works and a verified one of the peer are needed: shim6ctl contexts TAG",
	engine.ReasonNotLocal:     "its ULID is no local address any more",
	engine.ReasonContextsFull: "there are as many contexts as limits.contexts allows",
}

// ForkContext begins another context for the ULIDs of one.
func (b backend) ForkContext(ctx context.Context, tag uint64, f ctl.Fork) (forked ctl.Forked, err error) {
	ev := engine.Fork{}
	if ms := f.SendTimeoutMS; ms != nil {
		if *ms < engine.MinSendTimeout.Milliseconds() || *ms > engine.MaxSendTimeout.Milliseconds() {
			return forked, outOfRange("send timeout", *ms, engine.MinSendTimeout, engine.MaxSendTimeout)
		}
		ev.SendTimeout = time.Duration(*ms) * time.Millisecond
	}
	err = b.onContext(ctx, tag, func(s engine.Snapshot) error {
		if s.State != shim6.StateEstablished {
			return &ctl.Error{
				Status: http.StatusConflict, Message: fmt.Sprintf("the context is in state %s", s.State),
				Hint: "only an ESTABLISHED context can be forked",
			}
		}
		ev.Tag, ev.Pair = s.TagLocal, s.Current
		if f.Local != nil {
			ev.Pair.Local = *f.Local
		}
		if f.Peer != nil {
			ev.Pair.Peer = *f.Peer
		}
		forked, err = b.fork(ev)
		return err
	})
	return forked, err
}

func (b backend) fork(ev engine.Fork) (ctl.Forked, error) {
	before, refused := b.l.engine.Contexts(), b.l.engine.Counters().Dropped
	b.l.handle(ev)
	after := b.l.engine.Contexts()
	// The newest is last.
	if c := after[len(after)-1]; !slices.ContainsFunc(before, func(s engine.Snapshot) bool { return s.TagLocal == c.TagLocal }) {
		b.l.changed()
		return ctl.Forked{Tag: ctl.FormatTag(uint64(c.TagLocal)), FII: c.FII}, nil
	}
	e := &ctl.Error{Status: http.StatusConflict, Message: "the context cannot be forked"}
	for reason, hint := range forkRefusals {
		if b.l.engine.Counters().Dropped[reason] > refused[reason] {
			e.Message, e.Hint = fmt.Sprintf("the context cannot be forked: %s", reason), hint
		}
	}
	return ctl.Forked{}, e
}

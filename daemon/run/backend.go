// SPDX-License-Identifier: MIT

package run

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"time"

	"shim6/daemon/ctl"
	"shim6/daemon/engine"
	"shim6/daemon/nl"
	"shim6/daemon/reap"
	"shim6/daemon/shim6"
	"shim6/daemon/wire"
)

// A backend answers the control server's requests. What it asks of the kernel it asks beside the loop, what it asks of the
// engine within.
type backend struct{ l *Loop }

// Backend returns what the control server needs of the Loop.
func (l *Loop) Backend() ctl.Backend { return backend{l} }

func (b backend) Status(ctx context.Context) (s ctl.Status, err error) {
	l := b.l
	err = l.call(ctx, func() {
		s = ctl.Status{
			API: ctl.Version, Version: l.version, Config: l.file, Server: l.cfg.Server, Metrics: l.cfg.Metrics, PID: os.Getpid(), Started: l.started,
			SendTimeoutMS: l.cfg.SendTimeout.Milliseconds(), TeardownMS: l.cfg.Teardown.Milliseconds(),
			Contexts: len(l.engine.Contexts()), Locators: len(l.locators), Subscribers: l.report.events.Subscribers(),
		}
	})
	if err != nil {
		return s, err
	}
	k, err := l.ports.Kernel.Settings()
	if err != nil {
		return s, err
	}
	s.Enabled, s.Heuristic, s.TCPKick, s.MarkMask = *k.Enabled, *k.Heuristic, *k.TCPKick, *k.MarkMask
	s.Heuristics = append([]string{}, k.Heuristics...)
	s.GSO = gsoName(*k.GSOMode)
	return s, nil
}

func (b backend) Contexts(ctx context.Context) ([]ctl.Context, error) {
	var known []engine.Snapshot
	if err := b.l.call(ctx, func() { known = b.l.engine.Contexts() }); err != nil {
		return nil, err
	}
	list, err := b.l.ports.Kernel.Contexts()
	if err != nil {
		return nil, err
	}
	inKernel := make(map[uint64]*nl.Context, len(list))
	for i := range list {
		inKernel[list[i].TagLocal] = &list[i]
	}
	all := make([]ctl.Context, 0, len(known))
	for _, s := range known {
		all = append(all, shownContext(s, inKernel[uint64(s.TagLocal)]))
	}
	return all, nil
}

func shownContext(s engine.Snapshot, k *nl.Context) ctl.Context {
	c := ctl.Context{
		Tag: tag(s.TagLocal), TagPeer: tag(s.TagPeer), ULIDLocal: s.ULIDs.Local, ULIDPeer: s.ULIDs.Peer, FII: s.FII,
		State: s.State.String(), Since: s.Since, Current: ctl.Pair(s.Current),
		LocatorsLocal: shownLocators(s.LocatorsLocal), LocatorsPeer: shownLocators(s.LocatorsPeer),
		GenerationLocal: s.GenerationLocal, GenerationPeer: s.GenerationPeer, Reap: s.Reap.String(),
		SendTimeoutMS: s.SendTimeout.Milliseconds(), TeardownMS: shownTeardown(s.Teardown), KeepaliveTimeoutMS: s.KeepaliveTimeout.Milliseconds(),
		KeepaliveIntervalMS: s.KeepaliveInterval.Milliseconds(),
		ProbesSent:          s.ProbesSent, ProbesReceived: s.ProbesReceived, KeepalivesSent: s.KeepalivesSent,
	}
	c.Ranking, c.Paths = []ctl.Pair{}, shownPaths(s, k)
	c.ReportsSent, c.ReportsReceived = []ctl.ProbeReport{}, []ctl.ProbeReport{}
	for _, p := range s.Ranking {
		c.Ranking = append(c.Ranking, ctl.Pair(p))
	}
	for _, r := range s.ReportsSent {
		c.ReportsSent = append(c.ReportsSent, ctl.ProbeReport{Pair: ctl.Pair{Local: r.Src, Peer: r.Dst}, Nonce: r.Nonce, Seen: r.Seen})
	}
	for _, r := range s.ReportsReceived {
		c.ReportsReceived = append(c.ReportsReceived, ctl.ProbeReport{Pair: ctl.Pair{Local: r.Dst, Peer: r.Src}, Nonce: r.Nonce, Seen: true})
	}
	if !s.Retry.IsZero() {
		c.RetryAt = &s.Retry
	}
	if k == nil {
		return c
	}
	c.Kernel = &ctl.KernelContext{
		Paths: make([]ctl.Pair, 0, len(k.Paths)), Reap: reap.State(k.ReapState).String(),
		TxPackets: k.TxPackets, TxBytes: k.TxBytes, RxPackets: k.RxPackets, RxBytes: k.RxBytes,
		IdleMS: k.Idle.Milliseconds(),
	}
	for _, p := range k.Paths {
		c.Kernel.Paths = append(c.Kernel.Paths, ctl.Pair(p))
	}
	return c
}

// shownPaths joins what the kernel and the engine know of the pairs of a context: the current one first, then those that the
// kernel uses, then those that were only probed.
func shownPaths(s engine.Snapshot, k *nl.Context) []ctl.Path {
	list := []ctl.Path{}
	at := func(p ctl.Pair) *ctl.Path {
		i := slices.IndexFunc(list, func(x ctl.Path) bool { return x.Pair == p })
		if i < 0 {
			i = len(list)
			list = append(list, ctl.Path{Pair: p, Current: p == ctl.Pair(s.Current) && s.State == shim6.StateEstablished})
		}
		return &list[i]
	}
	if s.State == shim6.StateEstablished {
		at(ctl.Pair(s.Current))
	}
	if k != nil {
		for i, p := range k.Paths {
			x := at(ctl.Pair(p))
			x.InKernel = true
			if len(k.Carried) == len(k.Paths) {
				c := k.Carried[i]
				x.TxPackets, x.TxBytes, x.RxPackets, x.RxBytes = c.TxPackets, c.TxBytes, c.RxPackets, c.RxBytes
			}
		}
	}
	for _, m := range s.Measures {
		x := at(ctl.Pair(m.Pair))
		x.Probes, x.Answered, x.Awaited = m.Sent, m.Answered, m.Awaited
		x.RTTMS, x.LeastRTTMS = fractional(m.RTT), fractional(m.Least)
		if !m.Last.IsZero() {
			x.AnsweredAt = &m.Last
		}
	}
	return list
}

// fractional gives milliseconds with what is below, to the microsecond.
func fractional(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func shownTeardown(d time.Duration) int64 {
	if d == never {
		return 0
	}
	return d.Milliseconds()
}

func shownLocators(list []engine.LocatorInfo) []ctl.ContextLocator {
	all := make([]ctl.ContextLocator, 0, len(list))
	for _, i := range list {
		c := ctl.ContextLocator{Addr: i.Addr, Verified: i.Verified, Probed: i.Probed, Broken: i.Broken, Priority: i.Priority, Weight: i.Weight}
		if i.Method != 0 {
			c.Method = i.Method.String()
		}
		all = append(all, c)
	}
	return all
}

func (b backend) Locators(ctx context.Context) (list []ctl.Locator, err error) {
	err = b.l.call(ctx, func() { list = append([]ctl.Locator{}, b.l.locators...) })
	return list, err
}

func (b backend) Stats(ctx context.Context) (s ctl.Stats, err error) {
	var c engine.Counters
	if err := b.l.call(ctx, func() { c = b.l.engine.Counters() }); err != nil {
		return s, err
	}
	k, err := b.l.ports.Kernel.Stats()
	if err != nil {
		return s, err
	}
	s = ctl.Stats{Kernel: make(map[string]uint64), Engine: make(map[string]uint64), Daemon: b.l.stats.byName()}
	for stat, n := range k {
		s.Kernel[stat.String()] = n
	}
	for t, n := range c.Received {
		s.Engine["received "+t.String()] = n
	}
	for t, n := range c.Sent {
		s.Engine["sent "+t.String()] = n
	}
	for reason, n := range c.Dropped {
		s.Engine["dropped "+string(reason)] = n
	}
	s.Daemon["log_lines_lost"] = b.l.logLost()
	return s, nil
}

func (b backend) DeleteContext(ctx context.Context, tag uint64) error {
	return b.onContext(ctx, tag, func(s engine.Snapshot) error {
		b.l.handle(engine.DeleteContext{Tag: s.TagLocal})
		return nil
	})
}

func (b backend) ProbeContext(ctx context.Context, tag uint64) error {
	return b.onContext(ctx, tag, func(s engine.Snapshot) error {
		if s.State != shim6.StateEstablished {
			return notEstablished(s, "has paths to probe")
		}
		b.l.handle(engine.ProbeContext{Tag: s.TagLocal})
		return nil
	})
}

func (b backend) SetContext(ctx context.Context, tag uint64, t ctl.Timeouts) error {
	ev := engine.SetTimeouts{Tag: wire.ContextTag(tag)}
	switch ms := t.SendTimeoutMS; {
	case ms == nil:
	case *ms < engine.MinSendTimeout.Milliseconds() || *ms > engine.MaxSendTimeout.Milliseconds():
		return outOfRange("send timeout", *ms, engine.MinSendTimeout, engine.MaxSendTimeout)
	default:
		ev.SendTimeout = time.Duration(*ms) * time.Millisecond
	}
	switch ms := t.TeardownMS; {
	case ms == nil:
	case *ms == 0:
		ev.Teardown = never
	case *ms < engine.MinTeardown.Milliseconds() || *ms > never.Milliseconds():
		return outOfRange("teardown time", *ms, engine.MinTeardown, never)
	default:
		ev.Teardown = time.Duration(*ms) * time.Millisecond
	}
	return b.onContext(ctx, tag, func(engine.Snapshot) error {
		b.l.handle(ev)
		b.l.changed()
		return nil
	})
}

func outOfRange(what string, ms int64, least, most time.Duration) error {
	return &ctl.Error{
		Status:  http.StatusBadRequest,
		Message: fmt.Sprintf("%s of %d ms is out of range: %v to %v", what, ms, least, most),
	}
}

func (b backend) SwitchContext(ctx context.Context, tag uint64, to ctl.Pair) error {
	return b.onContext(ctx, tag, func(s engine.Snapshot) error {
		switch {
		case s.State != shim6.StateEstablished:
			return notEstablished(s, "can be switched")
		case s.Reap != reap.Operational:
			return &ctl.Error{
				Status: http.StatusConflict, Message: fmt.Sprintf("the context is %s", s.Reap), Hint: "wait until the exploration is over",
			}
		case !slices.ContainsFunc(s.LocatorsLocal, func(l engine.LocatorInfo) bool { return l.Addr == to.Local }),
			!slices.ContainsFunc(s.LocatorsPeer, func(l engine.LocatorInfo) bool { return l.Addr == to.Peer && l.Verified }):
			return &ctl.Error{
				Status: http.StatusConflict, Message: fmt.Sprintf("%v is no pair of a local and a verified peer's locator of the context", to),
				Hint: "list its locators: shim6ctl context " + ctl.FormatTag(tag),
			}
		}
		b.l.handle(engine.SwitchPath{Tag: s.TagLocal, Pair: engine.LocatorPair(to)})
		b.l.changed()
		return nil
	})
}

// rankingMost is how many pairs can be ranked.
const rankingMost = 64

func (b backend) PreferPaths(ctx context.Context, tag uint64, r ctl.Ranking) error {
	if len(r.Pairs) > rankingMost {
		return &ctl.Error{Status: http.StatusBadRequest, Message: fmt.Sprintf("%d pairs, at most %d", len(r.Pairs), rankingMost)}
	}
	return b.onContext(ctx, tag, func(s engine.Snapshot) error {
		if s.State != shim6.StateEstablished {
			return notEstablished(s, "has paths to order")
		}
		ev := engine.PreferPairs{Tag: s.TagLocal}
		for _, p := range r.Pairs {
			if !p.Local.IsValid() || !p.Peer.IsValid() {
				return &ctl.Error{Status: http.StatusBadRequest, Message: "a pair lacks an address"}
			}
			ev.Pairs = append(ev.Pairs, engine.LocatorPair(p))
		}
		b.l.handle(ev)
		b.l.changed()
		return nil
	})
}

func notEstablished(s engine.Snapshot, what string) error {
	return &ctl.Error{
		Status: http.StatusConflict, Message: fmt.Sprintf("the context is in state %s", s.State), Hint: "only an ESTABLISHED context " + what,
	}
}

// onContext calls fn within the loop with the context that has the local tag.
func (b backend) onContext(ctx context.Context, tag uint64, fn func(engine.Snapshot) error) error {
	var err error
	callErr := b.l.call(ctx, func() {
		s, ok := b.l.engine.Context(wire.ContextTag(tag))
		if !ok {
			err = ctl.ErrNoContext
			return
		}
		err = fn(s)
	})
	if callErr != nil {
		return callErr
	}
	return err
}

// Flush drops every context: first from the kernel, with what the engine does not know of, in one request, for one each takes several
// times as long.
func (b backend) Flush(ctx context.Context) (n int, err error) {
	callErr := b.l.call(ctx, func() {
		if err = b.l.ports.Kernel.Flush(); err == nil {
			for _, h := range b.l.held {
				h.inKernel = false
			}
		}
		all := b.l.engine.Contexts()
		n = len(all)
		for _, s := range all {
			b.l.handle(engine.DeleteContext{Tag: s.TagLocal})
		}
	})
	if callErr != nil {
		return 0, callErr
	}
	return n, err
}

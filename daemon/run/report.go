// SPDX-License-Identifier: MIT

package run

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"shim6/daemon/ctl"
	"shim6/daemon/engine"
	"shim6/daemon/nl"
	"shim6/daemon/wire"
)

// A reporter tells what happens to the log and to the event stream, in the same words.
type reporter struct {
	log    *slog.Logger
	events *ctl.Events
	drops  limiter
}

// dropsPerSecond bounds how many refused inputs are told; the counters count all of them.
const dropsPerSecond = 20

// tell logs and publishes ev. The event's name is the message; what it lacks is left out.
func (r *reporter) tell(level slog.Level, ev ctl.Event) {
	r.events.Publish(ev)
	h := r.log.Handler()
	if !h.Enabled(context.Background(), level) {
		return
	}
	rec := slog.NewRecord(ev.Time, level, ev.Event, 0)
	rec.AddAttrs(attrs(ev)...)
	// A log that cannot be written cannot be told either.
	_ = h.Handle(context.Background(), rec)
}

func attrs(ev ctl.Event) []slog.Attr {
	var list []slog.Attr
	add := func(present bool, key string, v any) {
		if present {
			list = append(list, slog.Any(key, v))
		}
	}
	text := func(key, v string) { add(v != "", key, v) }
	add(ev.ULIDLocal.IsValid(), "ulid_local", ev.ULIDLocal)
	add(ev.ULIDPeer.IsValid(), "ulid_peer", ev.ULIDPeer)
	text("tag", ev.Tag)
	text("from", ev.From)
	text("to", ev.To)
	text("why", ev.Why)
	text("pair", ev.Pair)
	text("type", ev.Type)
	text("state", ev.State)
	if ev.Nonce != nil {
		add(true, "nonce", *ev.Nonce)
	}
	if ev.Reports != nil {
		add(true, "reports", *ev.Reports)
	}
	add(ev.Src.IsValid(), "src", ev.Src)
	add(ev.Dst.IsValid(), "dst", ev.Dst)
	text("reason", ev.Reason)
	text("detail", ev.Detail)
	if ev.Sockets != nil {
		add(true, "sockets", *ev.Sockets)
	}
	if ev.Count != nil {
		add(true, "count", *ev.Count)
	}
	add(ev.BoottimeNS != 0, "boottime_ns", ev.BoottimeNS)
	return list
}

func (r *reporter) stateChanged(now time.Time, a engine.StateChanged) {
	r.tell(slog.LevelInfo, ctl.Event{
		Time: now, Event: ctl.EventStateChanged, ULIDLocal: a.ULIDs.Local, ULIDPeer: a.ULIDs.Peer, Tag: tag(a.TagLocal),
		From: a.From.String(), To: a.To.String(), Why: a.Why,
	})
}

func (r *reporter) reapChanged(now time.Time, a engine.ReapChanged) {
	r.tell(slog.LevelInfo, ctl.Event{
		Time: now, Event: ctl.EventReapChanged, ULIDLocal: a.ULIDs.Local, ULIDPeer: a.ULIDs.Peer, Tag: tag(a.TagLocal),
		From: a.From.String(), To: a.To.String(), Why: a.Why,
	})
}

func (r *reporter) probeSent(now time.Time, a engine.ProbeSent) {
	r.tell(slog.LevelInfo, ctl.Event{
		Time: now, Event: ctl.EventProbeSent, ULIDLocal: a.ULIDs.Local, ULIDPeer: a.ULIDs.Peer, Tag: tag(a.TagLocal),
		Pair: ctl.Pair(a.Pair).String(), State: a.State.String(), Nonce: &a.Nonce,
	})
}

func (r *reporter) probeReceived(now time.Time, a engine.ProbeReceived) {
	r.tell(slog.LevelInfo, ctl.Event{
		Time: now, Event: ctl.EventProbeReceived, ULIDLocal: a.ULIDs.Local, ULIDPeer: a.ULIDs.Peer, Tag: tag(a.TagLocal),
		Pair: ctl.Pair(a.Pair).String(), State: a.State.String(), Reports: &a.Reports,
	})
}

func (r *reporter) pathChanged(now time.Time, a engine.PathChanged) {
	r.tell(slog.LevelInfo, ctl.Event{
		Time: now, Event: ctl.EventPathChanged, ULIDLocal: a.ULIDs.Local, ULIDPeer: a.ULIDs.Peer, Tag: tag(a.TagLocal),
		From: ctl.Pair(a.From).String(), To: ctl.Pair(a.To).String(),
	})
}

func (r *reporter) switchFailed(now time.Time, a engine.SwitchFailed) {
	r.tell(slog.LevelWarn, ctl.Event{
		Time: now, Event: ctl.EventSwitchFailed, ULIDLocal: a.ULIDs.Local, ULIDPeer: a.ULIDs.Peer, Tag: tag(a.TagLocal),
		Pair: ctl.Pair(a.To).String(), Why: a.Why,
	})
}

// message tells of a message of the exchanges, which are few: what comes of them is logged as changes of state.
func (r *reporter) message(now time.Time, event string, ulids engine.ULIDPair, t uint64, pair engine.LocatorPair, kind wire.MessageType) {
	r.tell(slog.LevelDebug, ctl.Event{
		Time: now, Event: event, ULIDLocal: ulids.Local, ULIDPeer: ulids.Peer, Tag: tag(t), Pair: ctl.Pair(pair).String(), Type: kind.String(),
	})
}

func (r *reporter) dropped(now time.Time, a engine.Dropped) {
	if r.drops.allow(now, dropsPerSecond) {
		r.tell(slog.LevelDebug, ctl.Event{
			Time: now, Event: ctl.EventDropped, Src: a.Src, Dst: a.Dst, Reason: fmt.Sprint(a.Reason), Detail: a.Detail,
		})
	}
}

func (r *reporter) sendTimeout(now time.Time, ulids engine.ULIDPair, ev nl.SendTimeout) {
	r.tell(slog.LevelInfo, ctl.Event{
		Time: now, Event: ctl.EventSendTimeout, ULIDLocal: ulids.Local, ULIDPeer: ulids.Peer,
		Tag: ctl.FormatTag(ev.TagLocal), BoottimeNS: int64(ev.At),
	})
}

func (r *reporter) tcpKick(now time.Time, ev nl.TCPKick) {
	r.tell(slog.LevelInfo, ctl.Event{
		Time: now, Event: ctl.EventTCPKick, ULIDLocal: ev.ULIDLocal, ULIDPeer: ev.ULIDPeer, Sockets: &ev.Sockets,
		BoottimeNS: int64(ev.At),
	})
}

func (r *reporter) locatorsChanged(now time.Time, count int) {
	r.tell(slog.LevelInfo, ctl.Event{Time: now, Event: ctl.EventLocatorsChanged, Count: &count})
}

// tag prints a context tag as the control interface does.
func tag[T ~uint64](t T) string { return ctl.FormatTag(uint64(t)) }

// A limiter allows so many things in each second.
type limiter struct {
	second time.Time
	n      int
}

func (l *limiter) allow(now time.Time, perSecond int) bool {
	if now.Sub(l.second) >= time.Second {
		l.second, l.n = now, 0
	}
	l.n++
	return l.n <= perSecond
}

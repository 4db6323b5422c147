// SPDX-License-Identifier: MIT

package sim

import (
	"slices"
	"time"

	"shim6/daemon/engine"
)

// A Flow is payload from one host to another at a fixed rate, as an application would see it.
type Flow struct {
	Sent, Received int
	LongestGap     time.Duration // between arrivals
	LastArrival    time.Time

	ulids    engine.ULIDPair
	interval time.Duration
	stopped  bool
	replies  *Flow // a packet for each that arrives, nil for none
}

// Flow starts payload from the host's ULID to that of another, a packet each interval.
func (h *Host) Flow(to *Host, interval time.Duration) *Flow {
	return h.FlowBetween(engine.ULIDPair{Local: h.ULID(), Peer: to.ULID()}, interval)
}

// FlowBetween starts payload between two ULIDs, instead of what there is.
func (h *Host) FlowBetween(ulids engine.ULIDPair, interval time.Duration) *Flow {
	f := &Flow{ulids: ulids, interval: interval}
	if i := slices.IndexFunc(h.flows, func(old *Flow) bool { return old.ulids == ulids }); i >= 0 {
		h.flows[i].Stop()
		h.flows[i] = f
	} else {
		h.flows = append(h.flows, f)
	}
	var next func()
	next = func() {
		if f.stopped {
			return
		}
		f.Sent++
		if !h.asleep() {
			h.kernel.output(h.kernelNow(), f)
		}
		h.w.After(interval, next)
	}
	h.w.After(0, next)
	return f
}

// Ping starts payload between two ULIDs that the other host answers, packet by packet.
func (h *Host) Ping(ulids engine.ULIDPair, interval time.Duration) *Flow {
	f := h.FlowBetween(ulids, interval)
	f.replies = &Flow{ulids: engine.ULIDPair{Local: ulids.Peer, Peer: ulids.Local}}
	return f
}

// flow finds the flow between two ULIDs.
func (h *Host) flow(ulids engine.ULIDPair) *Flow {
	for _, f := range h.flows {
		if f.ulids == ulids {
			return f
		}
	}
	return new(Flow)
}

// Mute ends the answers to a flow.
func (f *Flow) Mute() { f.replies = nil }

// Stop ends the flow.
func (f *Flow) Stop() { f.stopped = true }

func (f *Flow) received(now time.Time, p payload) {
	f.Received++
	if !f.LastArrival.IsZero() {
		f.LongestGap = max(f.LongestGap, now.Sub(f.LastArrival))
	}
	f.LastArrival = now
}

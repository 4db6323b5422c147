// SPDX-License-Identifier: MIT

// Package sim runs engines on a virtual clock, joined by links that delay, lose and cut, over a model of the kernel module.
// Equal scripts give equal traces.
package sim

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	"shim6/daemon/engine"
)

// Epoch is the time at which every World starts.
var Epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// A World is a clock, hosts and what joins them.
type World struct {
	Now   time.Time
	Links Links

	rng    *rand.Rand
	hosts  []*Host
	owner  map[netip.Addr]*Host
	names  map[netip.Addr]string
	events queue
	seq    int
	trace  strings.Builder
	silent bool // no trace
	cheap  bool // signatures are modelled
	crypto time.Duration
	free   []*payload
	err    error
}

// NewWorld makes an empty World; the seed decides which packets a lossy link loses.
func NewWorld(seed uint64) *World {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	return &World{
		Now:   Epoch,
		Links: newLinks(),
		rng:   rand.New(rand.NewChaCha8(key)),
		owner: map[netip.Addr]*Host{},
		names: map[netip.Addr]string{},

		crypto: cryptoTime,
	}
}

// Host gives a host by its name, nil where there is none.
func (w *World) Host(name string) *Host {
	for _, h := range w.hosts {
		if h.Name == name {
			return h
		}
	}
	return nil
}

// After does something later.
func (w *World) After(d time.Duration, do func()) { w.push(d, event{do: do}) }

func (w *World) push(d time.Duration, e event) {
	w.seq++
	e.at, e.seq = w.Now.Sub(Epoch)+d, w.seq
	w.events.push(e)
}

// Run lets time pass.
func (w *World) Run(d time.Duration) {
	end := w.Now.Sub(Epoch) + d
	for {
		next, host, tick := end, (*Host)(nil), false
		queued := len(w.events) > 0 && w.events[0].at <= next
		if queued {
			next = w.events[0].at
		}
		for _, h := range w.hosts {
			if h.asleep() {
				continue
			}
			if at := h.kernel.deadline(); !at.IsZero() && at.Sub(Epoch)-h.skew < next {
				next, host, tick = at.Sub(Epoch)-h.skew, h, false
			}
			if at := h.deadline(); !at.IsZero() && at.Sub(Epoch)-h.skew-h.wall < next {
				next, host, tick = at.Sub(Epoch)-h.skew-h.wall, h, true
			}
		}
		w.Now = Epoch.Add(max(next, w.Now.Sub(Epoch)))
		switch {
		case host != nil && tick:
			host.Handle(engine.Tick{})
		case host != nil:
			host.kernel.expire(host.kernelNow())
		case queued:
			w.happen(w.events.pop())
		default:
			return
		}
	}
}

func (w *World) happen(e event) {
	if e.do != nil {
		e.do()
		return
	}
	if h := w.receiver(e.payload.dst); h != nil {
		h.kernel.input(h.kernelNow(), *e.payload)
	}
	w.free = append(w.free, e.payload)
}

// receiver gives the host that takes packets to an address now, if any.
func (w *World) receiver(dst netip.Addr) *Host {
	if h := w.owner[dst]; h != nil && h.has(dst) && !h.asleep() {
		return h
	}
	return nil
}

// Trace gives what was traced since the last call.
func (w *World) Trace() string {
	s := w.trace.String()
	w.trace.Reset()
	return s
}

func (w *World) tracef(format string, args ...any) {
	if w.silent {
		return
	}
	fmt.Fprintf(&w.trace, "%8.3f ", w.Now.Sub(Epoch).Seconds())
	fmt.Fprintf(&w.trace, format+"\n", args...)
}

// Name gives the name of an address.
func (w *World) Name(a netip.Addr) string {
	if n, ok := w.names[a]; ok {
		return n
	}
	return a.String()
}

func (w *World) pair(p engine.LocatorPair) string { return w.Name(p.Local) + ">" + w.Name(p.Peer) }

// carryPayload brings payload to its destination, if the link lets it.
func (w *World) carryPayload(p payload) {
	delays, n := w.Links.pass(w.rng, p.src, p.dst)
	for _, d := range delays[:n] {
		var q *payload
		if last := len(w.free) - 1; last >= 0 {
			q, w.free = w.free[last], w.free[:last]
		} else {
			q = new(payload)
		}
		*q = p
		w.push(d, event{payload: q})
	}
}

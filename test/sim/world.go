// SPDX-License-Identifier: MIT

// Package sim runs engines on a virtual clock, joined by links that delay, lose and cut, over a model of the kernel module.
// Equal scripts give equal traces.
package sim

import (
	"container/heap"
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
func (w *World) After(d time.Duration, do func()) {
	w.seq++
	heap.Push(&w.events, event{w.Now.Add(d), w.seq, do})
}

// Run lets time pass.
func (w *World) Run(d time.Duration) {
	end := w.Now.Add(d)
	for {
		next, do := end, func() {}
		if len(w.events) > 0 && !w.events[0].at.After(next) {
			next, do = w.events[0].at, func() { heap.Pop(&w.events).(event).do() }
		}
		for _, h := range w.hosts {
			if at := h.kernel.deadline(); !at.IsZero() && h.world(at).Before(next) {
				next, do = h.world(at), func() { h.kernel.expire(h.now()) }
			}
			if at := h.deadline(); !at.IsZero() && h.world(at).Before(next) {
				next, do = h.world(at), func() { h.Handle(engine.Tick{}) }
			}
		}
		if next.Before(w.Now) {
			next = w.Now
		}
		w.Now = next
		last := next.Equal(end) && (len(w.events) == 0 || w.events[0].at.After(end))
		do()
		if last {
			return
		}
	}
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

// carry brings something from one address to another, if the link lets it.
func (w *World) carry(src, dst netip.Addr, arrive func(h *Host)) bool {
	delays := w.Links.pass(w.rng, src, dst)
	for _, d := range delays {
		w.After(d, func() {
			if h := w.owner[dst]; h != nil && h.has(dst) {
				arrive(h)
			}
		})
	}
	return len(delays) > 0
}

type event struct {
	at  time.Time
	seq int
	do  func()
}

type queue []event

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	if c := q[i].at.Compare(q[j].at); c != 0 {
		return c < 0
	}
	return q[i].seq < q[j].seq
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)   { *q = append(*q, x.(event)) }
func (q *queue) Pop() any {
	e := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return e
}

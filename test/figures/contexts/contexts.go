// SPDX-License-Identifier: MIT

// Package contexts tells how many shim6 contexts hosts would have had, had they spoken shim6 when a trace was taken.
package contexts

import (
	"container/heap"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"shim6/test/figures/trace"
)

// A Policy says when a context begins and ends.
type Policy struct {
	Name string
	// A context begins with the packet that brings what a pair of hosts has sent to Bytes, or comes After the first: zero for
	// both is the first packet. What a pair has sent is forgotten after Forget without a packet.
	Bytes  uint64
	After  time.Duration
	Forget time.Duration
	// A context is collected when it has carried no packet for Idle.
	Idle time.Duration
}

// Forget is how long the kernel module remembers a pair of hosts that is silent.
const Forget = 30 * time.Second

// check tells what makes a policy useless.
func (p Policy) check() error {
	switch {
	case p.Idle <= 0:
		return fmt.Errorf("policy %s: contexts are collected after %v", p.Name, p.Idle)
	case p.Idle > Remember:
		return fmt.Errorf("policy %s: contexts are collected after %v, and pairs are remembered for %v only", p.Name, p.Idle, Remember)
	case (p.Bytes > 0 || p.After > 0) && p.Forget <= 0:
		return fmt.Errorf("policy %s: pairs are forgotten after %v", p.Name, p.Forget)
	case p.After < 0:
		return fmt.Errorf("policy %s: a trigger after %v", p.Name, p.After)
	}
	return nil
}

// A Count is what came out for one policy.
type Count struct {
	Policy
	SetUps     uint64  // contexts that began
	Again      uint64  // of these, those whose pair had one before that was collected, within Remember
	Peak       int     // contexts at a time
	Mean       float64 // over the time of the trace
	Hosts      map[netip.Addr]*Host
	PeakSetUps int // in a second
}

// A Host is what came out for one host.
type Host struct {
	Peak   int
	SetUps uint64
	now    int
}

// Remember is how long a pair is known to have had a context. It bounds the memory of a simulation.
const Remember = time.Hour

// A Simulation applies policies to packets that come in the order of time. What it keeps grows with the pairs of hosts that were
// active within Remember and with the number of local hosts, not with the trace.
type Simulation struct {
	local    func(netip.Addr) bool
	every    time.Duration
	sample   Sampler
	counts   []*Count
	states   []state // of each policy
	pairs    map[pairKey]*pair
	forgets  queue // of pairs
	start    time.Time
	now      time.Time
	next     time.Time // sample
	Packets  uint64
	Foreign  uint64 // packets between hosts that are not local
	MaxPairs int    // remembered at a time
}

// A state is what one policy has at a time.
type state struct {
	expiries queue
	contexts int
	since    time.Time // of that number
	area     float64   // contexts times seconds
	second   int64
	inSecond int
}

type pairKey struct{ host, peer netip.Addr }

type pair struct {
	key  pairKey
	last time.Time
	of   []progress // for each policy
}

// A progress is how far a pair is on its way to a context.
type progress struct {
	held  bool
	had   bool      // a context that was collected
	bytes uint64    // since first
	first time.Time // zero for never
}

// A Sampler is told the contexts that there are at a time by one of the policies: all, and those of a host.
type Sampler func(policy int, at time.Time, contexts int, of func(netip.Addr) int)

// New makes a simulation. Local tells which hosts are looked at. The sample is taken every so often, never for zero.
func New(policies []Policy, local func(netip.Addr) bool, every time.Duration, sample Sampler) (*Simulation, error) {
	if len(policies) == 0 {
		return nil, errors.New("no policy")
	}
	s := &Simulation{
		local: local, every: every, sample: sample, states: make([]state, len(policies)), pairs: make(map[pairKey]*pair),
	}
	for _, p := range policies {
		if err := p.check(); err != nil {
			return nil, err
		}
		s.counts = append(s.counts, &Count{Policy: p, Hosts: make(map[netip.Addr]*Host)})
	}
	return s, nil
}

// Packets are played in the order of time.
type Packets interface {
	Next() (trace.Record, error)
}

// Play plays all packets and returns what came out for each policy.
func (s *Simulation) Play(in Packets) ([]*Count, error) {
	for {
		r, err := in.Next()
		if errors.Is(err, io.EOF) {
			return s.end(), nil
		}
		if err != nil {
			return nil, err
		}
		if err := s.packet(r); err != nil {
			return nil, err
		}
	}
}

func (s *Simulation) packet(r trace.Record) error {
	at := r.Start
	if at.Before(s.now) {
		return fmt.Errorf("a packet of %v comes after one of %v", at.UTC(), s.now.UTC())
	}
	if s.start.IsZero() {
		s.start, s.next = at, at
		for k := range s.states {
			s.states[k].since = at
		}
	}
	s.advance(at)
	s.Packets++
	any := false
	// Both ends of a pair have a context; each is counted where it is local.
	for _, key := range [2]pairKey{{r.Src, r.Dst}, {r.Dst, r.Src}} {
		if s.local(key.host) {
			any = true
			s.touch(key, at, r.Bytes)
		}
	}
	if !any {
		s.Foreign++
	}
	return nil
}

func (s *Simulation) touch(key pairKey, at time.Time, bytes uint64) {
	p := s.pairs[key]
	if p == nil {
		p = &pair{key: key, of: make([]progress, len(s.counts))}
		s.pairs[key] = p
		s.MaxPairs = max(s.MaxPairs, len(s.pairs))
		heap.Push(&s.forgets, entry{at.Add(Remember).UnixNano(), p})
	}
	silent := at.Sub(p.last)
	p.last = at
	for k := range p.of {
		g, c := &p.of[k], s.counts[k]
		if g.held {
			continue
		}
		if g.first.IsZero() || silent >= c.Forget {
			g.first, g.bytes = at, 0
		}
		g.bytes += bytes
		triggers := c.Bytes == 0 && c.After == 0 || c.Bytes > 0 && g.bytes >= c.Bytes || c.After > 0 && at.Sub(g.first) >= c.After
		if triggers {
			s.begin(k, p, at)
		}
	}
}

func (s *Simulation) begin(k int, p *pair, at time.Time) {
	g, c, st := &p.of[k], s.counts[k], &s.states[k]
	s.change(k, p.key.host, at, 1)
	c.SetUps++
	if g.had {
		c.Again++
	}
	if at.Unix() != st.second {
		st.second, st.inSecond = at.Unix(), 0
	}
	st.inSecond++
	c.PeakSetUps = max(c.PeakSetUps, st.inSecond)
	h := c.Hosts[p.key.host]
	h.SetUps++
	*g = progress{held: true}
	heap.Push(&st.expiries, entry{at.Add(c.Idle).UnixNano(), p})
}

// change counts contexts up or down.
func (s *Simulation) change(k int, host netip.Addr, at time.Time, by int) {
	st, c := &s.states[k], s.counts[k]
	st.area += float64(st.contexts) * at.Sub(st.since).Seconds()
	st.since = at
	st.contexts += by
	c.Peak = max(c.Peak, st.contexts)
	h := c.Hosts[host]
	if h == nil {
		h = new(Host)
		c.Hosts[host] = h
	}
	h.now += by
	h.Peak = max(h.Peak, h.now)
}

// advance lets happen what happens before a time, or at it.
func (s *Simulation) advance(to time.Time) {
	for s.every > 0 && !s.next.After(to) {
		at := s.next
		s.expire(at)
		for k, c := range s.counts {
			s.sample(k, at, s.states[k].contexts, func(a netip.Addr) int {
				if h := c.Hosts[a]; h != nil {
					return h.now
				}
				return 0
			})
		}
		s.next = at.Add(s.every)
	}
	s.expire(to)
	s.now = to
	for len(s.forgets) > 0 && s.forgets[0].at <= to.UnixNano() {
		p := s.forgets[0].pair
		if due := p.last.Add(Remember).UnixNano(); due > to.UnixNano() {
			s.forgets[0].at = due
			heap.Fix(&s.forgets, 0)
			continue
		}
		heap.Pop(&s.forgets)
		delete(s.pairs, p.key)
	}
}

// expire collects contexts. An entry of the queue is of when its context was last looked at, and may be too early.
func (s *Simulation) expire(to time.Time) {
	end := to.UnixNano()
	for k, c := range s.counts {
		q := &s.states[k].expiries
		for len(*q) > 0 && (*q)[0].at <= end {
			e := (*q)[0]
			if due := e.pair.last.Add(c.Idle).UnixNano(); due > e.at {
				(*q)[0].at = due
				heap.Fix(q, 0)
				continue
			}
			heap.Pop(q)
			s.change(k, e.pair.key.host, time.Unix(0, e.at), -1)
			e.pair.of[k] = progress{had: true}
		}
	}
}

func (s *Simulation) end() []*Count {
	seconds := s.now.Sub(s.start).Seconds()
	for k, c := range s.counts {
		st := &s.states[k]
		st.area += float64(st.contexts) * s.now.Sub(st.since).Seconds()
		if seconds > 0 {
			c.Mean = st.area / seconds
		}
	}
	return s.counts
}

// Span is from the first packet to the last.
func (s *Simulation) Span() (from, to time.Time) { return s.start, s.now }

type entry struct {
	at   int64 // Unix nanoseconds
	pair *pair
}

// queue is a heap of entries, the earliest first.
type queue []entry

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].at < q[j].at }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)        { *q = append(*q, x.(entry)) }
func (q *queue) Pop() any {
	old := *q
	last := old[len(old)-1]
	*q = old[:len(old)-1]
	return last
}

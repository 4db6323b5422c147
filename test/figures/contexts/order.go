// SPDX-License-Identifier: MIT

package contexts

import (
	"container/heap"
	"errors"
	"io"
	"time"

	"shim6/test/figures/trace"
)

// step is the time within which packets of a record count as one. It is below every idle time that makes sense.
const step = 500 * time.Millisecond

// An Order turns records, which come when their flow has ended, into packets in the order of time: those of a record are
// spread evenly over its time. It holds back what may be overtaken by a record that starts up to a window earlier.
type Order struct {
	in     Packets
	window time.Duration
	heap   records
	newest time.Time // start of a record so far
	now    time.Time
	ended  bool
	// Late counts records that came later than the window allows. They are moved to the present.
	Late uint64
}

// NewOrder makes an Order. The window is the longest time from the first packet of a flow to its record.
func NewOrder(in Packets, window time.Duration) *Order { return &Order{in: in, window: window} }

// Next returns the next packet: a record without duration.
func (o *Order) Next() (trace.Record, error) {
	for !o.ended && (len(o.heap) == 0 || o.newest.Sub(o.heap[0].Start) < o.window) {
		r, err := o.in.Next()
		if errors.Is(err, io.EOF) {
			o.ended = true
			break
		}
		if err != nil {
			return r, err
		}
		if r.Start.After(o.newest) {
			o.newest = r.Start
		}
		if r.Start.Before(o.now) {
			o.Late++
			r.End = r.End.Add(o.now.Sub(r.Start))
			r.Start = o.now
		}
		heap.Push(&o.heap, r)
	}
	if len(o.heap) == 0 {
		return trace.Record{}, io.EOF
	}
	first, rest, more := split(o.heap[0])
	if more {
		o.heap[0] = rest
		heap.Fix(&o.heap, 0)
	} else {
		heap.Pop(&o.heap)
	}
	o.now = first.Start
	return first, nil
}

// split takes the first packet off a record, or those of one step together.
func split(r trace.Record) (first, rest trace.Record, more bool) {
	span := r.End.Sub(r.Start)
	if r.Packets < 2 || span == 0 {
		r.End = r.Start
		return r, r, false
	}
	gap := span / time.Duration(r.Packets-1)
	n := uint64(1)
	if gap < step {
		// The last packet stays alone, so that the record ends when it does.
		n = min(max(1, uint64(step)/uint64(max(gap, 1))), r.Packets-1)
	}
	first, rest = r, r
	first.Packets, rest.Packets = n, r.Packets-n
	first.Bytes = uint64(float64(r.Bytes) * float64(n) / float64(r.Packets))
	rest.Bytes = r.Bytes - first.Bytes
	first.End = first.Start
	rest.Start = r.Start.Add(gap * time.Duration(n))
	if rest.Start.After(r.End) || rest.Packets == 1 {
		rest.Start = r.End
	}
	return first, rest, true
}

type records []trace.Record

func (q records) Len() int           { return len(q) }
func (q records) Less(i, j int) bool { return q[i].Start.Before(q[j].Start) }
func (q records) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *records) Push(x any)        { *q = append(*q, x.(trace.Record)) }
func (q *records) Pop() any {
	old := *q
	last := old[len(old)-1]
	*q = old[:len(old)-1]
	return last
}

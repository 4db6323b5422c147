// SPDX-License-Identifier: MIT

package sim

import "time"

// An event is something that happens at a time: what do says, or, where do is nil, the arrival of payload.
type event struct {
	at      time.Duration // since Epoch
	seq     int
	do      func()
	payload *payload
}

// A queue is a heap of events, the earliest first, among equal ones that which was asked for first. It is its own and not
// container/heap's because most of a run's time is spent here.
type queue []event

func (q queue) before(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].seq < q[j].seq
}

func (q *queue) push(e event) {
	*q = append(*q, e)
	h := *q
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if !h.before(i, up) {
			break
		}
		h[i], h[up] = h[up], h[i]
		i = up
	}
}

func (q *queue) pop() event {
	h := *q
	e, n := h[0], len(h)-1
	h[0], h[n] = h[n], event{}
	h = h[:n]
	*q = h
	for i := 0; ; {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < n; c++ {
			if h.before(c, least) {
				least = c
			}
		}
		if least == i {
			return e
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
}

// SPDX-License-Identifier: MIT

package ctl

import "sync"

const (
	maxSubscribers = 16
	// subscriberQueue is how many events a reader may be behind.
	subscriberQueue = 1024
)

// Events hands each published Event to every subscriber. It is safe for concurrent use; the zero value is ready.
type Events struct {
	mu     sync.Mutex
	subs   map[*subscriber]struct{}
	places places
	closed bool
	past   []Event // a ring of logSize
	oldest int
}

// A subscriber's queue is closed when it fell behind, which sets slow, or when there will be no more events.
type subscriber struct {
	uid   uint32 // whose it is
	queue chan Event
	slow  bool
}

// Publish hands out ev and never waits: a subscriber whose queue is full is dropped. Events are remembered, but for those that
// strangers can make at will: they would push out all others.
func (e *Events) Publish(ev Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if ev.Event != EventDropped {
		e.remember(ev)
	}
	for s := range e.subs {
		select {
		case s.queue <- ev:
		default:
			s.slow = true
			e.drop(s)
		}
	}
}

// Subscribers is the number of subscribers.
func (e *Events) Subscribers() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.subs)
}

// Close ends every subscription, also those to come.
func (e *Events) Close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	for s := range e.subs {
		e.drop(s)
	}
}

// subscribe returns nil when there are too many subscribers, of the user or of all, or no more events.
func (e *Events) subscribe(uid uint32) *subscriber {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || !e.places.take(uid, maxSubscribers) {
		return nil
	}
	if e.subs == nil {
		e.subs = make(map[*subscriber]struct{})
	}
	s := &subscriber{uid: uid, queue: make(chan Event, subscriberQueue)}
	e.subs[s] = struct{}{}
	return s
}

func (e *Events) unsubscribe(s *subscriber) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, ok := e.subs[s]; ok {
		e.drop(s)
	}
}

// drop is called with mu held.
func (e *Events) drop(s *subscriber) {
	delete(e.subs, s)
	e.places.free(s.uid)
	close(s.queue)
}

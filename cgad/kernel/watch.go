// SPDX-License-Identifier: MIT

package kernel

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"shim6/cgad/autoconf"
)

const (
	watchBuffer      = 4 << 20     // octets of the socket buffer
	watchRetry       = time.Second // before another socket is opened after an error
	auditDelay       = 20 * time.Millisecond
	fullAuditPeriod  = 60 * time.Second // for what no message told, such as settings
	eventsInAdvance  = 64
	messagesPerGroup = 16
)

var groups = []uint{unix.RTNLGRP_LINK, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV6_RULE}

// Watch tells what is there and then what changes. One socket hears everything, so that the order is that of the changes.
// The channel is closed when ctx is done.
func (k *Kernel) Watch(ctx context.Context) (<-chan autoconf.Event, error) {
	s, err := subscribe()
	if err != nil {
		return nil, err
	}
	w := newWatcher(ctx, k)
	go func() {
		defer close(w.out)
		for s != nil {
			w.follow(s)
			s = resubscribe(ctx)
		}
	}()
	return w.out, nil
}

func subscribe() (*nl.NetlinkSocket, error) {
	s, err := nl.Subscribe(unix.NETLINK_ROUTE, groups...)
	if err != nil {
		return nil, fmt.Errorf("subscribe to changes: %w", err)
	}
	if err := s.SetReceiveBufferSize(watchBuffer, true); err != nil {
		// Forcing takes a privilege; the usual limit does too for a while.
		err = s.SetReceiveBufferSize(watchBuffer, false)
		if err != nil {
			s.Close()
			return nil, fmt.Errorf("buffer for changes: %w", err)
		}
	}
	return s, nil
}

func resubscribe(ctx context.Context) *nl.NetlinkSocket {
	for ctx.Err() == nil {
		if s, err := subscribe(); err == nil {
			return s
		}
		select {
		case <-ctx.Done():
		case <-time.After(watchRetry):
		}
	}
	return nil
}

// A watcher knows what was told.
type watcher struct {
	k     *Kernel
	ctx   context.Context
	out   chan autoconf.Event
	links map[int]autoconf.LinkChanged
	addrs map[place]autoconf.AddressChanged

	unsure map[int]bool // interfaces whose settings could not be read and that are to be looked at again
	looks  map[int]int  // how often they could not
}

// looksMax is how often the settings of an interface are tried to read soon; after that only a full audit tries.
const looksMax = 10

func newWatcher(ctx context.Context, k *Kernel) *watcher {
	return &watcher{
		k: k, ctx: ctx, out: make(chan autoconf.Event, eventsInAdvance),
		links: make(map[int]autoconf.LinkChanged), addrs: make(map[place]autoconf.AddressChanged),
		unsure: make(map[int]bool), looks: make(map[int]int),
	}
}

// follow tells changes until the socket breaks, as it does when messages were lost, or ctx is done.
func (w *watcher) follow(s *nl.NetlinkSocket) {
	messages := make(chan []syscall.NetlinkMessage, messagesPerGroup)
	ended := make(chan struct{})
	defer func() {
		s.Close()
		close(ended)
		for range messages {
		}
	}()
	go receive(s, messages, ended)

	if err := w.sync(); err != nil {
		return
	}
	full := time.NewTicker(fullAuditPeriod)
	defer full.Stop()
	audit := time.NewTimer(0)
	defer audit.Stop()
	for {
		select {
		case <-w.ctx.Done():
			return
		case group, ok := <-messages:
			if !ok {
				return
			}
			for i := range group {
				if w.message(&group[i]) {
					audit.Reset(auditDelay)
				}
			}
		case <-audit.C:
			w.lookAgain()
			if len(w.unsure) > 0 {
				audit.Reset(auditDelay)
			}
			if w.audit() != nil {
				return
			}
		case <-full.C:
			if errors.Join(w.sync(), w.audit()) != nil {
				return
			}
		}
	}
}

func receive(s *nl.NetlinkSocket, messages chan<- []syscall.NetlinkMessage, ended <-chan struct{}) {
	defer close(messages)
	for {
		group, from, err := s.Receive()
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return
		case from.Pid != nl.PidKernel:
			continue
		}
		select {
		case messages <- group:
		case <-ended:
			return
		}
	}
}

// tell reports an event.
func (w *watcher) tell(ev autoconf.Event) {
	select {
	case w.out <- ev:
	case <-w.ctx.Done():
	}
}

// audit looks whether the rules and routes are still there.
func (w *watcher) audit() error {
	gone, err := w.k.missing()
	for _, ev := range gone {
		w.tell(ev)
	}
	return err
}

// missing gives the rules and routes that somebody else removed.
func (k *Kernel) missing() ([]autoconf.Event, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var events []autoconf.Event
	routes, err := listRoutes()
	if err != nil {
		return nil, err
	}
	there := make(map[autoconf.Route]bool)
	for _, r := range routes {
		there[r] = true
	}
	for r := range k.routes {
		if !there[r] {
			delete(k.routes, r)
			events = append(events, autoconf.RouteGone{Route: r})
		}
	}
	for r := range k.rules {
		switch ours, err := k.hasRule(r); {
		case err != nil:
			return events, err
		case !ours:
			delete(k.rules, r)
			events = append(events, autoconf.RuleGone{Rule: r})
		}
	}
	return events, nil
}

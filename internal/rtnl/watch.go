// SPDX-License-Identifier: MIT

package rtnl

import (
	"context"
	"fmt"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// watchBuffer is the socket buffer, in octets, for the messages of one kind.
const watchBuffer = 1 << 20

// resubscribeDelay is how long a Watch waits before it subscribes again after an error.
const resubscribeDelay = time.Second

// Watch sends on the returned channel after IPv6 addresses, IPv6 routes or links of the network namespace changed, and after messages
// about changes were lost. Changes that come before the receiver is ready are told once. Every change after Watch
// returns is told, so a List after Watch misses nothing. The channel is closed when ctx is done.
func Watch(ctx context.Context) (<-chan struct{}, error) {
	s, err := subscribe()
	if err != nil {
		return nil, err
	}
	changed := make(chan struct{}, 1)
	go watch(ctx, s, changed)
	return changed, nil
}

// A subscription is one socket for each kind of message; done ends all.
type subscription struct {
	addrs  chan netlink.AddrUpdate
	links  chan netlink.LinkUpdate
	routes chan netlink.RouteUpdate
	done   chan struct{}
}

func subscribe() (*subscription, error) {
	s := &subscription{
		make(chan netlink.AddrUpdate), make(chan netlink.LinkUpdate), make(chan netlink.RouteUpdate), make(chan struct{}),
	}
	err := netlink.AddrSubscribeWithOptions(s.addrs, s.done, netlink.AddrSubscribeOptions{ReceiveBufferSize: watchBuffer})
	if err != nil {
		close(s.done)
		return nil, fmt.Errorf("subscribe to address changes: %w", err)
	}
	err = netlink.LinkSubscribeWithOptions(s.links, s.done, netlink.LinkSubscribeOptions{ReceiveBufferSize: watchBuffer})
	if err != nil {
		close(s.links)
		close(s.routes)
		s.close()
		return nil, fmt.Errorf("subscribe to link changes: %w", err)
	}
	err = netlink.RouteSubscribeWithOptions(s.routes, s.done, netlink.RouteSubscribeOptions{ReceiveBufferSize: watchBuffer})
	if err != nil {
		close(s.routes)
		s.close()
		return nil, fmt.Errorf("subscribe to route changes: %w", err)
	}
	return s, nil
}

// close ends the subscription and takes what its goroutines may still want to send.
func (s *subscription) close() {
	close(s.done)
	go func() {
		for range s.addrs {
		}
	}()
	go func() {
		for range s.links {
		}
	}()
	go func() {
		for range s.routes {
		}
	}()
}

func watch(ctx context.Context, s *subscription, changed chan<- struct{}) {
	defer close(changed)
	for {
		broken := s.forward(ctx, changed)
		s.close()
		if !broken {
			return
		}
		if s = resubscribe(ctx); s == nil {
			return
		}
		tell(changed)
	}
}

// forward tells changes until ctx is done, which returns false, or a socket breaks: ENOBUFS above all.
func (s *subscription) forward(ctx context.Context, changed chan<- struct{}) (broken bool) {
	for {
		select {
		case <-ctx.Done():
			return false
		case u, ok := <-s.addrs:
			if !ok {
				return true
			}
			if u.LinkAddress.IP.To4() == nil {
				tell(changed)
			}
		case _, ok := <-s.links:
			if !ok {
				return true
			}
			tell(changed)
		case u, ok := <-s.routes:
			if !ok {
				return true
			}
			// What KeepSources does is done because of a change.
			if u.Family == unix.AF_INET6 && u.Protocol != sourceProtocol {
				tell(changed)
			}
		}
	}
}

func resubscribe(ctx context.Context) *subscription {
	for {
		if s, err := subscribe(); err == nil {
			return s
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(resubscribeDelay):
		}
	}
}

func tell(changed chan<- struct{}) {
	select {
	case changed <- struct{}{}:
	default:
	}
}

// SPDX-License-Identifier: MIT

package nl

import (
	"errors"
	"fmt"

	"github.com/mdlayher/genetlink"
	"golang.org/x/sys/unix"
)

// eventBuffer is the socket buffer, in octets, that a Subscription asks for: some thousand events.
const eventBuffer = 1 << 20

// A Subscription receives the events of the kernel module on a socket of its own.
type Subscription struct {
	conn  *genetlink.Conn
	queue []Event
}

// Subscribe joins the kernel module's multicast group in the current network namespace.
func Subscribe() (*Subscription, error) {
	conn, err := genetlink.Dial(nil)
	if err != nil {
		return nil, fmt.Errorf("open a generic netlink socket: %w", err)
	}
	s, err := newSubscription(conn, (*genetlink.Conn).JoinGroup)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	// A smaller buffer only makes Lost more likely.
	_ = conn.SetReadBuffer(eventBuffer)
	return s, nil
}

func newSubscription(conn *genetlink.Conn, join func(*genetlink.Conn, uint32) error) (*Subscription, error) {
	f, err := family(conn)
	if err != nil {
		return nil, err
	}
	for _, g := range f.Groups {
		if g.Name == groupEvents {
			return &Subscription{conn: conn}, wrap("join the events of module shim6", join(conn, g.ID))
		}
	}
	return nil, fmt.Errorf("module shim6 has no group %q", groupEvents)
}

// Next waits for the next event. An error ends the subscription: net.ErrClosed or a broken socket.
func (s *Subscription) Next() (Event, error) {
	for len(s.queue) == 0 {
		msgs, _, err := s.conn.Receive()
		if errors.Is(err, unix.ENOBUFS) {
			return Lost{}, nil
		}
		if err != nil {
			return nil, fmt.Errorf("receive events of module shim6: %w", err)
		}
		for _, m := range msgs {
			if ev := decodeEvent(m.Header.Command, m.Data); ev != nil {
				s.queue = append(s.queue, ev)
			}
		}
	}
	ev := s.queue[0]
	s.queue = s.queue[1:]
	return ev, nil
}

// Close ends the subscription; a waiting Next returns.
func (s *Subscription) Close() error { return s.conn.Close() }

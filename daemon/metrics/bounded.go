// SPDX-License-Identifier: MIT

package metrics

import (
	"net"
	"sync"
)

// connectionsMost bounds the connections: whoever holds more open keeps out nobody but those who read metrics.
const connectionsMost = 16

// A bounded listener closes connections at once where there are too many.
type bounded struct {
	net.Listener
	slots chan struct{}
}

func (b *bounded) Accept() (net.Conn, error) {
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case b.slots <- struct{}{}:
			return &slotConn{Conn: c, release: sync.OnceFunc(func() { <-b.slots })}, nil
		default:
			c.Close()
		}
	}
}

// A slotConn gives back its slot when it is closed.
type slotConn struct {
	net.Conn
	release func()
}

func (c *slotConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}

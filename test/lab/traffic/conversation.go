// SPDX-License-Identifier: MIT

package traffic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"shim6/test/lab/node"
)

// A Conversation is one TCP connection on which a line goes to the other host and comes back, again and again. It costs
// little for hours.
type Conversation struct {
	far, near net.Conn
	stop      chan struct{}
	done      chan struct{}

	mu      sync.Mutex
	count   int
	last    time.Time     // when the last line came back
	longest time.Duration // that a line took
	err     error         // that ended it
}

// lineSize is enough for a few lines to be worth a context.
const lineSize = 1024

// Converse begins a conversation from src in one host to port at dst in another, with a line every interval.
func Converse(from, to *node.Node, src, dst netip.Addr, port uint16, interval time.Duration) (*Conversation, error) {
	c := &Conversation{stop: make(chan struct{}), done: make(chan struct{}), last: time.Now()}
	var listener *net.TCPListener
	err := to.Do(func() (err error) {
		listener, err = net.ListenTCP("tcp6", net.TCPAddrFromAddrPort(netip.AddrPortFrom(dst, port)))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listen in %s: %w", to.Name, err)
	}
	defer listener.Close()
	err = from.Do(func() (err error) {
		dialer := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(src, 0)), KeepAlive: -1, Timeout: 10 * time.Second}
		c.near, err = dialer.DialContext(context.Background(), "tcp6", netip.AddrPortFrom(dst, port).String())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("connect from %v in %s: %w", src, from.Name, err)
	}
	if c.far, err = listener.Accept(); err != nil {
		return nil, errors.Join(err, c.near.Close())
	}
	go func() { _, _ = io.Copy(c.far, c.far) }() // ends with the connection
	go c.run(interval)
	return c, nil
}

func (c *Conversation) run(interval time.Duration) {
	defer close(c.done)
	line, back := make([]byte, lineSize), make([]byte, lineSize)
	for {
		sent := time.Now()
		line[0]++
		_, err := c.near.Write(line)
		if err == nil {
			_, err = io.ReadFull(c.near, back)
		}
		if err == nil && back[0] != line[0] {
			err = errors.New("another line came back")
		}
		c.mu.Lock()
		c.longest = max(c.longest, time.Since(sent))
		if err != nil {
			c.err = err
			c.mu.Unlock()
			return
		}
		c.count++
		c.last = time.Now()
		c.mu.Unlock()
		select {
		case <-c.stop:
			return
		case <-time.After(interval):
		}
	}
}

// A Report tells how a conversation went since the last one.
type Report struct {
	Lines   int           // that came back
	Longest time.Duration // that one took
	Silent  time.Duration // since the last one came back
	Err     error         // that ended it
}

// Report tells how it went since the last Report.
func (c *Conversation) Report() Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := Report{c.count, c.longest, time.Since(c.last), c.err}
	c.count, c.longest = 0, 0
	return r
}

// End ends the conversation.
func (c *Conversation) End() {
	close(c.stop)
	c.near.Close()
	c.far.Close()
	<-c.done
}

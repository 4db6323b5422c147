// SPDX-License-Identifier: MIT

// Command cost is an example of a program that steers shim6d from outside. It orders the paths of all contexts by the costs in a
// file of the form of RFC 7285 (ALTO): a network map, which gives names to prefixes, and a cost map between the names. A file
// that changes counts at once, and so does a context that comes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"shim6/daemon/ctl"
)

// look is how often the file is looked at.
const look = time.Second

func main() {
	socket := flag.String("socket", "/run/shim6/shim6.sock", "control socket of shim6d")
	file := flag.String("map", "", "file with network map and cost map")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, ctl.NewClient(*socket), *file); err != nil && ctx.Err() == nil {
		fmt.Fprintf(os.Stderr, "cost: error: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, c *ctl.Client, file string) error {
	m, err := load(file)
	if err != nil {
		return err
	}
	stamp := modified(file)
	stream, err := c.Events(ctx)
	if err != nil {
		return err
	}
	defer stream.Close()
	news := make(chan error)
	go follow(ctx, stream, news)
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		if err := apply(ctx, c, m); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-news:
			if err != nil {
				return err
			}
		case <-tick.C:
			at := modified(file)
			if at.Equal(stamp) {
				continue
			}
			// A file that is being written is read again when it is whole.
			if next, err := load(file); err != nil {
				fmt.Fprintf(os.Stderr, "cost: warning: %v\n", err)
			} else {
				m, stamp = next, at
			}
		}
	}
}

func modified(file string) time.Time {
	st, err := os.Stat(file)
	if err != nil {
		return time.Time{}
	}
	return st.ModTime()
}

// follow says each time that a context is established, or its locators may be others.
func follow(ctx context.Context, s *ctl.Stream, news chan<- error) {
	for {
		ev, err := s.Next()
		if errors.Is(err, io.EOF) {
			err = errors.New("the daemon ended the event stream")
		}
		if err == nil && !(ev.Event == ctl.EventStateChanged && ev.To == "ESTABLISHED" || ev.Event == ctl.EventLocatorsChanged ||
			ev.Event == ctl.EventMessageReceived) {
			continue
		}
		select {
		case news <- err:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// apply gives every context the order of its pairs, where it has another.
func apply(ctx context.Context, c *ctl.Client, m *costs) error {
	list, err := c.Contexts(ctx, ctl.Filter{State: "ESTABLISHED"})
	if err != nil {
		return err
	}
	for _, x := range list {
		pairs := m.order(x)
		if slices.Equal(pairs, x.Ranking) {
			continue
		}
		tag, err := ctl.ParseTag(x.Tag)
		if err != nil {
			return err
		}
		if err := c.Prefer(ctx, tag, pairs); err != nil {
			var gone *ctl.Error
			if errors.As(err, &gone) {
				continue // since the list was made
			}
			return err
		}
		fmt.Printf("context %s: %d pairs in order\n", x.Tag, len(pairs))
	}
	return nil
}

// SPDX-License-Identifier: MIT

// Command ecn is an example of a program that steers shim6d from outside. It watches the ECN-Echo flags in the TCP segments that
// come in: each says that what was sent on the context's path was marked by a router as congested (RFC 3168 section 6.1).
// Where there are too many, it has payload go on another path. It needs CAP_NET_RAW and the control socket.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	"shim6/daemon/ctl"
)

func main() {
	socket := flag.String("socket", "/run/shim6/shim6.sock", "control socket of shim6d")
	limit := flag.Float64("limit", 0.2, "part of the segments that may have the flag")
	interval := flag.Duration("interval", time.Second, "how long segments are counted")
	hold := flag.Duration("hold", 10*time.Second, "how long a context is left alone after a switch")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	w := &watcher{client: ctl.NewClient(*socket), limit: *limit, hold: *hold, switched: make(map[string]time.Time), left: make(map[string]ctl.Pair)}
	if err := w.run(ctx, *interval); err != nil {
		fmt.Fprintf(os.Stderr, "ecn: error: %v\n", err)
		os.Exit(1)
	}
}

// least is how many segments tell something.
const least = 5

// A watcher counts segments by context.
type watcher struct {
	client   *ctl.Client
	limit    float64
	hold     time.Duration
	switched map[string]time.Time // by tag
	left     map[string]ctl.Pair  // the pair that a context was switched from
}

// A count is that of the segments of one context.
type count struct{ all, echoes int }

func (w *watcher) run(ctx context.Context, interval time.Duration) error {
	segments := make(chan segment, 1024)
	failed := make(chan error, 1)
	go func() { failed <- listen(ctx, segments) }()
	counts := make(map[flow]*count)
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case s := <-segments:
			c := counts[s.flow]
			if c == nil {
				c = new(count)
				counts[s.flow] = c
			}
			c.all++
			if s.echo {
				c.echoes++
			}
		case now := <-tick.C:
			if err := w.judge(ctx, now, counts); err != nil {
				fmt.Fprintf(os.Stderr, "ecn: warning: %v\n", err)
			}
			clear(counts)
		}
	}
}

// judge leaves the paths that are congested.
func (w *watcher) judge(ctx context.Context, now time.Time, counts map[flow]*count) error {
	list, err := w.client.Contexts(ctx, ctl.Filter{State: "ESTABLISHED"})
	if err != nil {
		return err
	}
	for _, c := range list {
		var sum count
		for f, n := range counts {
			if f.of(c) {
				sum.all, sum.echoes = sum.all+n.all, sum.echoes+n.echoes
			}
		}
		if sum.all < least || float64(sum.echoes) < w.limit*float64(sum.all) || now.Sub(w.switched[c.Tag]) < w.hold {
			continue
		}
		to, ok := w.other(c)
		if !ok {
			continue
		}
		tag, err := ctl.ParseTag(c.Tag)
		if err != nil {
			return err
		}
		w.switched[c.Tag], w.left[c.Tag] = now, c.Current
		if err := w.client.Switch(ctx, tag, to); err != nil {
			return fmt.Errorf("context %s: %w", c.Tag, err)
		}
		fmt.Printf("context %s: %d of %d segments tell of congestion, to %v\n", c.Tag, sum.echoes, sum.all, to)
	}
	return nil
}

// other picks a pair that shares no locator with the current one, or else as few as can be, and is not the one that was left.
func (w *watcher) other(c ctl.Context) (best ctl.Pair, ok bool) {
	shares := 3
	for _, l := range c.LocatorsLocal {
		for _, p := range c.LocatorsPeer {
			pair, n := ctl.Pair{Local: l.Addr, Peer: p.Addr}, 0
			if pair.Local == c.Current.Local {
				n++
			}
			if pair.Peer == c.Current.Peer {
				n++
			}
			if p.Verified && !p.Broken && !l.Broken && pair != c.Current && pair != w.left[c.Tag] && n < shares {
				best, shares = pair, n
			}
		}
	}
	return best, shares < 3
}

// A flow is what a segment tells of its context: the tag, where there is a Payload Extension Header, or else the ULIDs.
type flow struct {
	tag         string
	local, peer netip.Addr
}

func (f flow) of(c ctl.Context) bool {
	if f.tag != "" {
		return f.tag == c.Tag
	}
	return f.local == c.ULIDLocal && f.peer == c.ULIDPeer
}

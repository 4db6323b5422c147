// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"shim6/daemon/ctl"
)

// switchTime bounds how long a switch may take: the daemon gives up before.
const switchTime = 10 * time.Second

func (e *env) switchPath() *cobra.Command {
	return &cobra.Command{
		Use: "switch TAG LOCAL,PEER", Short: "move payload of a context to another path, when that answers a probe", Args: cobra.ExactArgs(2),
		ValidArgsFunction: e.completePair,
		RunE: func(cmd *cobra.Command, args []string) error {
			tag, err := ctl.ParseTag(args[0])
			if err != nil {
				return err
			}
			pair, err := parsePair(args[1])
			if err != nil {
				return err
			}
			return e.client(func(c *ctl.Client) error { return e.switched(cmd.Context(), c, tag, pair) })
		},
	}
}

// switched asks for the change and waits until it came about, or failed.
func (e *env) switched(ctx context.Context, c *ctl.Client, tag uint64, to ctl.Pair) error {
	ctx, cancel := context.WithTimeout(ctx, switchTime)
	defer cancel()
	s, err := c.Events(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	was, err := c.Context(ctx, tag)
	if err != nil {
		return err
	}
	if err := c.Switch(ctx, tag, to); err != nil || was.Current == to {
		return err
	}
	for {
		ev, err := s.Next()
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, context.DeadlineExceeded):
			return errors.New("the daemon does not tell what became of it")
		case err != nil:
			return err
		case ev.Tag != ctl.FormatTag(tag):
		case ev.Event == ctl.EventPathChanged && ev.To == to.String():
			return nil
		case ev.Event == ctl.EventSwitchFailed && ev.Pair == to.String():
			return &ctl.Error{Message: fmt.Sprintf("payload stays where it is: %s", ev.Why), Hint: "see which paths answer: shim6ctl paths " + ev.Tag}
		}
	}
}

func (e *env) prefer() *cobra.Command {
	return &cobra.Command{
		Use: "prefer TAG [LOCAL,PEER...]", Short: "order the paths of a context, the best first; without paths as configured", Args: cobra.MinimumNArgs(1),
		ValidArgsFunction: e.completePair,
		RunE: func(cmd *cobra.Command, args []string) error {
			tag, err := ctl.ParseTag(args[0])
			if err != nil {
				return err
			}
			var pairs []ctl.Pair
			for _, word := range args[1:] {
				p, err := parsePair(word)
				if err != nil {
					return err
				}
				pairs = append(pairs, p)
			}
			return e.client(func(c *ctl.Client) error { return c.Prefer(cmd.Context(), tag, pairs) })
		},
	}
}

func (e *env) reload() *cobra.Command {
	return &cobra.Command{
		Use: "reload", Short: "have the daemon read its configuration and keys again", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return e.client(func(c *ctl.Client) error {
				r, err := c.Reload(cmd.Context())
				if err != nil {
					return err
				}
				for _, w := range r.Warnings {
					fmt.Fprintf(e.stderr, "shim6ctl: warning: %s\n", printable(w))
				}
				if len(r.Applied)+len(r.Restart) == 0 {
					fmt.Fprintln(e.stdout, "nothing changed")
				}
				for _, key := range r.Applied {
					fmt.Fprintf(e.stdout, "%s applied\n", key)
				}
				for _, key := range r.Restart {
					fmt.Fprintf(e.stdout, "%s waits for a restart of the daemon\n", key)
				}
				return nil
			})
		},
	}
}

// parsePair reads a locator pair: two addresses with a comma between them.
func parsePair(s string) (p ctl.Pair, err error) {
	local, peer, _ := strings.Cut(s, ",")
	if p.Local, err = netip.ParseAddr(local); err == nil {
		p.Peer, err = netip.ParseAddr(peer)
	}
	if err != nil {
		return p, fmt.Errorf("%q is not a locator pair: two addresses such as 2001:db8:a2::1,2001:db8:b1::1", s)
	}
	return p, nil
}

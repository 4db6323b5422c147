// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/spf13/cobra"

	"shim6/daemon/ctl"
)

// errIdle ends the trace of a context that is no more.
var errIdle = errors.New("the context is gone")

// A pick has the flags that pick events.
type pick struct{ tag, peer string }

func (p *pick) flags(e *env, c *cobra.Command) {
	c.Flags().StringVar(&p.tag, "context", "", "only what is about the context with this tag")
	c.Flags().StringVar(&p.peer, "peer", "", "only what is about this peer")
	_ = c.RegisterFlagCompletionFunc("context", e.completeTag)
}

func (p *pick) parse() (f ctl.LogFilter, err error) {
	if p.tag != "" {
		tag, err := ctl.ParseTag(p.tag)
		if err != nil {
			return f, err
		}
		f.Tag = ctl.FormatTag(tag)
	}
	if p.peer != "" {
		if f.Peer, err = netip.ParseAddr(p.peer); err != nil {
			return f, fmt.Errorf("%q is not an address", p.peer)
		}
	}
	return f, nil
}

func (e *env) log() *cobra.Command {
	p := new(pick)
	var since time.Duration
	c := &cobra.Command{
		Use: "log", Short: "print what happened, as far as the daemon remembers", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := p.parse()
			if err != nil {
				return err
			}
			if since > 0 {
				f.Since = e.now().Add(-since)
			}
			get := func(c *ctl.Client, ctx context.Context) ([]ctl.Event, error) { return c.Log(ctx, f) }
			return show(e, cmd.Context(), get, func(list []ctl.Event) {
				for _, ev := range list {
					_ = e.printEvent(ev) // a broken pipe shows with the last one at the latest
				}
			})
		},
	}
	p.flags(e, c)
	c.Flags().DurationVar(&since, "since", 0, "only what happened in the last DURATION, such as 10m")
	return c
}

func (e *env) monitor() *cobra.Command {
	p := new(pick)
	c := &cobra.Command{
		Use: "monitor", Short: "print what happens, as it happens", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := p.parse()
			if err != nil {
				return err
			}
			return e.client(func(c *ctl.Client) error {
				s, err := c.Events(cmd.Context())
				if err != nil {
					return err
				}
				defer s.Close()
				return e.follow(s, f.Picks, func(ctl.Event) error { return nil })
			})
		},
	}
	p.flags(e, c)
	return c
}

func (e *env) trace() *cobra.Command {
	return &cobra.Command{
		Use: "trace TAG|PEER", Short: "print the whole life of a context, or of those with a peer, and go on as it happens", Args: cobra.ExactArgs(1),
		ValidArgsFunction: e.completeTag,
		RunE: func(cmd *cobra.Command, args []string) error {
			var f ctl.LogFilter
			if peer, err := netip.ParseAddr(args[0]); err == nil {
				f.Peer = peer
			} else if f, err = (&pick{tag: args[0]}).parse(); err != nil {
				return fmt.Errorf("%q is neither an address nor a context tag", args[0])
			}
			return e.client(func(c *ctl.Client) error { return e.traced(cmd.Context(), c, f) })
		},
	}
}

// traced prints what is remembered and then what comes. The stream is opened first, so that nothing is missed between the two;
// what is in both is printed once.
func (e *env) traced(ctx context.Context, c *ctl.Client, f ctl.LogFilter) error {
	s, err := c.Events(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	past, err := c.Log(ctx, f)
	if err != nil {
		return err
	}
	ends := func(ev ctl.Event) error {
		if f.Tag != "" && ev.Event == ctl.EventStateChanged && ev.To == "IDLE" {
			return errIdle
		}
		return nil
	}
	seen := make(map[string]bool, len(past))
	for _, ev := range past {
		if err := e.print(ev); err != nil || ends(ev) != nil {
			return err
		}
		seen[line(ev)] = true
	}
	picks := func(ev ctl.Event) bool { return f.Picks(ev) && !seen[line(ev)] }
	if err := e.follow(s, picks, ends); !errors.Is(err, errIdle) {
		return err
	}
	return nil
}

// line writes an event so that it can be compared.
func line(ev ctl.Event) string {
	b, _ := json.Marshal(ev) // an Event has no value that JSON lacks
	return string(b)
}

// follow prints the events of a stream that are picked, until each gives an error.
func (e *env) follow(s *ctl.Stream, picks func(ctl.Event) bool, each func(ctl.Event) error) error {
	for {
		ev, err := s.Next()
		switch {
		case errors.Is(err, io.EOF):
			return errors.New("the daemon ended the event stream")
		case err != nil:
			return err
		case !picks(ev) && ev.Event != ctl.EventOverflow:
			continue
		}
		if err := e.print(ev); err != nil {
			return err
		}
		if err := each(ev); err != nil {
			return err
		}
	}
}

// print prints an event as one line of JSON or as text.
func (e *env) print(ev ctl.Event) error {
	if !e.json {
		return e.printEvent(ev)
	}
	enc := json.NewEncoder(e.stdout)
	enc.SetEscapeHTML(false)
	return enc.Encode(ev)
}

// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"shim6/daemon/ctl"
)

// verbs are the commands that act.
func (e *env) verbs() []*cobra.Command {
	return []*cobra.Command{
		e.onTag("delete TAG", "drop a context", (*ctl.Client).Delete),
		e.onTag("probe TAG", "make a context explore its paths now", (*ctl.Client).Probe),
		e.switchPath(),
		e.prefer(),
		{
			Use: "set TAG|all NAME=VALUE...", Short: "change timeouts of a context, or of all: send-timeout=3s teardown=5m", Args: cobra.MinimumNArgs(2),
			ValidArgsFunction: e.completeTag,
			RunE: func(cmd *cobra.Command, args []string) error {
				t, err := timeouts(args[1:])
				if err != nil {
					return err
				}
				if args[0] == "all" {
					return e.client(func(c *ctl.Client) error { return e.setAll(cmd.Context(), c, t) })
				}
				tag, err := ctl.ParseTag(args[0])
				if err != nil {
					return err
				}
				return e.client(func(c *ctl.Client) error { return c.Set(cmd.Context(), tag, t) })
			},
		},
		{
			Use: "fork TAG [NAME=VALUE...]", Short: "begin another context for the same ULIDs: local=ADDR peer=ADDR send-timeout=3s",
			Args: cobra.MinimumNArgs(1), ValidArgsFunction: e.completeTag,
			RunE: func(cmd *cobra.Command, args []string) error {
				tag, err := ctl.ParseTag(args[0])
				if err != nil {
					return err
				}
				f, err := fork(args[1:])
				if err != nil {
					return err
				}
				return e.client(func(c *ctl.Client) error {
					forked, err := c.Fork(cmd.Context(), tag, f)
					if err == nil {
						fmt.Fprintf(e.stdout, "%s, forked instance %d\n", forked.Tag, forked.FII)
					}
					return err
				})
			},
		},
		{
			Use: "use HEURISTIC[+HEURISTIC...] [HEURISTIC.PARAMETER=NUMBER...]", Short: "choose the heuristics of the network namespace",
			Args: cobra.MinimumNArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				return e.changeHeuristics(cmd.Context(), args[0], args[1:])
			},
		},
		{
			Use: "tune HEURISTIC.PARAMETER=NUMBER...", Short: "set parameters of heuristics in use", Args: cobra.MinimumNArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error { return e.changeHeuristics(cmd.Context(), "", args) },
		},
		e.reload(),
		{
			Use: "flush", Short: "drop every context", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return e.client(func(c *ctl.Client) error {
					n, err := c.Flush(cmd.Context())
					if err == nil {
						fmt.Fprintf(e.stdout, "%d contexts dropped\n", n)
					}
					return err
				})
			},
		},
	}
}

func (e *env) onTag(use, short string, act func(*ctl.Client, context.Context, uint64) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(1), ValidArgsFunction: e.completeTag,
		RunE: func(cmd *cobra.Command, args []string) error {
			tag, err := ctl.ParseTag(args[0])
			if err != nil {
				return err
			}
			return e.client(func(c *ctl.Client) error { return act(c, cmd.Context(), tag) })
		},
	}
}

// setAll changes every context that has a tag. One that is gone meanwhile needs no change.
func (e *env) setAll(ctx context.Context, c *ctl.Client, t ctl.Timeouts) error {
	list, err := c.Contexts(ctx, ctl.Filter{})
	if err != nil {
		return err
	}
	n := 0
	for _, x := range list {
		tag, err := ctl.ParseTag(x.Tag)
		if err != nil {
			continue
		}
		var answer *ctl.Error
		switch err := c.Set(ctx, tag, t); {
		case err == nil:
			n++
		case !errors.As(err, &answer) || answer.Status != http.StatusNotFound:
			return err
		}
	}
	fmt.Fprintf(e.stdout, "%d contexts changed\n", n)
	return nil
}

// changeHeuristics reads parameters such as limit.contexts=100, and sends them with the choice, if any.
func (e *env) changeHeuristics(ctx context.Context, use string, params []string) error {
	change := ctl.HeuristicChange{Use: use, Params: make(map[string]uint64)}
	for _, s := range params {
		name, value, _ := strings.Cut(s, "=")
		heuristic, param, _ := strings.Cut(name, ".")
		n, err := strconv.ParseUint(value, 10, 64)
		if heuristic == "" || param == "" || err != nil {
			return fmt.Errorf("%q is not HEURISTIC.PARAMETER=NUMBER, such as limit.contexts=100", s)
		}
		change.Params[name] = n
	}
	return e.client(func(c *ctl.Client) error { return c.ChangeHeuristics(ctx, change) })
}

// timeouts reads settings such as send-timeout=3s and teardown=5m.
func timeouts(settings []string) (t ctl.Timeouts, err error) {
	for _, s := range settings {
		name, value, _ := strings.Cut(s, "=")
		to, ok := map[string]**int64{"send-timeout": &t.SendTimeoutMS, "teardown": &t.TeardownMS}[name]
		if !ok {
			return t, fmt.Errorf("%q is neither send-timeout=DURATION nor teardown=DURATION", s)
		}
		if *to, err = wholeMilliseconds(value); err != nil {
			return t, err
		}
	}
	return t, nil
}

// fork reads settings such as local=2001:db8::1, peer=2001:db8::2 and send-timeout=3s.
func fork(settings []string) (f ctl.Fork, err error) {
	for _, s := range settings {
		name, value, _ := strings.Cut(s, "=")
		switch name {
		case "local", "peer":
			a, err := netip.ParseAddr(value)
			if err != nil {
				return f, fmt.Errorf("%q is not an address", value)
			}
			*map[string]**netip.Addr{"local": &f.Local, "peer": &f.Peer}[name] = &a
		case "send-timeout":
			if f.SendTimeoutMS, err = wholeMilliseconds(value); err != nil {
				return f, err
			}
		default:
			return f, fmt.Errorf("%q is none of local=ADDRESS, peer=ADDRESS and send-timeout=DURATION", s)
		}
	}
	return f, nil
}

func wholeMilliseconds(s string) (*int64, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d%time.Millisecond != 0 {
		return nil, fmt.Errorf("%q is not a duration such as 500ms, 3s or 5m", s)
	}
	return new(d.Milliseconds()), nil
}

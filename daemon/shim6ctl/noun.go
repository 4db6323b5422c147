// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"shim6/daemon/ctl"
)

// nouns are the commands that change nothing.
func (e *env) nouns() []*cobra.Command {
	list := []*cobra.Command{
		{
			Use: "status", Short: "show the daemon and the kernel module's settings", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return show(e, cmd.Context(), (*ctl.Client).Status, e.printStatus)
			},
		},
		{
			Use: "contexts [TAG]", Short: "list the contexts, or show one in full", Args: cobra.MaximumNArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				if len(args) == 0 {
					return show(e, cmd.Context(), (*ctl.Client).Contexts, e.printContexts)
				}
				tag, err := ctl.ParseTag(args[0])
				if err != nil {
					return err
				}
				get := func(c *ctl.Client, ctx context.Context) (ctl.Context, error) { return c.Context(ctx, tag) }
				return show(e, cmd.Context(), get, e.printContext)
			},
		},
		{
			Use: "locators", Short: "list the local locators", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return show(e, cmd.Context(), (*ctl.Client).Locators, e.printLocators)
			},
		},
		{
			Use: "heuristics", Short: "show which heuristics choose the flows that get a context", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return show(e, cmd.Context(), (*ctl.Client).Heuristics, e.printHeuristics)
			},
		},
		{
			Use: "stats", Short: "show the counters", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return show(e, cmd.Context(), (*ctl.Client).Stats, e.printStats)
			},
		},
		{
			Use: "monitor", Short: "print what happens, as it happens", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return e.client(func(c *ctl.Client) error { return e.monitor(cmd.Context(), c) })
			},
		},
	}
	for _, c := range list {
		c.Flags().BoolVar(&e.json, "json", false, "print JSON")
	}
	return list
}

// show asks for a value and prints it as JSON or as text.
func show[T any](e *env, ctx context.Context, get func(*ctl.Client, context.Context) (T, error), print func(T)) error {
	return e.client(func(c *ctl.Client) error {
		v, err := get(c, ctx)
		if err != nil {
			return err
		}
		if e.json {
			return e.printJSON(v)
		}
		print(v)
		return nil
	})
}

func (e *env) monitor(ctx context.Context, c *ctl.Client) error {
	s, err := c.Events(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	enc := json.NewEncoder(e.stdout)
	enc.SetEscapeHTML(false)
	for {
		ev, err := s.Next()
		switch {
		case errors.Is(err, io.EOF):
			return errors.New("the daemon ended the event stream")
		case err != nil:
			return err
		}
		if e.json {
			err = enc.Encode(ev)
		} else {
			err = e.printEvent(ev)
		}
		if err != nil {
			return err
		}
	}
}

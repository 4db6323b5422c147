// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"net/netip"

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
		e.contexts(),
		{
			Use: "context TAG", Short: "show one context in full", Args: cobra.ExactArgs(1), ValidArgsFunction: e.completeTag,
			RunE: func(cmd *cobra.Command, args []string) error { return e.showContext(cmd.Context(), args[0]) },
		},
		e.paths(),
		{
			Use: "flows", Short: "list the flows that have no context, and why", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return show(e, cmd.Context(), (*ctl.Client).Flows, e.printFlows)
			},
		},
		{
			Use: "locators [ADDRESS]", Short: "list the local locators, or show one in full", Args: cobra.MaximumNArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				if len(args) == 0 {
					return show(e, cmd.Context(), (*ctl.Client).Locators, e.printLocators)
				}
				addr, err := netip.ParseAddr(args[0])
				if err != nil {
					return fmt.Errorf("%q is not an address", args[0])
				}
				return show(e, cmd.Context(), oneLocator(addr), e.printLocator)
			},
		},
		{
			Use: "heuristics", Short: "show which heuristics choose the flows that get a context", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return show(e, cmd.Context(), (*ctl.Client).Heuristics, e.printHeuristics)
			},
		},
		{
			Use: "devices", Short: "list the network devices, and who cuts up large packets for each", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return show(e, cmd.Context(), (*ctl.Client).Devices, e.printDevices)
			},
		},
		{
			Use: "stats", Short: "show the counters", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				return show(e, cmd.Context(), (*ctl.Client).Stats, e.printStats)
			},
		},
		e.log(),
		e.monitor(),
		e.trace(),
		e.explain(),
		e.doctor(),
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

// A filter has the flags that pick contexts.
type filter struct{ state, reap, local, peer string }

func (f *filter) flags(c *cobra.Command) {
	c.Flags().StringVar(&f.state, "state", "", "only those in this state, such as ESTABLISHED")
	c.Flags().StringVar(&f.reap, "reap", "", "only those in this REAP state, such as Exploring")
	c.Flags().StringVar(&f.local, "local", "", "only those with a local address in this prefix")
	c.Flags().StringVar(&f.peer, "peer", "", "only those with a peer's address in this prefix")
}

func (f *filter) parse(tag string) (ctl.Filter, error) {
	return ctl.ParseFilter(tag, f.state, f.reap, f.local, f.peer)
}

func (e *env) contexts() *cobra.Command {
	f := new(filter)
	c := &cobra.Command{
		Use: "contexts [TAG]", Short: "list the contexts, or show one in full", Args: cobra.MaximumNArgs(1), ValidArgsFunction: e.completeTag,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				return e.showContext(cmd.Context(), args[0])
			}
			picked, err := f.parse("")
			if err != nil {
				return err
			}
			get := func(c *ctl.Client, ctx context.Context) ([]ctl.Context, error) { return c.Contexts(ctx, picked) }
			return show(e, cmd.Context(), get, e.printContexts)
		},
	}
	f.flags(c)
	return c
}

func (e *env) showContext(ctx context.Context, word string) error {
	tag, err := ctl.ParseTag(word)
	if err != nil {
		return err
	}
	get := func(c *ctl.Client, ctx context.Context) (ctl.Context, error) { return c.Context(ctx, tag) }
	return show(e, ctx, get, e.printContext)
}

func (e *env) paths() *cobra.Command {
	f := new(filter)
	c := &cobra.Command{
		Use: "paths [TAG]", Short: "list the paths that are used or were probed, with round-trip time and loss", Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: e.completeTag,
		RunE: func(cmd *cobra.Command, args []string) error {
			picked, err := f.parse(append(args, "")[0])
			if err != nil {
				return err
			}
			get := func(c *ctl.Client, ctx context.Context) ([]ctl.ContextPath, error) { return c.Paths(ctx, picked) }
			return show(e, cmd.Context(), get, e.printPaths)
		},
	}
	f.flags(c)
	return c
}

func oneLocator(addr netip.Addr) func(*ctl.Client, context.Context) (ctl.Locator, error) {
	return func(c *ctl.Client, ctx context.Context) (ctl.Locator, error) {
		list, err := c.Locators(ctx)
		for _, l := range list {
			if l.Addr == addr {
				return l, nil
			}
		}
		if err == nil {
			err = &ctl.Error{Message: fmt.Sprintf("%v is no local locator", addr), Hint: "list them: shim6ctl locators"}
		}
		return ctl.Locator{}, err
	}
}

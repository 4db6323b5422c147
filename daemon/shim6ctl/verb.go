// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"shim6/daemon/ctl"
)

// verbs are the commands that act.
func (e *env) verbs() []*cobra.Command {
	return []*cobra.Command{
		e.onTag("delete TAG", "drop a context", (*ctl.Client).Delete),
		e.onTag("probe TAG", "make a context explore its paths now", (*ctl.Client).Probe),
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
		Use: use, Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			tag, err := ctl.ParseTag(args[0])
			if err != nil {
				return err
			}
			return e.client(func(c *ctl.Client) error { return act(c, cmd.Context(), tag) })
		},
	}
}

// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"shim6/daemon/ctl"
)

// completeTime bounds how long a shell waits for the daemon.
const completeTime = time.Second

// completeTag offers the tags of the contexts, each with its peer.
func (e *env) completeTag(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var words []string
	if len(args) == 0 || cmd.Flags().Changed("context") {
		for _, c := range e.known(cmd) {
			words = append(words, cobra.CompletionWithDesc(c.Tag, c.ULIDPeer.String()+" "+c.State))
		}
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

// completePair offers the tags of the contexts, and then the locator pairs of the one that was named.
func (e *env) completePair(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return e.completeTag(cmd, args, word)
	}
	var words []string
	for _, c := range e.known(cmd) {
		if c.Tag != args[0] {
			continue
		}
		for _, l := range c.LocatorsLocal {
			for _, p := range c.LocatorsPeer {
				if p.Verified {
					words = append(words, l.Addr.String()+","+p.Addr.String())
				}
			}
		}
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

// known lists the contexts that have a tag, none where the daemon does not answer.
func (e *env) known(cmd *cobra.Command) []ctl.Context {
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, completeTime)
	defer cancel()
	c := ctl.NewClient(e.socket)
	defer c.Close()
	list, _ := c.Contexts(ctx, ctl.Filter{})
	var tagged []ctl.Context
	for _, c := range list {
		if c.Tag != "" {
			tagged = append(tagged, c)
		}
	}
	return tagged
}

// SPDX-License-Identifier: MIT

package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"shim6/daemon/config"
	"shim6/daemon/doctor"
)

func (e *env) doctor() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use: "doctor", Short: "look for what keeps this host from being protected", Args: cobra.NoArgs,
		Long: `doctor looks at this host itself: module, daemon, configuration, keys, sysctls,
addresses, rules, firewall, clock and MTU. It works without the daemon, and as
root sees more. The exit status is 1 where a check failed.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			e.started = true
			found := doctor.Examine(cmd.Context(), doctor.Host{Config: file, Socket: e.socket, Proc: "/proc"})
			if e.json {
				if err := e.printJSON(found); err != nil {
					return err
				}
			} else {
				e.printFindings(found)
			}
			failed := 0
			for _, f := range found {
				if f.Result == doctor.Fail {
					failed++
				}
			}
			if failed > 0 {
				return fmt.Errorf("%d checks failed", failed)
			}
			return nil
		},
	}
	c.Flags().StringVar(&file, "config", config.DefaultPath, "configuration file of the daemon")
	return c
}

func (e *env) printFindings(list []doctor.Finding) {
	for _, f := range list {
		fmt.Fprintf(e.stdout, "%-7s  %s  %s\n", f.Result, f.Check, f.Code)
		e.wrapped("         ", f.Text)
		if f.Hint != "" {
			e.wrapped("         hint: ", f.Hint)
		}
	}
}

// SPDX-License-Identifier: MIT

// Package usage tells people what is wrong with a command line, the same way in every program that has commands.
package usage

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// Unknown is the Args of a command that has others below it: a word that is none of them may be meant as a similar one.
func Unknown(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2 // as cobra has it where it suggests by itself
	similar := ""
	if names := cmd.SuggestionsFor(args[0]); len(names) > 0 {
		similar = "; did you mean " + strings.Join(names, " or ") + "?"
	}
	return fmt.Errorf("unknown command %q for %q%s", args[0], cmd.CommandPath(), similar)
}

// Hint says how a command is used whose command line is wrong.
func Hint(cmd *cobra.Command) string {
	if !cmd.HasParent() {
		return fmt.Sprintf("%[1]s --help tells the commands, %[1]s COMMAND --help their flags", cmd.Name())
	}
	return fmt.Sprintf("usage: %s; %s --help tells more", cmd.UseLine(), cmd.CommandPath())
}

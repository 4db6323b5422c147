// SPDX-License-Identifier: MIT

package usage

import (
	"bytes"
	"testing"

	"github.com/spf13/cobra"
)

func TestMistakes(t *testing.T) {
	for _, tc := range []struct {
		args        []string
		error, hint string
	}{
		{[]string{"sohw"}, `unknown command "sohw" for "tool"; did you mean show?`, "tool --help tells the commands, tool COMMAND --help their flags"},
		{[]string{"xyz"}, `unknown command "xyz" for "tool"`, "tool --help tells the commands, tool COMMAND --help their flags"},
		{[]string{"show"}, "accepts 1 arg(s), received 0", "usage: tool show TAG [flags]; tool show --help tells more"},
		{[]string{"show", "--no"}, "unknown flag: --no", "usage: tool show TAG [flags]; tool show --help tells more"},
		{[]string{"show", "1"}, "", ""},
	} {
		root := &cobra.Command{Use: "tool", Args: Unknown, RunE: func(*cobra.Command, []string) error { return nil }, SilenceErrors: true, SilenceUsage: true}
		show := &cobra.Command{Use: "show TAG", Args: cobra.ExactArgs(1), RunE: func(*cobra.Command, []string) error { return nil }}
		show.Flags().Bool("json", false, "")
		root.AddCommand(show)
		root.SetArgs(tc.args)
		root.SetErr(new(bytes.Buffer))
		cmd, err := root.ExecuteC()
		if tc.error == "" {
			if err != nil {
				t.Errorf("%v: %v", tc.args, err)
			}
			continue
		}
		if err == nil || err.Error() != tc.error || Hint(cmd) != tc.hint {
			t.Errorf("%v: error %v, hint %q", tc.args, err, Hint(cmd))
		}
	}
}

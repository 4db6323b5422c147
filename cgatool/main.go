// SPDX-License-Identifier: MIT

// Command cgatool makes, verifies and shows the cryptographically generated addresses (RFC 3972) and the parameters and
// keys that prove them. shim6d and cgad use the files it writes; the tool itself needs no daemon and no privileges.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"shim6/internal/advice"
	"shim6/internal/buildinfo"
	"shim6/internal/cga"
	"shim6/internal/usage"
)

const (
	exitOK    = 0
	exitFail  = 1 // it could not be done, or an address does not verify
	exitUsage = 2 // the command line is wrong
)

// A tool is one run of the program.
type tool struct {
	stdout, stderr io.Writer
	json           bool
	started        bool // the command line was understood and a command runs
	ran            *cobra.Command
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	t := &tool{stdout: os.Stdout, stderr: os.Stderr}
	code := t.run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

func (t *tool) run(ctx context.Context, args []string) int {
	var err error
	if isLinShim6(args) {
		err = t.linShim6(ctx, args)
	} else {
		root := t.command()
		root.SetArgs(args)
		t.ran, err = root.ExecuteContextC(ctx)
	}
	return t.finish(err)
}

// command is the command line of the tool.
func (t *tool) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "cgatool",
		Short: "make, verify and show cryptographically generated IPv6 addresses",
		Long: `cgatool makes, verifies and shows cryptographically generated IPv6 addresses
(CGA, RFC 3972) and the parameters and keys that prove them.`,
		Example: `  cgatool generate --new-key --prefix 2001:db8:1:2::/64 --prefix 2001:db8:3:4::/64
  cgatool verify --address 2001:db8:1:2:3c4a:5bf6:ffb4:ca6c --params shim6.pds
  cgatool show --params shim6.pds --json`,
		Version:       buildinfo.Version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          usage.Unknown,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SetOut(t.stderr)
			if err := cmd.Help(); err != nil {
				return err
			}
			return usagef("no command given")
		},
	}
	root.SetOut(t.stdout)
	root.SetErr(t.stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return flagError(err) })
	root.SetVersionTemplate("cgatool {{.Version}}\n")
	root.Flags().Bool("version", false, "print the version")
	root.PersistentFlags().BoolVar(&t.json, "json", false, "print the result as JSON")
	root.AddCommand(t.generateCommand(), t.verifyCommand(), t.showCommand(), t.benchCommand(), t.keygenCommand())
	return root
}

// A usageError is a fault of the command line, not of the files or the machine.
type usageError struct{ error }

func usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// flagError says what is wrong with a flag in words of this tool.
func flagError(err error) error {
	var bad *pflag.InvalidValueError
	if errors.As(err, &bad) {
		return usagef("--%s cannot be %q", bad.GetFlag().Name, bad.GetValue())
	}
	return usageError{err}
}

// A hintedError carries advice for the user.
type hintedError struct {
	error
	hint string
}

func (e hintedError) Unwrap() error { return e.error }

func withHint(err error, hint string) error {
	return hintedError{err, hint}
}

// errReported says that the command failed and has told why itself.
var errReported = errors.New("reported")

// finish prints an error with its hint and gives the exit status.
func (t *tool) finish(err error) int {
	if err == nil {
		return exitOK
	}
	var wrong usageError
	isUsage := errors.As(err, &wrong) || !t.started
	switch {
	case errors.Is(err, errReported):
	case errors.Is(err, context.Canceled):
		t.printError(errors.New("interrupted, nothing was written"))
	default:
		t.printError(err)
		if hint := t.hint(err, isUsage); hint != "" {
			fmt.Fprintf(t.stderr, "hint: %s\n", hint)
		}
	}
	if isUsage {
		return exitUsage
	}
	return exitFail
}

func (t *tool) hint(err error, isUsage bool) string {
	var h hintedError
	var params *cga.ParseError
	switch {
	case errors.As(err, &h):
		return h.hint
	case isUsage && t.ran == nil:
		return "cgatool --help tells the commands that are easier; cgatool(1) has the options of LinShim6"
	case isUsage:
		return usage.Hint(t.ran)
	case errors.As(err, &params), errors.Is(err, cga.ErrMultiPrefix):
		return "a parameter file is what cgatool generate writes to NAME.pds"
	}
	return advice.For(err)
}

func (t *tool) printError(err error) {
	fmt.Fprintf(t.stderr, "cgatool: error: %v\n", err)
}

func (t *tool) printJSON(v any) error {
	e := json.NewEncoder(t.stdout)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// complete sets the values that a shell offers for a flag.
func complete(c *cobra.Command, flag string, values []string) {
	must(c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)))
}

// must stops the program when its own flags are wrong.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// SPDX-License-Identifier: MIT

// Command shim6ctl shows and steers the shim6d of the network namespace through its control socket.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"shim6/daemon/config"
	"shim6/daemon/ctl"
	"shim6/internal/advice"
	"shim6/internal/buildinfo"
	"shim6/internal/usage"
)

const (
	exitOK    = 0
	exitFail  = 1
	exitUsage = 2 // the command line is wrong
)

// An env is what one run of the program has of the world.
type env struct {
	stdout, stderr io.Writer
	now            func() time.Time
	socket         string
	json           bool
	started        bool // the command line was understood and a command runs
	ran            *cobra.Command
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	e := &env{stdout: os.Stdout, stderr: os.Stderr, now: time.Now}
	code := e.run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

func (e *env) run(ctx context.Context, args []string) int {
	root := e.command()
	root.SetArgs(args)
	var err error
	e.ran, err = root.ExecuteContextC(ctx)
	switch {
	case err == nil:
		return exitOK
	case e.started && errors.Is(err, context.Canceled):
		// An interrupt is the way to end monitor.
		return exitOK
	}
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(e.stderr, "shim6ctl: error: %s\n", strings.TrimSuffix(line, "\n"))
	}
	if hint := e.hint(err); hint != "" {
		fmt.Fprintf(e.stderr, "hint: %s\n", hint)
	}
	if e.started {
		return exitFail
	}
	return exitUsage
}

func (e *env) hint(err error) string {
	var answer *ctl.Error
	switch {
	case !e.started:
		return usage.Hint(e.ran)
	case errors.Is(err, ctl.ErrNotRunning):
		return "start it: systemctl start shim6d; or name its control socket: --socket PATH; shim6ctl doctor looks for what is wrong"
	case errors.As(err, &answer):
		return answer.Hint
	}
	return advice.For(err)
}

func (e *env) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "shim6ctl",
		Short: "show and steer shim6d",
		Long: `shim6ctl shows and steers the shim6 daemon of this network namespace.
Nouns show and change nothing; verbs act.`,
		Example: `  shim6ctl status
  shim6ctl explain www.example.org:443
  shim6ctl contexts --state ESTABLISHED --json
  shim6ctl monitor
  shim6ctl switch 1a2b3c4d5e6f 2001:db8:a2::1,2001:db8:b1::1`,
		Version:       buildinfo.Version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          usage.Unknown,
		RunE:          func(*cobra.Command, []string) error { return errors.New("no command given") },
	}
	root.SetOut(e.stdout)
	root.SetErr(e.stderr)
	root.SetVersionTemplate("shim6ctl {{.Version}}\n")
	root.PersistentFlags().StringVar(&e.socket, "socket", config.Default().Socket, "control socket of the daemon")
	root.AddCommand(e.nouns()...)
	root.AddCommand(e.verbs()...)
	root.AddCommand(e.top(), e.bundle())
	root.CompletionOptions.HiddenDefaultCmd = true
	return root
}

// client runs fn with a Client once the command line is known to be right.
func (e *env) client(fn func(*ctl.Client) error) error {
	e.started = true
	c := ctl.NewClient(e.socket)
	defer c.Close()
	return fn(c)
}

func (e *env) printJSON(v any) error {
	enc := json.NewEncoder(e.stdout)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

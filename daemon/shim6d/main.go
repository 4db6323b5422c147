// SPDX-License-Identifier: MIT

// Command shim6d is the Shim6 daemon (RFC 5533 and RFC 5534) of the network namespace that it is started in.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"os/user"
	"syscall"

	"shim6/daemon/config"
	"shim6/daemon/nl"
	"shim6/daemon/run"
	"shim6/internal/advice"
	"shim6/internal/buildinfo"
	"shim6/internal/signer"
	"shim6/internal/socket"
)

const (
	exitOK    = 0
	exitFail  = 1
	exitUsage = 2 // the command line is wrong
)

const usage = `Usage: shim6d [--config FILE] [--signer SOCKET] [--check]

shim6d keeps the contexts of this network namespace: it agrees with peers on the
addresses of both sides, watches the paths and moves flows to one that works.

  --config FILE  read FILE instead of ` + config.DefaultPath + `,
                 which may be missing
  --signer SOCKET
                 have shim6-signer, which listens there, sign, and read no
                 private key
  --check        say what is wrong with the configuration and the keys, or "ok"
  --version      print the version
  --help         print this
`

// An env is what one run of the program has of the world.
type env struct {
	stdout, stderr io.Writer
	reload         <-chan os.Signal
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	e := &env{stdout: os.Stdout, stderr: os.Stderr, reload: reload}
	code := e.run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

func (e *env) run(ctx context.Context, args []string) int {
	flags := flag.NewFlagSet("shim6d", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	file := flags.String("config", "", "")
	signing := flags.String("signer", "", "")
	check := flags.Bool("check", false, "")
	version := flags.Bool("version", false, "")
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(e.stdout, usage)
		return exitOK
	case err == nil && flags.NArg() > 0:
		err = fmt.Errorf("unknown argument %q", flags.Arg(0))
	}
	if err != nil {
		return e.fail(exitUsage, err, "shim6d --help tells the options")
	}
	if *version {
		fmt.Fprintln(e.stdout, "shim6d", buildinfo.Version())
		return exitOK
	}

	c, err := load(*file)
	if err != nil {
		return e.fail(exitFail, err, configHint(err))
	}
	if *check {
		return e.check(c, keysOf(*signing))
	}
	if names := missingCapabilities(); names != "" {
		return e.fail(exitFail, fmt.Errorf("shim6d lacks %s", names), "run it as root")
	}
	if err := serve(ctx, e, *file, c, keysOf(*signing)); err != nil {
		return e.fail(exitFail, err, hint(err))
	}
	return exitOK
}

func load(file string) (*config.Config, error) {
	if file == "" {
		return config.Load(config.DefaultPath, false)
	}
	return config.Load(file, true)
}

// check tells whether every file in the key directory can be used; the configuration was read already.
func (e *env) check(c *config.Config, load loadKeys) int {
	for _, w := range c.Warnings() {
		fmt.Fprintf(e.stderr, "shim6d: warning: %s\n", w)
	}
	if _, err := load(c.Keys); err != nil {
		return e.fail(exitFail, err, keysHint(err))
	}
	fmt.Fprintln(e.stdout, "ok")
	return exitOK
}

// configHint says what to do about a configuration that cannot be read or used.
func configHint(err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return "name a file that exists; without --config it is " + config.DefaultPath + ", which may be missing"
	}
	return cmp.Or(advice.For(err), "shim6.yaml(5) has every key; check a change with: shim6d --check")
}

// keysHint says what to do about keys that cannot be used.
func keysHint(err error) string {
	switch {
	case errors.Is(err, signer.ErrSigner):
		return signer.Hint
	case errors.Is(err, fs.ErrPermission):
		return advice.For(err)
	}
	return "make a key and parameters: cgad init; or on another machine: cgatool generate --help"
}

// hint says what to do about what keeps the daemon from working.
func hint(err error) string {
	var group user.UnknownGroupError
	switch h := nl.Hint(err); {
	case h != "":
		return h
	case errors.Is(err, run.ErrRuns), errors.Is(err, socket.ErrRuns):
		return "one is enough for a network namespace: systemctl status shim6d"
	case errors.As(err, &group):
		return "make the group: groupadd --system NAME; or leave socket_group out of shim6.yaml(5)"
	}
	return cmp.Or(advice.For(err), "shim6ctl doctor looks for what is wrong on this host")
}

// fail prints an error, or each of those that were joined, with a hint.
func (e *env) fail(code int, err error, hint string) int {
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) && fmt.Sprint(joined) == err.Error() {
		for _, one := range joined.Unwrap() {
			fmt.Fprintf(e.stderr, "shim6d: error: %v\n", one)
		}
	} else {
		fmt.Fprintf(e.stderr, "shim6d: error: %v\n", err)
	}
	if hint != "" {
		fmt.Fprintf(e.stderr, "hint: %s\n", hint)
	}
	return code
}

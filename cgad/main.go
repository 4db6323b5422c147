// SPDX-License-Identifier: MIT

// Command cgad gives a host with several providers cryptographically generated addresses (RFC 3972, RFC 5535) in the
// prefixes that routers advertise, and routes the packets of each prefix to a router that advertised it. shim6d uses the
// addresses as locators.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"shim6/cgad/config"
	"shim6/cgad/identity"
	"shim6/cgad/run"
	"shim6/internal/advice"
	"shim6/internal/buildinfo"
	"shim6/internal/signer"
	"shim6/internal/socket"
	"shim6/internal/usage"
)

const (
	exitOK    = 0
	exitFail  = 1 // it could not be done
	exitUsage = 2 // the command line is wrong
)

// A program is one run of cgad.
type program struct {
	stdout, stderr io.Writer
	configPath     string
	check, json    bool
	socket, keys   string
	linShim6       string
	signer         string
	started        bool // the command line was understood
	ran            *cobra.Command
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	p := &program{stdout: os.Stdout, stderr: os.Stderr}
	code := p.run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

func (p *program) run(ctx context.Context, args []string) int {
	root := p.command()
	root.SetArgs(args)
	var err error
	p.ran, err = root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(p.stderr, "cgad: error: %s\n", strings.TrimSuffix(line, "\n"))
	}
	if hint := p.hint(err); hint != "" {
		fmt.Fprintf(p.stderr, "hint: %s\n", hint)
	}
	if !p.started {
		return exitUsage
	}
	return exitFail
}

// A configError is a configuration that is wrong.
type configError struct{ error }

func (e configError) Unwrap() error { return e.error }

func (p *program) hint(err error) string {
	var wrong configError
	advised := advice.For(err)
	switch {
	case !p.started:
		return usage.Hint(p.ran)
	case errors.Is(err, signer.ErrSigner):
		return signer.Hint
	case errors.As(err, &wrong) && errors.Is(err, fs.ErrNotExist):
		return "name a file that exists; without --config it is " + config.DefaultPath + ", which may be missing"
	case errors.As(err, &wrong) && advised == "", errors.Is(err, run.ErrReload):
		return "cgad.yaml(5) has every key; check a change with: cgad --check"
	case errors.Is(err, run.ErrDenied):
		return "only root may ask cgad"
	case errors.Is(err, run.ErrNotRunning):
		return "start it: systemctl start cgad; or name its socket: --socket PATH"
	case errors.Is(err, socket.ErrRuns):
		return "one is enough for a network namespace: systemctl status cgad; or give this one a socket of its own in cgad.yaml(5)"
	case errors.Is(err, syscall.EPERM):
		return "cgad needs root, or CAP_NET_ADMIN and CAP_NET_RAW with access to the key directory"
	case errors.Is(err, identity.ErrBundle):
		return "a bundle is what cgatool generate --bundle FILE writes; --linshim6 FILE takes the files of LinShim6"
	case p.linShim6 != "" && advised == "":
		return "the file is a params.conf or a cgad.conf of LinShim6; cgad(8) tells what is taken"
	}
	return advised
}

// command is the command line.
func (p *program) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "cgad",
		Short: "configure cryptographically generated addresses from Router Advertisements",
		Example: `  cgad --check
  cgad init
  cgad import site.tar
  cgad status --json
  cgad reload`,
		Version:       buildinfo.Version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          usage.Unknown,
		RunE:          p.start(p.daemon),
	}
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.SetVersionTemplate("cgad {{.Version}}\n")
	root.CompletionOptions.HiddenDefaultCmd = true
	root.PersistentFlags().StringVar(&p.configPath, "config", "", "configuration `file` (default "+config.DefaultPath+", which need not exist)")
	const signerUsage = "`path` of the socket of a signer, which has the private keys in place of this program"
	root.Flags().StringVar(&p.signer, "signer", "", signerUsage)
	root.Flags().BoolVar(&p.check, "check", false, "check the configuration and the keys that it names, then exit")

	daemon := &cobra.Command{Use: "run", Short: "run the daemon; what cgad does without a command", Args: cobra.NoArgs, RunE: p.start(p.daemon)}
	daemon.Flags().StringVar(&p.signer, "signer", "", signerUsage)
	daemon.Flags().BoolVar(&p.check, "check", false, "check the configuration and the keys that it names, then exit")

	initialize := &cobra.Command{
		Use:   "init",
		Short: "make a key and its parameters if there are none",
		Long: `Make an RSA key of 2048 bits and CGA parameters with Sec 1 in the key
directory if it has no key. What existing files hold is never changed;
parameters, which are no secret, are made readable for everybody.`,
		Args: cobra.NoArgs,
		RunE: p.start(p.initialize),
	}
	initialize.Flags().StringVar(&p.keys, "keys", "", "key `directory` in place of that of the configuration")

	status := &cobra.Command{Use: "status", Short: "show interfaces, routers, addresses and rules", Args: cobra.NoArgs, RunE: p.start(p.status)}
	status.Flags().BoolVar(&p.json, "json", false, "print JSON")
	status.Flags().StringVar(&p.socket, "socket", "", "`path` of the socket in place of that of the configuration")

	reload := &cobra.Command{Use: "reload", Short: "have the daemon apply what differs in the configuration and the keys", Args: cobra.NoArgs, RunE: p.start(p.reload)}
	reload.Flags().StringVar(&p.socket, "socket", "", "`path` of the socket in place of that of the configuration")

	bundle := &cobra.Command{
		Use:   "import {BUNDLE | --linshim6 FILE}",
		Short: "put a bundle of cgatool, or what LinShim6 had, into the key directory",
		Args: func(cmd *cobra.Command, args []string) error {
			if p.linShim6 != "" {
				return cobra.NoArgs(cmd, args)
			}
			return cobra.ExactArgs(1)(cmd, args)
		},
		RunE: func(_ *cobra.Command, args []string) error {
			p.started = true
			return p.imports(args)
		},
	}
	bundle.Flags().StringVar(&p.linShim6, "linshim6", "", "params.conf or cgad.conf `file` of LinShim6 in place of a bundle")
	bundle.Flags().StringVar(&p.keys, "keys", "", "key `directory` in place of that of the configuration")

	root.AddCommand(daemon, initialize, bundle, status, reload)
	return root
}

// start notes that the command line was understood.
func (p *program) start(f func(context.Context) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		p.started = true
		return f(cmd.Context())
	}
}

// load reads the configuration. A file that was named must exist.
func (p *program) load() (*config.Config, error) {
	path, must := p.configPath, true
	if path == "" {
		path, must = config.DefaultPath, false
	}
	c, err := config.Load(path, must)
	if err != nil {
		return nil, configError{err}
	}
	return c, nil
}

// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"

	systemd "github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sync/errgroup"

	"shim6/cgad/autoconf"
	"shim6/cgad/config"
	"shim6/cgad/identity"
	"shim6/cgad/kernel"
	"shim6/cgad/rasock"
	"shim6/cgad/run"
	"shim6/internal/buildinfo"
	"shim6/internal/cga"
	"shim6/internal/signer"
)

func (p *program) daemon(ctx context.Context) error {
	c, err := p.load()
	if err != nil {
		return err
	}
	if p.check {
		return p.checkOnly(c)
	}
	log := newLog(p.stderr, c.Log)
	socket, err := rasock.Listen()
	if err != nil {
		return err
	}
	defer socket.Close()
	control, err := run.Listen(c.Socket)
	if err != nil {
		return err
	}
	defer control.Close()
	var metrics net.Listener
	if c.Metrics != "" {
		if metrics, err = run.ListenMetrics(c.Metrics); err != nil {
			return err
		}
		defer metrics.Close()
	}
	if err := dropPrivileges(); err != nil {
		return err
	}
	system, err := kernel.New(c.State)
	if err != nil {
		return err
	}
	watchdog, err := systemd.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("watchdog of the service manager", "error", err)
	}
	d := run.New(run.Options{
		Config:     c,
		Load:       p.load,
		Identities: func(c *config.Config) autoconf.Config { return p.identities(c, log) },
		Generate:   p.generate,
		System:     system,
		Socket:     socket,
		Log:        log,
		Watchdog:   watchdog,
		Notify: func(state string) {
			if _, err := systemd.SdNotify(false, state); err != nil {
				log.Warn("notify the service manager", "error", err)
			}
		},
	})
	log.Info("cgad starts", "version", buildinfo.Version())
	// From before the service manager hears that the daemon is ready: a signal that nobody waits for would end it.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	group, ctx := errgroup.WithContext(ctx)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group.Go(func() error { return d.Serve(ctx, control) })
	if metrics != nil {
		group.Go(func() error { return d.ServeMetrics(ctx, metrics) })
	}
	group.Go(func() error {
		reloadOn(ctx, hangups, d)
		return nil
	})
	group.Go(func() error {
		defer cancel()
		return d.Run(ctx)
	})
	return group.Wait()
}

// reloadOn reloads on a signal. What is wrong with the new configuration is logged, and the old one stays.
func reloadOn(ctx context.Context, signals <-chan os.Signal, d *run.Daemon) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-signals:
			_ = d.Reload(ctx) // it logs the error
		}
	}
}

// open reads the key directory, without the private keys where a signer has them.
func (p *program) open(dir string) (*identity.Directory, error) {
	if p.signer == "" {
		return identity.Open(dir)
	}
	return identity.OpenWith(p.askSigner, dir)
}

func (p *program) generate(ctx context.Context, c *config.Config, name string) (*cga.Params, error) {
	if p.signer == "" {
		return identity.Generate(ctx, c, name)
	}
	return identity.GenerateWith(ctx, p.askSigner, c, name)
}

// askSigner asks the signer for the public keys, which are all that cgad needs.
func (p *program) askSigner(dir string) (*cga.Store, error) {
	client := signer.New(p.signer)
	defer client.Close()
	return client.LoadDir(dir)
}

// identities reads the key directory. Files that cannot be used are logged, and the others are used.
func (p *program) identities(c *config.Config, log *slog.Logger) autoconf.Config {
	d, err := p.open(c.Keys)
	if err != nil {
		log.Error("keys", "error", err)
	}
	if err := d.Check(c); err != nil {
		log.Error("keys", "error", err)
	}
	return d.Config(c)
}

// checkOnly tells everything that is wrong with the configuration and the keys that it names.
func (p *program) checkOnly(c *config.Config) error {
	d, err := p.open(c.Keys)
	if err := errors.Join(err, d.Check(c)); err != nil {
		return configError{err}
	}
	fmt.Fprintln(p.stdout, "the configuration is good")
	return nil
}

func (p *program) initialize(ctx context.Context) error {
	dir := p.keys
	if dir == "" {
		c, err := p.load()
		if err != nil {
			return err
		}
		dir = c.Keys
	}
	made, err := identity.Init(ctx, dir)
	for _, file := range made {
		fmt.Fprintf(p.stdout, "made %s\n", file)
	}
	if err == nil && len(made) == 0 {
		fmt.Fprintf(p.stdout, "%s has a key and parameters already\n", dir)
	}
	return err
}

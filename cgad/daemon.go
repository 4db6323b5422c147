// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	systemd "github.com/coreos/go-systemd/v22/daemon"

	"shim6/cgad/autoconf"
	"shim6/cgad/config"
	"shim6/cgad/identity"
	"shim6/cgad/kernel"
	"shim6/cgad/rasock"
	"shim6/cgad/run"
	"shim6/internal/buildinfo"
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
	system, err := kernel.New(c.State)
	if err != nil {
		return errors.Join(err, socket.Close())
	}
	watchdog, err := systemd.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("watchdog of the service manager", "error", err)
	}
	d := run.New(run.Options{
		Config:     c,
		Load:       p.load,
		Identities: func(c *config.Config) autoconf.Config { return identities(c, log) },
		Generate:   identity.Generate,
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
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	served := make(chan error, 1)
	go func() {
		err := d.Serve(ctx, c.Socket)
		if err != nil {
			cancel() // without a status the user is blind
		}
		served <- err
	}()
	go reloadOnHangup(ctx, d)
	err = d.Run(ctx)
	cancel()
	return errors.Join(err, <-served)
}

// reloadOnHangup reloads on SIGHUP. What is wrong with the new configuration is logged, and the old one stays.
func reloadOnHangup(ctx context.Context, d *run.Daemon) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			_ = d.Reload(ctx) // it logs the error
		}
	}
}

// identities reads the key directory. Files that cannot be used are logged, and the others are used.
func identities(c *config.Config, log *slog.Logger) autoconf.Config {
	d, err := identity.Open(c.Keys)
	if err != nil {
		log.Error("keys", "error", err)
	}
	if err := d.Check(c); err != nil {
		log.Error("keys", "error", err)
	}
	return d.Config(c)
}

// newLog writes to w as the configuration says. The service manager adds the time to lines of text.
func newLog(w io.Writer, c config.Log) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		panic(fmt.Sprintf("log level %q passed the check of the configuration", c.Level))
	}
	o := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	o.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// checkOnly tells everything that is wrong with the configuration and the keys that it names.
func (p *program) checkOnly(c *config.Config) error {
	d, err := identity.Open(c.Keys)
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

// SPDX-License-Identifier: MIT

package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sync/errgroup"

	"shim6/daemon/config"
	"shim6/daemon/ctl"
	"shim6/daemon/metrics"
	"shim6/daemon/run"
	"shim6/internal/buildinfo"
)

const (
	// stopGrace is how long control requests in progress may take when the daemon stops.
	stopGrace = 2 * time.Second
	// logGrace is how long the last lines of the log may take.
	logGrace = time.Second
)

// serve opens everything that the daemon needs and works until ctx is done.
func serve(ctx context.Context, e *env, file string, c *config.Config, keys loadKeys) (err error) {
	lines := run.NewLogWriter(e.stderr)
	defer func() { err = errors.Join(err, lines.Close(logGrace)) }()
	log, level, err := run.NewLogger(lines, c.Log)
	if err != nil {
		return err
	}
	namespace, err := run.LockNamespace(filepath.Dir(config.Default().Socket))
	if err != nil {
		return err
	}
	defer namespace.Close()
	state, err := run.Lock(c.StateFile())
	if err != nil {
		return err
	}
	defer state.Close()
	gid, err := groupID(c.SocketGroup)
	if err != nil {
		return fmt.Errorf("socket_group: %w", err)
	}

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w, err := open(ctx, c)
	if err != nil {
		return err
	}
	defer w.close()
	events := new(ctl.Events)
	options := run.Options{
		Config: c, Load: func() (*config.Config, error) { return load(file) }, File: cmp.Or(file, config.DefaultPath), Level: level,
		Version: buildinfo.Version(), Log: log, LogLost: lines.Lost, Events: events, Ports: w.ports(keys),
	}
	if options.Boot, err = boot(); err != nil {
		return err
	}
	switch every, err := systemd.SdWatchdogEnabled(false); {
	case err != nil:
		log.Warn("watchdog of the service manager", "error", err)
	case every > 0:
		options.Alive, options.AliveEvery = func() { notify(systemd.SdNotifyWatchdog) }, every/2
	}
	rand.Read(options.Seed[:])
	loop, err := run.New(options)
	if err != nil {
		return err
	}
	listener, err := ctl.Listen(c.Socket, gid)
	switch {
	case errors.Is(err, fs.ErrPermission) && gid != os.Getgid():
		return fmt.Errorf("control socket: the daemon may not give it to socket_group %s, of which its user is no member: %w", c.SocketGroup, err)
	case err != nil:
		return fmt.Errorf("control socket: %w", err)
	}
	server := ctl.NewServer(loop.Backend(), events, log)
	var port net.Listener
	if c.Metrics != "" {
		if port, err = metrics.Listen(c.Metrics); err != nil {
			return errors.Join(err, listener.Close())
		}
		defer port.Close()
	}

	group, ctx := errgroup.WithContext(ctx)
	if port != nil {
		group.Go(func() error {
			if err := metrics.Serve(ctx, port, loop.Backend(), log); err != nil {
				log.Error("metrics are served no more", "error", err) // contexts matter more
			}
			return nil
		})
	}
	group.Go(func() error { return server.Serve(listener) })
	group.Go(func() error {
		err := loop.Run(ctx)
		stop(server, log)
		return err
	})
	group.Go(func() error {
		select {
		case <-loop.Ready():
		case <-ctx.Done():
			return nil
		}
		for _, w := range c.Warnings() {
			log.Warn(w)
		}
		log.Info("started", "version", options.Version, "socket", c.Socket, "send_timeout", c.SendTimeout.String(),
			"heuristic", c.Heuristic)
		notify(systemd.SdNotifyReady)
		e.follow(ctx, loop)
		notify(systemd.SdNotifyStopping)
		return nil
	})
	if err := group.Wait(); err != nil {
		return err
	}
	log.Info("stopped, contexts stay in the kernel")
	return nil
}

// boot names this boot of the kernel.
func boot() (string, error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("boot ID: %w", err)
	}
	return strings.TrimSpace(string(id)), nil
}

// stop stops the control server. It comes after the loop, which answers the requests.
func stop(s *ctl.Server, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), stopGrace)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		log.Warn("control requests were cut off", "error", err)
	}
}

// follow passes on the signal that asks for a reload, until ctx is done.
func (e *env) follow(ctx context.Context, loop *run.Loop) {
	for {
		select {
		case <-e.reload:
			loop.Reload()
		case <-ctx.Done():
			return
		}
	}
}

// groupID looks up a group by name or number; the empty name is the group of the process.
func groupID(name string) (int, error) {
	if name == "" {
		return os.Getgid(), nil
	}
	if n, err := strconv.ParseUint(name, 10, 31); err == nil {
		return int(n), nil
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(g.Gid)
}

// notify tells the service manager; without one, or when it does not listen, there is nothing to do.
func notify(state string) {
	_, _ = systemd.SdNotify(false, state)
}

// SPDX-License-Identifier: MIT

// Package run is the effects of cgad: one loop that owns the pure autoconf.Autoconf, feeds it what happens and carries out
// what it says. Generation of parameters and reading of sockets have goroutines of their own and never hold the loop up.
package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"time"

	"shim6/cgad/autoconf"
	"shim6/cgad/config"
	"shim6/cgad/ra"
	"shim6/cgad/rasock"
	"shim6/internal/cga"
)

// A System is the network configuration of a host.
type System interface {
	Apply(autoconf.Action) error
	Watch(context.Context) (<-chan autoconf.Event, error)
	Close() error
}

// A Socket receives advertisements and sends solicitations.
type Socket interface {
	Read() (rasock.Message, error) // net.ErrClosed after Close
	Solicit(link int) error
	Close() error
}

// Options are what a Daemon works with.
type Options struct {
	Config     *config.Config
	Load       func() (*config.Config, error) // for a reload
	Identities func(*config.Config) autoconf.Config
	Generate   func(ctx context.Context, c *config.Config, name string) (*cga.Params, error)
	System     System
	Socket     Socket
	Log        *slog.Logger
	Notify     func(state string) // tells the service manager; may be nil
	Watchdog   time.Duration      // how often the service manager wants to hear of us; zero for never
}

// advertisementsMax is how many advertisements wait for the loop. More stay in the kernel's buffer, and when that is full
// it drops them.
const advertisementsMax = 64

// A Daemon is a running cgad.
type Daemon struct {
	Options
	auto      *autoconf.Autoconf
	events    <-chan autoconf.Event
	adverts   chan autoconf.Advertised
	generated chan autoconf.Generated
	reloads   chan chan error
	statuses  chan chan Status
	started   time.Time
	invalid   atomic.Uint64 // advertisements that never reached the loop
	received  atomic.Uint64
	reported  map[autoconf.Kind]uint64
	refused   uint64 // actions, by the kernel
}

// New gives a Daemon that does nothing yet.
func New(o Options) *Daemon {
	return &Daemon{
		Options:   o,
		adverts:   make(chan autoconf.Advertised, advertisementsMax),
		generated: make(chan autoconf.Generated),
		reloads:   make(chan chan error),
		statuses:  make(chan chan Status),
		reported:  make(map[autoconf.Kind]uint64),
	}
}

// Run works until ctx is done, then takes back what is to be taken back. Errors of single actions are logged and do not
// end it.
func (d *Daemon) Run(ctx context.Context) error {
	d.started = time.Now()
	d.auto = autoconf.New(d.Identities(d.Config), rand.Uint64())
	watchCtx, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	var err error
	if d.events, err = d.System.Watch(watchCtx); err != nil {
		return errors.Join(err, d.System.Close())
	}
	failed := make(chan error, 1)
	go func() { failed <- d.receive(watchCtx) }()
	d.notify("READY=1")
	err = d.loop(ctx, failed)
	d.notify("STOPPING=1")
	stopWatching()
	d.handle(ctx, autoconf.Stopped{Addresses: d.Config.OnStop == config.RemoveAddresses})
	return errors.Join(err, d.System.Close())
}

func (d *Daemon) notify(state string) {
	if d.Notify != nil {
		d.Notify(state)
	}
}

// loop is the only goroutine that touches d.auto and d.Config while it runs.
func (d *Daemon) loop(ctx context.Context, failed <-chan error) error {
	alarm := time.NewTimer(0)
	defer alarm.Stop()
	var watchdog <-chan time.Time
	if d.Watchdog > 0 {
		t := time.NewTicker(d.Watchdog / 2)
		defer t.Stop()
		watchdog = t.C
	}
	for {
		var ev autoconf.Event = autoconf.Tick{}
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			if ctx.Err() != nil {
				return nil
			}
			return err
		case e, ok := <-d.events:
			if !ok {
				return nil // only when ctx is done
			}
			ev = e
		case adv := <-d.adverts:
			ev = adv
		case g := <-d.generated:
			ev = g
		case <-alarm.C:
		case reply := <-d.reloads:
			reply <- d.reload(ctx)
		case reply := <-d.statuses:
			reply <- d.status()
		case <-watchdog:
			d.notify("WATCHDOG=1")
		}
		d.handle(ctx, ev)
		alarm.Reset(d.wait())
	}
}

// idle is how long the loop sleeps when nothing is due.
const idle = time.Hour

func (d *Daemon) wait() time.Duration {
	deadline := d.auto.Deadline()
	if deadline.IsZero() {
		return idle
	}
	return min(max(time.Until(deadline), 0), idle)
}

// receive reads advertisements. It returns when the socket breaks, or nil when ctx is done.
func (d *Daemon) receive(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { d.Socket.Close() })
	defer stop()
	for {
		m, err := d.Socket.Read()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("receive advertisements: %w", err)
		case err != nil:
			// One message that cannot be read is no reason to stop.
			d.Log.Warn("receive advertisements", "error", err)
			time.Sleep(readPause)
			continue
		}
		d.received.Add(1)
		adv, err := ra.Parse(m.Octets, m.Meta)
		if err != nil {
			d.invalid.Add(1)
			d.Log.Debug("advertisement discarded", "link", m.Link, "router", m.Source, "reason", err)
			continue
		}
		select {
		case d.adverts <- autoconf.Advertised{Link: m.Link, Router: m.Source, RA: adv}:
		case <-ctx.Done():
			return nil
		}
	}
}

// readPause keeps a socket that fails again and again from taking the whole processor.
const readPause = 100 * time.Millisecond

// reload reads the configuration and the keys again. A configuration that is wrong changes nothing.
func (d *Daemon) reload(ctx context.Context) error {
	d.notify(reloading())
	defer d.notify("READY=1")
	c, err := d.Load()
	if err != nil {
		d.Log.Error("reload", "error", err)
		return err
	}
	d.Config = c
	d.handle(ctx, autoconf.Reconfigured{Config: d.Identities(c)})
	d.Log.Info("configuration reloaded")
	return nil
}

// Reload applies the differences of the configuration as it is now.
func (d *Daemon) Reload(ctx context.Context) error {
	reply := make(chan error, 1)
	select {
	case d.reloads <- reply:
	case <-ctx.Done():
		return ctx.Err()
	}
	return <-reply
}

// SPDX-License-Identifier: MIT

package run

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sys/unix"

	"shim6/cgad/autoconf"
	"shim6/cgad/config"
)

// handle feeds one event, carries out the actions, and feeds what comes of them.
func (d *Daemon) handle(ctx context.Context, ev autoconf.Event) {
	for queue := []autoconf.Event{ev}; len(queue) > 0; queue = queue[1:] {
		for _, action := range d.auto.Handle(time.Now(), queue[0]) {
			if answer := d.apply(ctx, action); answer != nil {
				queue = append(queue, answer)
			}
		}
	}
}

// apply carries out one action. It gives the event that answers it, if one does.
func (d *Daemon) apply(ctx context.Context, action autoconf.Action) autoconf.Event {
	switch x := action.(type) {
	case autoconf.Solicit:
		if err := d.Socket.Solicit(x.Link); err != nil {
			d.Log.Debug("solicit", "error", err)
		}
	case autoconf.Generate:
		go d.generate(ctx, d.Config, x.Name)
	case autoconf.Report:
		d.report(x)
	case autoconf.AddAddress:
		if err := d.System.Apply(x); err != nil {
			d.refused++
			return autoconf.AddressRefused{Link: x.Link, Addr: x.Addr, Detail: err.Error()}
		}
	default:
		if err := d.System.Apply(x); err != nil {
			d.refused++
			d.Log.Error("not done", "action", fmt.Sprintf("%T", x), "error", err)
		}
	}
	return nil
}

// generate runs beside the loop, with the configuration of the moment when it was asked for.
func (d *Daemon) generate(ctx context.Context, c *config.Config, name string) {
	p, err := d.Generate(ctx, c, name)
	select {
	case d.generated <- autoconf.Generated{Name: name, Params: p, Err: err}:
	case <-ctx.Done():
	}
}

// levels are those of reports that are not for information alone.
var levels = map[autoconf.Kind]slog.Level{
	autoconf.Collision:       slog.LevelWarn,
	autoconf.GivenUp:         slog.LevelError,
	autoconf.ParamsFailed:    slog.LevelError,
	autoconf.AddressRejected: slog.LevelError,
	autoconf.AddressRemoved:  slog.LevelWarn,
	autoconf.PrefixRefused:   slog.LevelWarn,
	autoconf.RouterRefused:   slog.LevelWarn,
	autoconf.RouteRefused:    slog.LevelWarn,
}

func (d *Daemon) report(r autoconf.Report) {
	d.reported[r.Kind]++
	var args []any
	if r.Name != "" {
		args = append(args, "name", r.Name)
	}
	if r.Addr.IsValid() {
		args = append(args, "addr", r.Addr)
	}
	if r.Prefix.IsValid() {
		args = append(args, "prefix", r.Prefix)
	}
	if r.Detail != "" {
		args = append(args, "detail", r.Detail)
	}
	d.Log.Log(context.Background(), levels[r.Kind], string(r.Kind), args...)
}

// reloading is what the service manager wants to hear at the start of a reload.
func reloading() string {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
		return "RELOADING=1"
	}
	return fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", now.Nano()/int64(time.Microsecond))
}

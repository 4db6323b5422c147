// SPDX-License-Identifier: MIT

package main

import (
	"context"

	"shim6/daemon/config"
	"shim6/daemon/nl"
	"shim6/daemon/rawsock"
	"shim6/daemon/run"
	"shim6/internal/cga"
	"shim6/internal/rtnl"
	"shim6/internal/signer"
)

// A world is what the daemon holds open in its network namespace.
type world struct {
	events  *nl.Subscription
	kernel  *nl.Client
	socket  *rawsock.Conn
	errors  *rawsock.ErrorConn
	changes <-chan struct{}
}

// open opens a world until ctx is done or it is closed. The events come first, so that none is missed after the contexts
// were listed.
func open(ctx context.Context, c *config.Config) (_ *world, err error) {
	w := new(world)
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	if w.events, err = nl.Subscribe(); err != nil {
		return nil, err
	}
	if w.kernel, err = nl.Dial(); err != nil {
		return nil, err
	}
	if w.socket, err = rawsock.Listen(); err != nil {
		return nil, err
	}
	if w.errors, err = rawsock.ListenErrors(c.Hints.ICMP); err != nil {
		return nil, err
	}
	if w.changes, err = rtnl.Watch(ctx); err != nil {
		return nil, err
	}
	return w, nil
}

// close closes what is open; what the loop closed before stays so.
func (w *world) close() {
	if w.events != nil {
		_ = w.events.Close()
	}
	if w.kernel != nil {
		_ = w.kernel.Close()
	}
	if w.socket != nil {
		_ = w.socket.Close()
	}
	if w.errors != nil {
		_ = w.errors.Close()
	}
}

// loadKeys reads a key directory. What is usable comes even with an error.
type loadKeys func(dir string) (run.Keys, error)

// keysOf is how keys are loaded: from the directory, or from the signer that listens on a socket.
func keysOf(socket string) loadKeys {
	if socket == "" {
		return func(dir string) (run.Keys, error) { return cga.LoadDir(dir) }
	}
	client := signer.New(socket)
	return func(dir string) (run.Keys, error) { return client.LoadDir(dir) }
}

func (w *world) ports(keys loadKeys) run.Ports {
	return run.Ports{
		Kernel: w.kernel, Events: w.events, Socket: w.socket, Errors: w.errors, Addresses: rtnl.List, Reaches: rtnl.Reaches,
		KeepSources: rtnl.KeepSources,
		Changes:     w.changes,
		Route:       rtnl.RouteTo,
		Sockets:     rtnl.Sources,
		Connections: rtnl.Connections,
		Room:        run.Room,
		LoadKeys:    keys,
	}
}

// SPDX-License-Identifier: MIT

package cases

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"shim6/test/lab/daemon"
	"shim6/test/lab/fault"
	"shim6/test/lab/topo"
	"shim6/test/lab/traffic"
)

var idleConnection = Case{
	Slow:     debugKernels("minutes of sleep have their time"),
	Name:     "idle-connection",
	About:    "a connection that failed over sleeps through many teardown times and goes on where it was; when it is closed the context goes",
	FastTime: true,
	Without:  realTime("a connection sleeps for eight minutes in it"),
	Daemons:  true,
	Limit:    time.Hour,
	Run:      runIdleConnection,
}

const (
	idleTeardown = time.Minute
	idleSleep    = 5 * idleTeardown
	// goneLimit is the teardown time, and two looks of the daemon at what is idle.
	goneLimit = idleTeardown + time.Minute + slack
)

func runIdleConnection(e *Env) error {
	e.TSend, e.teardown = 3*time.Second, idleTeardown
	n, err := topo.Build(e.addresses(), e.RTT)
	if err != nil {
		return err
	}
	defer func() { e.Works("the network goes away", n.Delete()) }()
	cut, err := fault.Install(n.R1)
	if err != nil {
		return err
	}
	p, err := e.startPeers(n, "none")
	if err != nil {
		return err
	}
	defer p.remove()
	near, far, err := traffic.TCP(n.A, n.B, netip.AddrPortFrom(n.A1, 0), netip.AddrPortFrom(n.B1, 5000))
	if err != nil {
		return err
	}
	defer func() { _, _ = near.Close(), far.Close() }()
	if err := errors.Join(passes(near, far, 8<<10), passes(far, near, 8<<10)); err != nil {
		return err
	}
	before, err := p.established()
	if err != nil {
		return err
	}

	if err := cut.Cut(); err != nil {
		return err
	}
	e.Works("the connection outlives its provider", passes(near, far, 1<<10))
	if _, err := p.movesTo(daemon.Pair{Local: n.A2, Peer: n.B1}, 30*time.Second); err != nil {
		return err
	}
	time.Sleep(idleSleep)
	after, err := p.established()
	if !e.Works(fmt.Sprintf("the context is there after %v without a packet", idleSleep), err) {
		return nil
	}
	e.Check("it is the same context, on the path that is left", after.Tag == before.Tag && after.Current.Local == n.A2,
		"%s on %s, was %s", after.Tag, n.Short(after.Current.String()), before.Tag)
	e.Works("what the connection sends then arrives", passes(near, far, 1<<10))
	e.Works("and what its peer sends", passes(far, near, 1<<10))

	if err := errors.Join(near.Close(), far.Close()); err != nil {
		return err
	}
	e.Works("when the connection is closed the context goes from both hosts", within(goneLimit, func() error {
		a, err := p.a.Contexts()
		if err != nil {
			return err
		}
		b, err := p.b.Contexts()
		if err != nil {
			return err
		}
		if len(a)+len(b) > 0 {
			return fmt.Errorf("%d and %d contexts", len(a), len(b))
		}
		return nil
	}))
	return nil
}

// passes sends octets from one end of a connection to the other, which must have them within ten seconds.
func passes(from, to net.Conn, octets int) error {
	b := make([]byte, octets)
	if _, err := from.Write(b); err != nil {
		return err
	}
	if err := to.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	_, err := io.ReadFull(to, b)
	return err
}

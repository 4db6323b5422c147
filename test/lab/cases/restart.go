// SPDX-License-Identifier: MIT

package cases

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"shim6/test/lab/daemon"
)

// restart kills a daemon when it has come as far as ready says, and starts the next one after a while.
func (tr *trial) restart(d *daemon.Daemon, away time.Duration, ready func() error) error {
	if ready != nil {
		if err := ready(); err != nil {
			return fmt.Errorf("before the kill: %w", err)
		}
	}
	d.Kill()
	time.Sleep(away)
	return d.Start()
}

// inState waits until a daemon's only context is in a state.
func (tr *trial) inState(d *daemon.Daemon, state string) error {
	return within(10*time.Second, func() error {
		list, err := d.Contexts()
		if err == nil && (len(list) != 1 || list[0].State != state) {
			err = fmt.Errorf("contexts are %v, not one in %s", list, state)
		}
		return err
	})
}

// failNow begins an ordeal in which the provider in use fails and the other one works, and waits until the stream goes on
// by that one.
func (tr *trial) failNow(name string, limit time.Duration) error {
	c, err := tr.a.Established(tr.net.A1, tr.net.B1, time.Second)
	if err != nil {
		return err
	}
	failing, other := 1, 2
	if c.Current.Local == tr.net.A2 {
		failing, other = 2, 1
	}
	if err := tr.faults[other].Heal(); err != nil {
		return err
	}
	tr.suffer(name, limit)
	if err := tr.faults[failing].Cut(); err != nil {
		return err
	}
	if err := within(limit+5*time.Second, func() error {
		now, err := tr.a.Established(tr.net.A1, tr.net.B1, time.Second)
		if err == nil && (now.Current == c.Current || now.Reap != "Operational") {
			err = fmt.Errorf("path %v, %s", now.Current, now.Reap)
		}
		return err
	}); !tr.e.Works(name+": another path is found", err) {
		return err
	}
	return tr.flows(name, limit+5*time.Second)
}

// peerUses waits until b takes these and no others for a's locators that work.
func (tr *trial) peerUses(want ...netip.Addr) error {
	return within(10*time.Second, func() error {
		b, err := tr.b.Established(tr.net.B1, tr.net.A1, time.Second)
		if err != nil {
			return err
		}
		got := daemon.Usable(b.LocatorsPeer)
		slices.SortFunc(got, netip.Addr.Compare)
		slices.SortFunc(want, netip.Addr.Compare)
		if !slices.Equal(got, want) {
			return fmt.Errorf("b has %v", b.LocatorsPeer)
		}
		return nil
	})
}

// oneContext waits until both hosts have one context, and it is the same, and checks that the kernels have no more either.
func (tr *trial) oneContext(when string) error {
	if _, err := tr.established(); !tr.e.Works(when+": the context is ESTABLISHED on both hosts", err) {
		return err
	}
	for _, d := range []*daemon.Daemon{tr.a, tr.b} {
		list, err := d.Contexts()
		tr.e.Check(when+": there is one context", err == nil && len(list) == 1, "%d %s", len(list), errText(err))
	}
	tr.e.checkStates(tr.net, 2)
	return nil
}

// sameContext is oneContext, and it is that of before, by the tags on both sides.
func (tr *trial) sameContext(when string, before *daemon.Context) error {
	if err := tr.oneContext(when); err != nil {
		return err
	}
	now, err := tr.established()
	if err != nil {
		return err
	}
	tr.e.Check(when+": it is the context of before", now.Tag == before.Tag && now.TagPeer == before.TagPeer,
		"tags %s and %s, before %s and %s", now.Tag, now.TagPeer, before.Tag, before.TagPeer)
	return nil
}

// SPDX-License-Identifier: MIT

package cases

import (
	"errors"
	"net/netip"
	"time"

	"shim6/test/lab/topo"
)

var lostULID = Case{
	Slow:     debugKernels("recovery has its time"),
	Name:     "lost-ulid",
	About:    "a ULID loses its address, its routes, its link or its device under a flow, which goes on between other locators",
	FastTime: true,
	Daemons:  true,
	Limit:    5 * time.Minute,
	Run:      runLostULID,
}

func runLostULID(e *Env) error {
	tr, err := e.newTrial(16*time.Second, "none")
	defer func() { tr.end() }()
	if err != nil {
		return err
	}
	n := tr.net
	ip := func(args ...string) error {
		_, err := n.A.Output("ip", append([]string{"-6"}, args...)...)
		return err
	}
	a1 := netip.PrefixFrom(n.A1, topo.PrefixA1.Bits()).String()
	r1, r2 := topo.PrefixA1.Addr().Next().String(), topo.PrefixA2.Addr().Next().String()
	return tr.steps(
		func() error { return tr.oneContext("before") },
		// First: the hint that a route is lost waits for a while after the path has changed.
		func() error {
			return tr.loseULID("every route goes", func() error {
				return errors.Join(
					ip("route", "del", "default", "table", "101"), ip("route", "del", "default", "dev", "p1"), ip("route", "del", "default", "dev", "p2"))
			})
		},
		func() error {
			return tr.regainULID(func() error {
				return errors.Join(ip("route", "add", "default", "via", r1, "dev", "p1", "table", "101"),
					ip("route", "add", "default", "via", r1, "dev", "p1", "metric", "10"), ip("route", "add", "default", "via", r2, "dev", "p2", "metric", "20"))
			})
		},
		func() error {
			return tr.loseULID("the address is removed", func() error { return ip("address", "del", a1, "dev", "p1") })
		},
		func() error {
			return tr.regainULID(func() error { return ip("address", "add", a1, "dev", "p1", "nodad") })
		},
		func() error {
			return tr.loseULID("the link goes down", func() error { return n.Leave(topo.Site1) })
		},
		func() error { return tr.regainULID(func() error { return n.Return(topo.Site1) }) },
		func() error {
			return tr.loseULID("the device is deleted", func() error { return ip("link", "del", "p1") })
		},
	)
}

// loseULID takes something away that ULID a1 needs, and checks that the stream goes on by provider 2.
func (tr *trial) loseULID(what string, take func() error) error {
	tr.suffer(what, slack)
	if err := take(); err != nil {
		return err
	}
	if err := tr.flows(what, 10*time.Second); err != nil {
		return err
	}
	return tr.path(what, tr.net.A2)
}

// regainULID gives it back, and brings the stream back by having provider 2 fail.
func (tr *trial) regainULID(give func() error) error {
	const what = "it is back"
	if err := give(); err != nil {
		return err
	}
	if err := within(5*time.Second, func() error { return tr.net.Reaches(topo.Site1) }); err != nil {
		return err
	}
	// An address that came back is a source when the peer has acknowledged it.
	if err := tr.peerUses(tr.net.A1, tr.net.A2); !tr.e.Works(what+": the peer knows", err) {
		return err
	}
	time.Sleep(time.Second) // the acknowledgement has its way back
	tr.suffer(what, tr.e.TSend+probeTimeout+slack)
	if err := tr.faults[2].Cut(); err != nil {
		return err
	}
	if err := tr.path(what, tr.net.A1); err != nil {
		return err
	}
	return errors.Join(tr.flows(what, 10*time.Second), tr.faults[2].Heal())
}

// path waits until a's payload leaves from a locator.
func (tr *trial) path(what string, from netip.Addr) error {
	err := within(2*tr.e.TSend+5*time.Second, func() error {
		c, err := tr.a.Established(tr.net.A1, tr.net.B1, time.Second)
		if err != nil {
			return err
		}
		if c.Current.Local != from || c.Reap != "Operational" {
			return errors.New(tr.net.Short(c.Current.String()) + ", " + c.Reap)
		}
		return nil
	})
	tr.e.Works(what+": payload leaves from "+tr.net.Short(from.String()), err)
	return err
}

// SPDX-License-Identifier: MIT

package cases

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"shim6/test/lab/daemon"
	"shim6/test/lab/fault"
	"shim6/test/lab/topo"
)

var locatorUpdate = Case{
	Name:     "locator-update",
	About:    "addresses come, go and change their preference under a flow: the peer is told, however often the answer is lost",
	FastTime: true,
	Daemons:  true,
	Without:  realTime("an update is without an answer for nine minutes in it"),
	Limit:    5 * time.Minute,
	Run:      runLocatorUpdate,
}

func runLocatorUpdate(e *Env) error {
	e.TSend = killSendTimeout
	tr, err := e.newTrial(9*time.Second, "none")
	defer func() { tr.end() }()
	if err != nil {
		return err
	}
	return tr.steps(
		func() error { return tr.oneContext("before") },
		tr.addLocator,
		tr.preferLocator,
		tr.removeLocator,
		tr.useNewLocator,
		tr.loseAcks,
	)
}

// update changes a's addresses with ip and checks that b has these and no others then.
func (tr *trial) update(what string, want []netip.Addr, change func() error) error {
	tr.suffer(what, unnoticed)
	if err := change(); err != nil {
		return err
	}
	err := tr.peerUses(want...)
	tr.e.Works(what+": the peer knows", err)
	return err
}

func (tr *trial) address(verb string, args ...string) error {
	_, err := tr.net.A.Output("ip", append([]string{"address", verb}, args...)...)
	return err
}

func (tr *trial) addLocator() error {
	n := tr.net
	return tr.update("an address comes", []netip.Addr{n.A1, n.A2, n.A5}, func() error { return n.Attach(topo.Site5) })
}

// preferLocator deprecates an address: peers are to use it after all others (RFC 5533 section 5.15.3).
func (tr *trial) preferLocator() error {
	tr.suffer("an address is deprecated", unnoticed)
	if err := tr.address("change", tr.net.A2.String()+"/64", "dev", "p2", "preferred_lft", "0"); err != nil {
		return err
	}
	if err := tr.prefers(tr.net.A2, false); err != nil {
		return err
	}
	tr.suffer("an address is preferred again", unnoticed)
	if err := tr.address("change", tr.net.A2.String()+"/64", "dev", "p2", "preferred_lft", "forever"); err != nil {
		return err
	}
	return tr.prefers(tr.net.A2, true)
}

// prefers waits until b takes an address of a as good as the others, or for worse.
func (tr *trial) prefers(addr netip.Addr, good bool) error {
	err := within(10*time.Second, func() error {
		b, err := tr.b.Established(tr.net.B1, tr.net.A1, time.Second)
		if err != nil {
			return err
		}
		for _, l := range b.LocatorsPeer {
			if l.Addr == addr && (l.Priority == 0) != good {
				return fmt.Errorf("b has %+v", b.LocatorsPeer)
			}
		}
		return nil
	})
	tr.e.Works(fmt.Sprintf("the peer knows whether the address is preferred: %v", good), err)
	return err
}

func (tr *trial) removeLocator() error {
	n := tr.net
	return tr.update("an address goes", []netip.Addr{n.A1, n.A5}, func() error {
		return tr.address("delete", n.A2.String()+"/64", "dev", "p2")
	})
}

// useNewLocator fails the path in use: the one that is left is by the address that came.
func (tr *trial) useNewLocator() error {
	tr.suffer("the path in use fails", tr.e.TSend+slack)
	if err := tr.faults[1].Cut(); err != nil {
		return err
	}
	err := within(10*time.Second, func() error {
		c, err := tr.a.Established(tr.net.A1, tr.net.B1, time.Second)
		if err == nil && (c.Current.Local != tr.net.A5 || c.Reap != "Operational") {
			err = fmt.Errorf("path %v, %s", c.Current, c.Reap)
		}
		return err
	})
	if !tr.e.Works("the new address is used", err) {
		return err
	}
	return tr.flows("by the new address", 10*time.Second)
}

// loseAcks has every acknowledgement lost: the update is sent again a few times and less and less often, the context stays as
// it is, and is told in the end.
func (tr *trial) loseAcks() error {
	n := tr.net
	// RFC 5533 section 10.2: after 4 s, doubled each time up to 120 s. An idle context lives for ten minutes.
	const silence = 8 * time.Minute
	sent := func() (uint64, error) {
		stats, err := tr.a.Stats()
		return stats["engine"]["sent UpdateRequest"], err
	}
	if err := tr.faults[3].Drop(fault.UpdateAck); err != nil {
		return err
	}
	before, err := sent()
	if err != nil {
		return err
	}
	tr.suffer("acknowledgements are lost", unnoticed)
	if err := tr.address("add", n.A2.String()+"/64", "dev", "p2", "nodad"); err != nil {
		return err
	}
	err = tr.peerUses(n.A1, n.A2, n.A5)
	tr.e.Works("the peer hears though its acknowledgement is lost", err)
	if err := tr.t.finish(time.Minute); err != nil {
		return err
	}
	time.Sleep(silence)
	after, err := sent()
	if err != nil {
		return err
	}
	tr.e.Check("an update without an answer is sent again, a few times", after-before >= 5 && after-before <= 10, "%d times in %v",
		after-before, silence)
	time.Sleep(time.Minute)
	rest, err := sent()
	tr.e.Check("and less and less often", err == nil && rest-after <= 1, "%d times in another minute", rest-after)
	for _, d := range []*daemon.Daemon{tr.a, tr.b} {
		list, err := d.Contexts()
		tr.e.Check("the context stays", err == nil && len(list) == 1 && list[0].State == "ESTABLISHED", "%v %s", list, errText(err))
	}
	if err := errors.Join(tr.faults[3].Drop(), tr.faults[1].Heal()); err != nil {
		return err
	}
	return nil
}

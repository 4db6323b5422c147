// SPDX-License-Identifier: MIT

package cases

import (
	"errors"
	"fmt"
	"os"
	"time"

	"shim6/test/lab/daemon"
	"shim6/test/lab/fault"
)

var contextRecovery = Case{
	Name:     "context-recovery",
	About:    "a host forgets its contexts while the peer goes on by them: payload and control messages bring them back",
	FastTime: true,
	Daemons:  true,
	Limit:    5 * time.Minute,
	Run:      runContextRecovery,
}

func runContextRecovery(e *Env) error {
	e.TSend = killSendTimeout
	tr, err := e.newTrial(18*time.Second, "none")
	defer func() { tr.end() }()
	if err != nil {
		return err
	}
	return tr.steps(
		func() error { return tr.oneContext("before") },
		tr.recoverByControl,
		tr.recoverByInitiator,
		func() error { return tr.failNow("provider 1 fails for good", tr.e.TSend+slack) },
		func() error { return tr.recoverByPayload(tr.b, "receiver", slack) },
		// The sender sends to locators that are dead, and the receiver has nothing to send: its Send Timeout finds out.
		func() error { return tr.recoverByPayload(tr.a, "sender", tr.e.TSend+2*slack) },
		func() error { return tr.checkSeen(fault.R1bis, fault.I2bis) },
	)
}

// forget has a host lose every context, in the kernel and on disk, as if it had crashed and come back with its addresses.
func (tr *trial) forget(d *daemon.Daemon) error {
	n := tr.net.A
	if d == tr.b {
		n = tr.net.B
	}
	d.Kill()
	if err := os.Remove(d.StateFile()); err != nil {
		return err
	}
	if _, err := n.Output("ip", "xfrm", "state", "flush"); err != nil {
		return err
	}
	return d.Start()
}

// recoverByControl has b forget a context that sends no tags, for the ULIDs are in use as locators. An Update Request of a
// tells b's tag, and b that it has lost something (RFC 5533 section 7.17).
func (tr *trial) recoverByControl() error {
	before, err := tr.established()
	if err != nil {
		return err
	}
	tr.suffer("b forgets, and gets a control message", unnoticed)
	if err := tr.forget(tr.b); err != nil {
		return err
	}
	list, err := tr.b.Contexts()
	tr.e.Check("b has forgotten", err == nil && len(list) == 0, "%v %s", list, errText(err))
	if _, err := tr.net.A.Output("ip", "address", "delete", tr.net.A2.String()+"/64", "dev", "p2"); err != nil {
		return err
	}
	if err := tr.recovered("by a control message", tr.b, before); err != nil {
		return err
	}
	if _, err := tr.net.A.Output("ip", "address", "add", tr.net.A2.String()+"/64", "dev", "p2", "nodad"); err != nil {
		return err
	}
	err = tr.peerUses(tr.net.A1, tr.net.A2)
	tr.e.Works("the peer hears of a locator after the recovery", err)
	return err
}

// recoverByInitiator has a forget its context and ask for one between the same ULIDs: b has one, and takes the new one
// in its place (RFC 5533 sections 7.13 and 7.15).
func (tr *trial) recoverByInitiator() error {
	before, err := tr.established()
	if err != nil {
		return err
	}
	tr.suffer("a forgets, and initiates", unnoticed)
	if err := tr.forget(tr.a); err != nil {
		return err
	}
	return tr.recovered("by a new exchange", tr.a, before)
}

// recoverByPayload has a host forget a context while the peer sends it payload with its tag, or would if it had some, and
// the ULIDs are dead as locators.
func (tr *trial) recoverByPayload(d *daemon.Daemon, who string, limit time.Duration) error {
	before, err := tr.established()
	if err != nil {
		return err
	}
	what := fmt.Sprintf("the %s forgets, by dead ULIDs", who)
	tr.suffer(what, 0)
	if err := tr.forget(d); err != nil {
		return err
	}
	tr.allow(tr.since() + limit)
	if err := tr.flows(what, 10*time.Second); err != nil {
		return err
	}
	return tr.recovered(what, d, before)
}

// recovered checks that both hosts have the context again: of the host that forgot its tag is new.
func (tr *trial) recovered(what string, forgetful *daemon.Daemon, before *daemon.Context) error {
	err := within(10*time.Second, func() error {
		now, err := tr.a.Established(tr.net.A1, tr.net.B1, time.Second)
		if err != nil {
			return err
		}
		tag, was := now.TagPeer, before.TagPeer
		if forgetful == tr.a {
			tag, was = now.Tag, before.Tag
		}
		if tag == was {
			return errors.New("its tag is still " + tag)
		}
		_, err = tr.established()
		return err
	})
	if !tr.e.Works(what+": the context is there again, with a new tag", err) {
		return err
	}
	return tr.oneContext(what)
}

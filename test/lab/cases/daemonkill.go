// SPDX-License-Identifier: MIT

package cases

import (
	"errors"
	"fmt"
	"time"

	"shim6/test/lab/daemon"
	"shim6/test/lab/fault"
)

var daemonKill = Case{
	Name:     "daemon-kill",
	About:    "shim6d is killed in a handshake, a transfer, an exploration and an update: the next one takes up its contexts",
	FastTime: true,
	Daemons:  true,
	Limit:    5 * time.Minute,
	Run:      runDaemonKill,
}

// killSendTimeout is short, for the case is about what a killed daemon adds to it.
const killSendTimeout = time.Second

func runDaemonKill(e *Env) error {
	e.TSend = killSendTimeout
	tr, err := e.newTrial(26*time.Second, "none")
	defer func() { tr.end() }()
	if err != nil {
		return err
	}
	return tr.steps(
		tr.killInHandshake,
		tr.killInTransfer,
		tr.killWhileRewriting,
		tr.killInExploration,
		tr.killBoth,
		tr.killInUpdate,
	)
}

// killInHandshake kills the initiator while it waits for an R1, the responder when it has answered and the answer is lost,
// and then the initiator.
func (tr *trial) killInHandshake() error {
	tr.suffer("kill in a handshake", unnoticed)
	if err := tr.faults[3].Drop(fault.R1, fault.R2); err != nil {
		return err
	}
	if err := tr.restart(tr.a, 0, func() error {
		if err := tr.inState(tr.a, "I1-SENT"); err != nil {
			return err
		}
		return tr.faults[3].Drop(fault.R2)
	}); err != nil {
		return err
	}
	if err := tr.restart(tr.b, 0, func() error { return tr.inState(tr.b, "ESTABLISHED") }); err != nil {
		return err
	}
	if err := tr.restart(tr.a, 0, func() error { return tr.inState(tr.a, "I2-SENT") }); err != nil {
		return err
	}
	if err := tr.faults[3].Drop(); err != nil {
		return err
	}
	return tr.oneContext("after kills in the handshake")
}

// killInTransfer kills the sender's daemon, has the next one come after a while, and fails the path in use right then.
func (tr *trial) killInTransfer() error {
	tr.suffer("kill in a transfer", unnoticed)
	before, err := tr.established()
	if err != nil {
		return err
	}
	if err := tr.restart(tr.a, 2*time.Second, nil); err != nil {
		return err
	}
	if err := tr.failNow("a failure right after the restart of a", tr.e.TSend+slack); err != nil {
		return err
	}
	return tr.sameContext("after a was killed", before)
}

// killWhileRewriting kills the receiver's daemon while packets are rewritten, and fails the path while nobody watches it.
func (tr *trial) killWhileRewriting() error {
	before, err := tr.established()
	if err != nil {
		return err
	}
	tr.suffer("kill while packets are rewritten", unnoticed)
	if err := tr.restart(tr.b, time.Second, nil); err != nil {
		return err
	}
	if err := tr.failNow("a failure right after the restart of b", tr.e.TSend+slack); err != nil {
		return err
	}
	if err := tr.sameContext("after b was killed", before); err != nil {
		return err
	}
	const away = 1500 * time.Millisecond
	tr.b.Kill()
	started := make(chan error, 1)
	time.AfterFunc(away, func() { started <- tr.b.Start() })
	err = tr.failNow("a failure while b is away", max(tr.e.TSend, away)+slack+time.Second)
	if err := errors.Join(err, <-started); err != nil {
		return err
	}
	return tr.sameContext("after b was away in a failure", before)
}

// killInExploration kills each daemon while it looks for a path and there is none.
func (tr *trial) killInExploration() error {
	for _, d := range []*daemon.Daemon{tr.a, tr.b} {
		before, err := tr.established()
		if err != nil {
			return err
		}
		tr.suffer("kill in an exploration", 0)
		if err := errors.Join(tr.faults[1].Cut(), tr.faults[2].Cut()); err != nil {
			return err
		}
		if err := tr.restart(d, time.Second, func() error {
			return within(5*time.Second, func() error {
				list, err := d.Contexts()
				if err == nil && (len(list) != 1 || list[0].Reap == "Operational") {
					err = fmt.Errorf("contexts are %v", list)
				}
				return err
			})
		}); err != nil {
			return err
		}
		if err := errors.Join(tr.faults[1].Heal(), tr.faults[2].Heal()); err != nil {
			return err
		}
		// Probes that were lost meanwhile made those that follow rarer.
		tr.allow(tr.since() + tr.e.TSend + slack)
		if err := tr.flows("after a kill in an exploration", 10*time.Second); err != nil {
			return err
		}
		if err := tr.sameContext("after a kill in an exploration", before); err != nil {
			return err
		}
	}
	return nil
}

// killBoth kills both daemons at once, and fails the path as soon as both are there again.
func (tr *trial) killBoth() error {
	before, err := tr.established()
	if err != nil {
		return err
	}
	tr.suffer("kill of both", unnoticed)
	tr.a.Kill()
	tr.b.Kill()
	time.Sleep(time.Second)
	if err := errors.Join(tr.a.Start(), tr.b.Start()); err != nil {
		return err
	}
	if err := tr.failNow("a failure right after the restart of both", tr.e.TSend+slack); err != nil {
		return err
	}
	return tr.sameContext("after both were killed", before)
}

// killInUpdate kills the daemon that has told its peer of a change and does not know whether it was heard: the next one
// tells it again.
func (tr *trial) killInUpdate() error {
	before, err := tr.established()
	if err != nil {
		return err
	}
	tr.suffer("kill in an update", unnoticed)
	idle, device := tr.net.A2, "p2"
	if before.Current.Local == tr.net.A2 {
		idle, device = tr.net.A1, "p1"
	}
	if err := tr.faults[3].Drop(fault.UpdateRequest); err != nil {
		return err
	}
	if _, err := tr.net.A.Output("ip", "address", "delete", idle.String()+"/64", "dev", device); err != nil {
		return err
	}
	if err := within(5*time.Second, func() error {
		stats, err := tr.a.Stats()
		if err == nil && stats["engine"]["sent UpdateRequest"] == 0 {
			err = fmt.Errorf("no Update Request was sent: %v", stats["engine"])
		}
		return err
	}); err != nil {
		return err
	}
	tr.a.Kill()
	if err := errors.Join(tr.faults[3].Drop(), tr.a.Start()); err != nil {
		return err
	}
	err = tr.peerUses(before.Current.Local)
	if !tr.e.Works("the peer hears of a locator that went when the daemon was killed", err) {
		return err
	}
	return tr.sameContext("after a kill in an update", before)
}

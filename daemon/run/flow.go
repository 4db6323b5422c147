// SPDX-License-Identifier: MIT

package run

import (
	"context"
	"time"

	"shim6/daemon/ctl"
	"shim6/daemon/engine"
	"shim6/daemon/nl"
	"shim6/daemon/shim6"
)

// flowInterval is how soon a flow to a peer with "trigger: at-once" is seen.
const flowInterval = time.Second

// watchFlows looks for flows that are worth a context whatever the heuristics say, where some are configured to be.
func (l *Loop) watchFlows() {
	l.flowsAt = time.Time{}
	if l.cfg.AnyAtOnce() {
		l.flowsAt = l.now.Add(flowInterval)
	}
}

// takeFlows asks for contexts for them, but for what failed a short while ago.
func (l *Loop) takeFlows() {
	l.watchFlows()
	list, err := l.ports.Kernel.Candidates()
	if err != nil {
		l.kernelError(err, nil)
		return
	}
	var failed map[engine.ULIDPair]bool
	for _, c := range list {
		ulids := engine.ULIDPair{Local: c.ULIDLocal, Peer: c.ULIDPeer}
		if !l.cfg.AtOnce(c.ULIDPeer) {
			continue
		}
		if failed == nil {
			failed = make(map[engine.ULIDPair]bool)
			for _, s := range l.engine.Contexts() {
				failed[s.ULIDs] = true
			}
		}
		if !failed[ulids] {
			l.handle(engine.Trigger{ULIDs: ulids})
		}
	}
}

// Flows lists the flows that have no context, and says why.
func (b backend) Flows(ctx context.Context) ([]ctl.Flow, error) {
	list, err := b.l.ports.Kernel.Candidates()
	if err != nil {
		return nil, err
	}
	flows := make([]ctl.Flow, 0, len(list))
	err = b.l.call(ctx, func() {
		known := make(map[engine.ULIDPair]shim6.State)
		for _, s := range b.l.engine.Contexts() {
			if s.FII == 0 {
				known[s.ULIDs] = s.State
			}
		}
		for _, c := range list {
			flows = append(flows, ctl.Flow{
				ULIDLocal: c.ULIDLocal, ULIDPeer: c.ULIDPeer, Packets: c.Packets, Bytes: c.Bytes, AgeMS: c.Age.Milliseconds(),
				Wanted: c.Asked, Code: b.l.unprotected(c, known),
			})
		}
	})
	return flows, err
}

// unprotected says why a flow has no context.
func (l *Loop) unprotected(c nl.Candidate, known map[engine.ULIDPair]shim6.State) string {
	if code := l.policyCode(c.ULIDPeer); code == ctl.CodePolicyRefuses || code == ctl.CodePolicyNever {
		return code
	}
	state, there := known[engine.ULIDPair{Local: c.ULIDLocal, Peer: c.ULIDPeer}]
	switch {
	case there && state == shim6.StateNoSupport:
		return ctl.CodePeerNoSupport
	case there && state == shim6.StateEFailed:
		return ctl.CodePeerSilent
	case there && state == shim6.StateEstablished:
		return ctl.CodeContextEstablished // since the flow was read
	case there:
		return ctl.CodeExchangeRunning
	case !c.Asked:
		return ctl.CodeFlowBelowThreshold
	case !l.isLocator(c.ULIDLocal):
		return ctl.CodeSourceNotLocator
	case len(known) >= l.cfg.Limits.Contexts:
		return ctl.CodeContextsFull
	}
	return ctl.CodeFlowWanted
}

// SPDX-License-Identifier: MIT

package engine

import (
	"fmt"
	"net/netip"
	"time"

	"shim6/daemon/reap"
)

// A Policy says what is different for peers whose ULID is in a prefix; of several the longest prefix counts.
type Policy struct {
	Prefix      netip.Prefix
	Refuse      bool           // there is no new context, whoever asks for it
	NoTrigger   bool           // there is none unless the peer asks for it
	SendTimeout time.Duration  // of new contexts, zero for that of the Config
	Teardown    time.Duration  // of new contexts, zero for that of the Config
	FailBack    *time.Duration // nil for that of the Config
	Locators    []LocalPolicy  // how local locators are used with these peers, who are not told
}

// A LocalPolicy replaces what is said of the local locators in a prefix; of several the longest prefix counts.
type LocalPolicy struct {
	Prefix                 netip.Prefix
	Priority, Weight, Cost uint8
}

// policy gives the Policy for a peer, the zero Policy where there is none.
func (e *Engine) policy(peer netip.Addr) *Policy {
	best := &Policy{}
	for i := range e.cfg.Policies {
		if p := &e.cfg.Policies[i]; p.Prefix.Contains(peer) && (!best.Prefix.IsValid() || p.Prefix.Bits() > best.Prefix.Bits()) {
			best = p
		}
	}
	return best
}

// timeouts gives those of new contexts with a peer.
func (e *Engine) timeouts(peer netip.Addr) (send, teardown time.Duration) {
	p := e.policy(peer)
	send, teardown = e.cfg.SendTimeout, e.cfg.Teardown
	if p.SendTimeout != 0 {
		send = p.SendTimeout
	}
	if p.Teardown != 0 {
		teardown = p.Teardown
	}
	return send, teardown
}

// failBack gives the time after which payload of a context returns to a preferred pair.
func (e *Engine) failBack(c *context) time.Duration {
	if f := e.policy(c.ULIDs.Peer).FailBack; f != nil {
		return *f
	}
	return e.cfg.FailBack
}

// localCandidate gives what REAP has to know of a local locator in a context.
func (e *Engine) localCandidate(c *context, addr netip.Addr) reap.Candidate {
	p := e.own.Preference(addr)
	l := reap.Candidate{Addr: addr, Priority: p.Priority, Weight: p.Weight, Cost: e.costs[addr]}
	bits := -1
	for _, o := range e.policy(c.ULIDs.Peer).Locators {
		if o.Prefix.Contains(addr) && o.Prefix.Bits() > bits {
			bits = o.Prefix.Bits()
			l.Priority, l.Weight, l.Cost = o.Priority, o.Weight, o.Cost
		}
	}
	return l
}

func (p Policy) validate() error {
	cfg := Config{Seed: [32]byte{1}, SendTimeout: p.SendTimeout, Teardown: p.Teardown}
	if p.FailBack != nil {
		cfg.FailBack = *p.FailBack
	}
	if err := cfg.Validate(); err != nil {
		return fmt.Errorf("policy for %v: %w", p.Prefix, err)
	}
	if !p.Prefix.IsValid() {
		return fmt.Errorf("policy without a prefix")
	}
	return nil
}

// onConfigure takes another configuration, but for the seed. Contexts that exist stay and keep their timeouts: the peers go by
// them. What says how paths are chosen counts for them at once.
func (e *Engine) onConfigure(now time.Time, ev Configure) {
	cfg := ev.Config
	cfg.Seed = e.cfg.Seed
	if err := cfg.Validate(); err != nil {
		e.refuse(ReasonBadConfig, err.Error())
		return
	}
	e.cfg = cfg.withDefaults()
	e.limits.set(e.cfg.Limits)
	for _, c := range e.table.all() {
		if c.reap == nil || !c.State().Alive() {
			continue
		}
		e.setCandidates(now, c)
		if c.inKernel {
			e.program(c) // multipath may be new, or over
		}
	}
}

// onPrefer has REAP order the pairs of a context.
func (e *Engine) onPrefer(now time.Time, c *context, ev PreferPairs) {
	var pairs []reap.Pair
	for _, p := range ev.Pairs {
		pairs = append(pairs, reap.Pair(p))
	}
	e.reapDo(now, c, c.reap.Prefer(now, pairs))
}

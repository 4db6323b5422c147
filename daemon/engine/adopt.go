// SPDX-License-Identifier: MIT

package engine

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"shim6/daemon/reap"
	"shim6/daemon/shim6"
	"shim6/daemon/wire"
)

// Contexts lists the contexts in the order in which they were made.
func (e *Engine) Contexts() []Snapshot {
	var ss []Snapshot
	for _, c := range e.table.all() {
		ss = append(ss, e.snapshot(c))
	}
	return ss
}

// Context tells of the context with a local tag, if there is one.
func (e *Engine) Context(tag wire.ContextTag) (s Snapshot, ok bool) {
	c := e.table.byTag[tag]
	if c == nil {
		return Snapshot{}, false
	}
	return e.snapshot(c), true
}

func (e *Engine) snapshot(c *context) Snapshot {
	s := Snapshot{
		ULIDs: c.ULIDs, FII: c.FII,
		State:   c.State(),
		TagPeer: c.TagPeer, TagLocal: c.TagLocal,
		Current:          c.Exchange,
		LocatorsLocal:    infos(c.Local),
		LocatorsPeer:     infos(c.Peer),
		GenerationLocal:  c.Local.Generation,
		GenerationPeer:   c.Peer.Generation,
		Untold:           c.Untold(),
		PDSPeer:          slices.Clone(c.PDSPeer),
		SendTimeout:      c.sendTimeout,
		Teardown:         c.teardown,
		Ends:             c.ends,
		KeepaliveTimeout: c.keepaliveTimeout(),
		ProbesSent:       c.probesSent,
		ProbesReceived:   c.probesReceived,
		KeepalivesSent:   c.keepalivesSent,
		Since:            c.Since,
	}
	if c.failure != nil {
		s.Retry = c.Deadline()
	}
	proof := e.own.Proof(c.ULIDs.Local)
	s.PDSLocal, s.KeyIDLocal = slices.Clone(proof.PDS), proof.KeyID
	s.KeepaliveInterval = keepaliveInterval(s.KeepaliveTimeout)
	if c.reap != nil {
		s.Reap = c.reap.State()
		s.Current = LocatorPair(c.reap.Current())
		s.Paths = e.paths(c)
		for _, p := range c.reap.Ranking() {
			s.Ranking = append(s.Ranking, LocatorPair(p))
		}
		s.Measures = c.reap.Measures()
		s.ReportsSent, s.ReportsReceived = c.reap.Reports()
	}
	return s
}

func infos(s shim6.LocatorSet) []LocatorInfo {
	is := make([]LocatorInfo, len(s.Locators))
	for i, l := range s.Locators {
		is[i] = LocatorInfo(l)
	}
	return is
}

func set(generation uint32, infos []LocatorInfo) shim6.LocatorSet {
	s := shim6.LocatorSet{Generation: generation}
	for _, i := range infos {
		s.Locators = append(s.Locators, shim6.Locator(i))
	}
	return s
}

// onAdopt takes over a context that the kernel kept while nobody ran this engine.
func (e *Engine) onAdopt(now time.Time, ev AdoptContext) {
	s := ev.Snapshot
	if err := e.adoptable(s); err != nil {
		e.refuse(ReasonBadSnapshot, err.Error())
		return
	}
	k := contextKey{s.ULIDs, s.FII}
	if old := e.table.find(k); old != nil {
		e.table.remove(old) // a failure that is remembered
	}
	e.makeRoom(now)
	c := &context{inKernel: true, path: s.Current, sendTimeout: s.SendTimeout, teardown: s.Teardown}
	if c.teardown == 0 { // saved before contexts had their own
		c.teardown = e.cfg.Teardown
	}
	c.Context = shim6.Restore(e.params(k, s.SendTimeout), shim6.Restored{
		TagLocal: s.TagLocal, TagPeer: s.TagPeer,
		Local: set(s.GenerationLocal, s.LocatorsLocal), Peer: set(s.GenerationPeer, s.LocatorsPeer),
		PDSPeer: slices.Clone(s.PDSPeer), Exchange: s.Current, KeepaliveTimeout: s.KeepaliveTimeout,
		Since:  earlier(s.Since, now), // the clock may have been set back
		Untold: s.Untold,
	})
	if c.home = (*LocatorPair)(&c.ULIDs); s.FII != 0 {
		c.home = new(s.Current)
	}
	c.probesSent, c.probesReceived, c.keepalivesSent = s.ProbesSent, s.ProbesReceived, s.KeepalivesSent
	c.reap = reap.New(e.rng, reap.Pair(s.Current))
	e.table.add(c)
	e.table.index(c)
	e.do(StateChanged{
		ULIDs: c.ULIDs, TagLocal: c.TagLocal, From: shim6.StateIdle, To: shim6.StateEstablished, Why: "adopted",
	})
	e.setCandidates(now, c)
	if len(s.Ranking) > 0 {
		e.onPrefer(now, c, PreferPairs{Pairs: s.Ranking})
	}
	if s.Reap != reap.Operational {
		e.reapDo(now, c, c.reap.Explore(now, "adopted in "+s.Reap.String(), false))
	} else {
		e.reapDo(now, c, c.reap.Sync())
		e.leave(now, c)
	}
	if e.cfg.Multipath {
		e.program(c) // the other paths may not work any more
	}
	if !e.own.Has(c.ULIDs.Local) {
		c.ends = s.Ends
		e.table.schedule(c)
		e.sign(e.own.Keep(shim6.LocalLocator{Addr: c.ULIDs.Local, PDS: s.PDSLocal, KeyID: s.KeyIDLocal}))
	}
	e.inform(now, c, 0)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// adoptable tells why a snapshot cannot be adopted.
func (e *Engine) adoptable(s Snapshot) error {
	old := e.table.find(contextKey{s.ULIDs, s.FII})
	local, peer := set(0, s.LocatorsLocal), set(0, s.LocatorsPeer)
	switch {
	case s.State != shim6.StateEstablished && s.State != shim6.StateI2bisSent:
		return fmt.Errorf("state %v", s.State)
	case !s.TagLocal.Valid() || !s.TagPeer.Valid():
		return errors.New("bad context tag")
	case !shim6.Usable(s.ULIDs.Local) || !shim6.Usable(s.ULIDs.Peer):
		return errors.New("bad ULID")
	case old != nil && old.State().Alive(), e.table.byTag[s.TagLocal] != nil:
		return fmt.Errorf("context %v is there", s.TagLocal)
	case !e.hasRoom():
		return errors.New("too many contexts")
	case len(s.LocatorsLocal) > shim6.MaxLocators || len(s.LocatorsPeer) > shim6.MaxLocators:
		return errors.New("too many locators")
	case s.SendTimeout < MinSendTimeout || s.SendTimeout > MaxSendTimeout,
		s.KeepaliveTimeout < MinSendTimeout || s.KeepaliveTimeout > MaxSendTimeout:
		return errors.New("timeout out of range")
	case s.Teardown != 0 && s.Teardown < MinTeardown:
		return errors.New("teardown time out of range")
	case len(s.PDSPeer) > wire.MaxControl || len(s.PDSLocal) > wire.MaxControl:
		return errors.New("parameters are too long")
	case !local.Has(s.Current.Local) || s.Current.Peer != s.ULIDs.Peer && !peer.HasVerified(s.Current.Peer):
		return errors.New("current pair is not of the locators")
	case !peer.Has(s.ULIDs.Peer):
		return errors.New("ULID is not among the locators")
	}
	for _, l := range append(local.Locators, peer.Locators...) {
		if !shim6.Usable(l.Addr) {
			return fmt.Errorf("bad locator %v", l.Addr)
		}
	}
	return nil
}

// SPDX-License-Identifier: MIT

package run

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"shim6/daemon/engine"
	"shim6/daemon/nl"
	"shim6/daemon/reap"
	"shim6/daemon/shim6"
	"shim6/daemon/wire"
)

// start sets up the kernel module, tells the engine the local locators and takes up the contexts that outlived the daemon
// before this one.
func (l *Loop) start() error {
	if err := l.setModule(); err != nil {
		return err
	}
	if err := l.setHeuristic(); err != nil {
		return err
	}
	l.watchFlows()
	l.refresh()
	if err := l.adopt(); err != nil {
		return err
	}
	l.sources.adopted = true
	l.keepSources(true)
	l.takeAsked()
	return nil
}

// takeAsked makes up for requests for a context that nobody heard: while no daemon ran, or because they were lost.
func (l *Loop) takeAsked() {
	list, err := l.ports.Kernel.Candidates()
	if err != nil {
		l.kernelError(err, nil)
		l.log.Error("candidates of the kernel not read", "error", err)
		return
	}
	for _, c := range list {
		if c.Asked {
			l.handle(engine.Trigger{ULIDs: engine.ULIDPair{Local: c.ULIDLocal, Peer: c.ULIDPeer}})
		}
	}
}

func (l *Loop) setModule() error {
	enabled, gso, rules := true, gsoMode(l.cfg.GSO), []nl.Device{}
	for _, d := range l.cfg.GSODevices {
		rules = append(rules, nl.Device{Name: d.Pattern, GSO: gsoMode(d.GSO)})
	}
	return l.ports.Kernel.SetSettings(nl.Settings{
		Enabled: &enabled, TCPKick: &l.cfg.TCPKick, RTOHint: &l.cfg.Hints.RTO, GSOMode: &gso, GSODevices: rules, MarkMask: &l.cfg.MarkMask,
	})
}

// setHeuristic is apart from setModule, so that its error is about the heuristic.
func (l *Loop) setHeuristic() error {
	err := l.ports.Kernel.SetSettings(nl.Settings{Heuristic: &l.cfg.Heuristic})
	if errors.Is(err, unix.ENOENT) {
		if s, getErr := l.ports.Kernel.Settings(); getErr == nil {
			err = fmt.Errorf("%w; the kernel knows %s", err, strings.Join(s.Heuristics, ", "))
		}
	}
	if err != nil {
		return fmt.Errorf("heuristic %s: %w", l.cfg.Heuristic, err)
	}
	return nil
}

// unsetHeuristic lets go of the heuristic's module, which could not be unloaded otherwise: without a daemon nobody hears
// what a heuristic asks for.
func (l *Loop) unsetHeuristic() {
	none := "none"
	if err := l.ports.Kernel.SetSettings(nl.Settings{Heuristic: &none}); err != nil {
		l.log.Warn("heuristic not unset", "error", err)
	}
}

// adopt hands the kernel's contexts to the engine where what the engine knew of them was saved, and removes the others:
// their peers will find out and establish new ones (RFC 5533 section 7.17).
func (l *Loop) adopt() error {
	saved, err := l.saved.read()
	if err != nil {
		l.log.Warn("saved contexts not read", "error", err)
	}
	list, err := l.ports.Kernel.Contexts()
	if err != nil {
		return err
	}
	for _, k := range list {
		s, why := match(saved[wire.ContextTag(k.TagLocal)], k)
		if why != "" {
			l.removeOrphan(k, why)
			continue
		}
		l.hold(s.TagLocal, &held{ulids: s.ULIDs, inKernel: true})
		l.handle(engine.AdoptContext{Snapshot: s})
	}
	l.dropUnadopted(list)
	if len(list) > 0 {
		l.log.Info("contexts adopted", "adopted", len(l.held), "found", len(list))
	}
	l.changed()
	return nil
}

// match brings a saved context up to date with the kernel's, or says why the two are not the same.
func match(s *engine.Snapshot, k nl.Context) (engine.Snapshot, string) {
	switch {
	case s == nil:
		return engine.Snapshot{}, "it was not saved"
	case s.ULIDs.Local != k.ULIDLocal || s.ULIDs.Peer != k.ULIDPeer || s.FII != k.FII:
		return engine.Snapshot{}, "another one was saved under its tag"
	case uint64(s.TagPeer) != k.TagPeer:
		return engine.Snapshot{}, "the peer's tag is not the saved one"
	case len(k.Paths) == 0:
		return engine.Snapshot{}, "it has no path"
	}
	up := *s
	up.Current = engine.LocatorPair(k.Paths[0])
	up.Reap = reap.State(k.ReapState)
	return up, ""
}

// dropUnadopted removes from the kernel what the engine did not take.
func (l *Loop) dropUnadopted(list []nl.Context) {
	taken := make(map[wire.ContextTag]bool)
	for _, s := range l.engine.Contexts() {
		taken[s.TagLocal] = s.State == shim6.StateEstablished
	}
	for _, k := range list {
		tag := wire.ContextTag(k.TagLocal)
		if l.held[tag] != nil && !taken[tag] {
			l.letGo(tag)
			l.removeOrphan(k, "the engine refused it")
		}
	}
}

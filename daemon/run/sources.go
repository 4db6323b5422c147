// SPDX-License-Identifier: MIT

package run

import (
	"net/netip"
	"slices"

	"shim6/daemon/engine"
	"shim6/daemon/wire"
	"shim6/internal/rtnl"
)

// sources are the local ULIDs of contexts that no interface has any more, or from which no route leads to the peer's ULID any
// more: their sockets still need a route, or nothing they send comes as far as the kernel module.
type sources struct {
	assigned     map[netip.Addr]bool // what interfaces that are up have
	link         int                 // index of one that can carry packets, zero for none
	gone, cutOff []netip.Addr        // what is kept
	lost         map[engine.ULIDPair]bool
	known        bool // what is kept is what there is: a daemon before this one may have left routes
	adopted      bool // the contexts are
	stale        bool // what is kept may not be right any more, because a context came or went
	// contexts of each local ULID, and of each pair: looking at all of them for each that comes would make a crowded host slow
	contexts map[netip.Addr]int
	pairs    map[engine.ULIDPair]int
}

// look takes over which addresses there are.
func (s *sources) look(all, usable []rtnl.Address) {
	s.assigned = make(map[netip.Addr]bool, len(all))
	for _, a := range all {
		if a.Up {
			s.assigned[a.Prefix.Addr()] = true
		}
	}
	s.link = 0
	for _, a := range usable {
		if s.link == 0 || a.Carrier {
			s.link = a.LinkIndex
		}
		if a.Carrier {
			break
		}
	}
}

// hold notes a context that the engine wants in the kernel.
func (l *Loop) hold(tag wire.ContextTag, h *held) {
	s := &l.sources
	if s.contexts == nil {
		s.contexts, s.pairs = make(map[netip.Addr]int), make(map[engine.ULIDPair]int)
	}
	l.held[tag] = h
	s.pairs[h.ulids]++
	if s.contexts[h.ulids.Local]++; s.contexts[h.ulids.Local] == 1 || s.lost[h.ulids] {
		s.stale = true
	}
}

// letGo forgets a context, and returns it where there was one.
func (l *Loop) letGo(tag wire.ContextTag) *held {
	h := l.held[tag]
	if h == nil {
		return nil
	}
	delete(l.held, tag)
	s := &l.sources
	if s.pairs[h.ulids]--; s.pairs[h.ulids] <= 0 {
		delete(s.pairs, h.ulids)
		s.stale = s.stale || s.lost[h.ulids]
	}
	if s.contexts[h.ulids.Local]--; s.contexts[h.ulids.Local] <= 0 {
		delete(s.contexts, h.ulids.Local)
		s.stale = true
	}
	return h
}

// keepSources keeps routes for the ULIDs that need one. After a change of links the kernel may have dropped them.
func (l *Loop) keepSources(linksChanged bool) {
	s := &l.sources
	s.stale = false
	if !s.adopted {
		return
	}
	if linksChanged {
		l.lookUpULIDs()
	}
	var gone, cutOff []netip.Addr
	for ulid := range s.contexts {
		if !s.assigned[ulid] {
			gone = append(gone, ulid)
		}
	}
	for ulids := range s.lost {
		if s.pairs[ulids] > 0 && s.assigned[ulids.Local] {
			cutOff = append(cutOff, ulids.Local)
		}
	}
	gone, cutOff = sorted(gone), sorted(cutOff)
	same := slices.Equal(gone, s.gone) && slices.Equal(cutOff, s.cutOff)
	if s.known && same && (!linksChanged || len(gone)+len(cutOff) == 0) {
		return
	}
	if err := l.ports.KeepSources(gone, cutOff, s.link); err != nil {
		s.known = false
		l.log.Error("routes of ULIDs not kept", "error", err)
		return
	}
	if !same {
		l.log.Info("routes of ULIDs", "gone", gone, "cut_off", cutOff)
	}
	s.gone, s.cutOff, s.known = gone, cutOff, true
}

// lookUpULIDs finds out which ULIDs have no route to those of their peers. A context that came since has had one.
func (l *Loop) lookUpULIDs() {
	s := &l.sources
	s.lost = make(map[engine.ULIDPair]bool)
	seen := make(map[engine.ULIDPair]bool)
	for _, h := range l.held {
		if seen[h.ulids] || !s.assigned[h.ulids.Local] || len(seen) >= routesMost {
			continue
		}
		seen[h.ulids] = true
		ok, err := l.ports.Reaches(h.ulids.Local, h.ulids.Peer)
		if err != nil {
			l.log.Warn("route not looked up", "src", h.ulids.Local, "dst", h.ulids.Peer, "error", err)
		} else if !ok {
			s.lost[h.ulids] = true
		}
	}
}

func sorted(addrs []netip.Addr) []netip.Addr {
	slices.SortFunc(addrs, netip.Addr.Compare)
	return slices.Compact(addrs)
}

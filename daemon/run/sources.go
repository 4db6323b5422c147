// SPDX-License-Identifier: MIT

package run

import (
	"net/netip"
	"slices"

	"shim6/internal/rtnl"
)

// sources are the local ULIDs of contexts that no interface has any more: their sockets still need a route, or nothing they
// send comes as far as the kernel module.
type sources struct {
	assigned map[netip.Addr]bool // what interfaces that are up have
	link     int                 // index of one that can carry packets, zero for none
	kept     []netip.Addr
	known    bool // kept is what there is: a daemon before this one may have left routes
	adopted  bool // the contexts are
	stale    bool // a context came or went
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

// keepSources keeps routes for the ULIDs that need one. After a change of links the kernel may have dropped them.
func (l *Loop) keepSources(linksChanged bool) {
	s := &l.sources
	s.stale = false
	if !s.adopted {
		return
	}
	var gone []netip.Addr
	for _, h := range l.held {
		if !s.assigned[h.ulids.Local] {
			gone = append(gone, h.ulids.Local)
		}
	}
	slices.SortFunc(gone, netip.Addr.Compare)
	gone = slices.Compact(gone)
	same := s.known && slices.Equal(gone, s.kept)
	if same && (!linksChanged || len(gone) == 0) {
		return
	}
	if err := l.ports.KeepSources(gone, s.link); err != nil {
		s.known = false
		l.log.Error("routes of addresses that went not kept", "error", err)
		return
	}
	if !slices.Equal(gone, s.kept) {
		l.log.Info("routes of addresses that went", "addresses", gone)
	}
	s.kept, s.known = gone, true
}

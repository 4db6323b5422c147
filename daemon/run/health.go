// SPDX-License-Identifier: MIT

package run

import (
	"net/netip"
	"time"

	"shim6/daemon/engine"
)

const (
	// routesMost bounds the locator pairs in use whose routes are looked up after a change.
	routesMost = 256
	// peersMost bounds the peers that a locator is tried with before it counts as cut off.
	peersMost = 16
	// firstSettle, mostSettle and settleMemory: a locator that failed a second time within the memory is trusted again when
	// it has been well for the first time, which each failure doubles.
	firstSettle  = 2 * time.Second
	mostSettle   = time.Minute
	settleMemory = 5 * time.Minute
)

// A health is what is known of one local locator.
type health struct {
	well     bool
	failures int       // in a row, none further from the one before than the memory
	failed   time.Time // last
	settled  time.Time // when a locator that is well again is trusted
}

// observe takes what is seen of the locator, and tells whether to trust it. One that comes and goes is not told to peers each
// time (RFC 5533 section 10.2 leaves the rate of updates to the host).
func (h *health) observe(now time.Time, well bool) (trusted bool) {
	switch {
	case h.well && !well:
		if now.Sub(h.failed) > settleMemory {
			h.failures = 0
		}
		h.failures++
		h.failed = now
	case !h.well && well && h.failures > 1:
		h.settled = now.Add(min(firstSettle<<min(h.failures-2, 30), mostSettle))
	}
	h.well = well
	return well && !now.Before(h.settled)
}

// checkHealth tells which local locators do not work (RFC 5534 section 3.2): their interface has no carrier, or nothing that
// they are used for has a route. One that is back after it failed often has to settle, unless it is the only one.
func (l *Loop) checkHealth(carrier map[netip.Addr]bool) (broken map[netip.Addr]bool) {
	broken = make(map[netip.Addr]bool)
	peers, lost := l.lookUpRoutes()
	l.settleAt = time.Time{}
	old := l.health
	l.health = make(map[netip.Addr]*health, len(carrier))
	trusted := 0
	for addr, has := range carrier {
		h, well := old[addr], l.works(addr, has, peers)
		if h == nil {
			h = &health{well: well}
		}
		l.health[addr] = h
		was := h.well
		if h.observe(l.now, well) {
			trusted++
		} else {
			broken[addr] = true
		}
		if was && !h.well {
			l.log.Info("locator lost", "addr", addr, "carrier", has)
		}
		if h.well && l.now.Before(h.settled) && (l.settleAt.IsZero() || h.settled.Before(l.settleAt)) {
			l.settleAt = h.settled
		}
	}
	if trusted == 0 {
		l.settleAt = time.Time{}
		clear(broken)
		for _, h := range l.health {
			h.settled = time.Time{}
		}
	}
	for _, p := range lost {
		l.hints = append(l.hints, engine.Hint{Pair: p, Why: "route lost"})
	}
	return broken
}

// works tells whether a local locator can be used at all.
func (l *Loop) works(addr netip.Addr, carrier bool, peers []netip.Addr) bool {
	carrier = carrier || !l.cfg.Hints.Link
	if len(peers) == 0 {
		return carrier
	}
	for _, p := range peers {
		if ok, err := l.ports.Reaches(addr, p); err != nil {
			l.log.Warn("route not looked up", "src", addr, "dst", p, "error", err)
			return carrier
		} else if ok {
			return true
		}
	}
	return false
}

// lookUpRoutes gives some peers' locators in use, and the pairs in use that had a route before and have none now.
func (l *Loop) lookUpRoutes() (peers []netip.Addr, lost []engine.LocatorPair) {
	if !l.cfg.Hints.Route {
		return nil, nil
	}
	routed := make(map[engine.LocatorPair]bool)
	seen := make(map[netip.Addr]bool)
	for _, s := range l.engine.Contexts() {
		p := s.Current
		if l.held[s.TagLocal] == nil {
			continue
		}
		if !seen[p.Peer] && len(peers) < peersMost {
			seen[p.Peer] = true
			peers = append(peers, p.Peer)
		}
		if _, done := routed[p]; done || len(routed) >= routesMost {
			continue
		}
		ok, err := l.ports.Reaches(p.Local, p.Peer)
		routed[p] = ok || err != nil
		if was, known := l.routed[p]; !routed[p] && (was || !known) {
			lost = append(lost, p)
		}
	}
	l.routed = routed
	return peers, lost
}

// SPDX-License-Identifier: MIT

package autoconf

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"shim6/cgad/ra"
)

// Advertisements per second, and at once, that are looked at: of each known router, and of all unknown ones on a link.
const (
	routerRate    = 10
	routerBurst   = 20
	strangerRate  = 20
	strangerBurst = 40
)

// When a link has too many routers they are solicited, not more often than overfullPause; those that have answered neither
// the last time nor the time before, overfullAnswer ago, make room for others.
const (
	overfullPause  = time.Minute
	overfullAnswer = 10 * time.Second
)

// A router is a router on a link and what it has advertised.
type router struct {
	addr       netip.Addr
	until      time.Time // as a default router; the zero time when it is none
	preference ra.Preference
	heard      time.Time
	rate       bucket
	prefixes   map[netip.Prefix]time.Time // the prefixes it advertised, and until when
	routes     map[netip.Prefix]moreSpecific
}

// A moreSpecific is a route that a router has advertised (RFC 4191 section 2.3).
type moreSpecific struct {
	preference ra.Preference
	until      time.Time
}

// Reasons for which advertisements and parts of them are refused; they are counters too.
const (
	refusedUnmanaged = "the interface is not managed"
	refusedSelf      = "the advertisement is from this host"
	refusedRouter    = "the router is not among those in the configuration"
	refusedRate      = "too many advertisements"
	refusedRouters   = "too many routers"
	refusedOption    = "an option is malformed"
)

func (a *Autoconf) onAdvertised(now time.Time, ev Advertised) {
	l := a.links[ev.Link]
	if l == nil || !l.managed {
		a.counters[refusedUnmanaged]++
		return
	}
	addr := ev.Router.WithZone("")
	if _, own := l.own[addr]; own {
		a.counters[refusedSelf]++
		return
	}
	if !a.config.believes(addr) {
		a.refuse(now, l, RouterRefused, netip.Prefix{}, refusedRouter)
		return
	}
	r := l.routers[addr]
	if r != nil && !r.rate.take(now, routerRate, routerBurst) || r == nil && !l.strangers.take(now, strangerRate, strangerBurst) {
		a.counters[refusedRate]++
		return
	}
	if r == nil {
		if r = a.newRouter(now, l, addr, ev.RA); r == nil {
			return
		}
	}
	r.heard = now
	if len(ev.RA.Ignored) > 0 {
		a.refuse(now, l, PrefixRefused, netip.Prefix{}, refusedOption)
	}
	a.setDefault(r, end(now, ev.RA.RouterLifetime), ev.RA.RouterLifetime, ev.RA.Preference)
	for _, p := range ev.RA.Prefixes {
		a.onPrefix(now, l, r, p)
	}
	for _, route := range ev.RA.Routes {
		a.onRoute(now, l, r, route)
	}
	if r.idle() {
		a.dropRouter(l, r, "has nothing to offer any more")
	} else if !r.until.IsZero() {
		l.heardRouter()
	}
}

// newRouter makes room for a router, or refuses it.
func (a *Autoconf) newRouter(now time.Time, l *link, addr netip.Addr, adv *ra.Advertisement) *router {
	if adv.RouterLifetime == 0 && len(adv.Prefixes) == 0 && len(adv.Routes) == 0 {
		return nil
	}
	if len(l.routers) >= a.config.Limits.Routers && !a.evict(now, l) {
		a.refuse(now, l, RouterRefused, netip.Prefix{}, refusedRouters)
		return nil
	}
	r := &router{addr: addr, prefixes: make(map[netip.Prefix]time.Time), routes: make(map[netip.Prefix]moreSpecific)}
	l.routers[addr] = r
	a.report(l, RouterFound, addr.String())
	return r
}

// evict drops the router that has been silent the longest, if it did not answer two solicitations. A flood of routers that
// do not exist fills the table but once, and not for long; those that exist answer and stay.
func (a *Autoconf) evict(now time.Time, l *link) bool {
	if l.overfull.IsZero() || now.Sub(l.overfull) >= overfullPause {
		l.overfullBefore, l.overfull = l.overfull, now
		if l.canSolicit() {
			a.do(Solicit{l.index})
		}
		return false
	}
	if l.overfullBefore.IsZero() || now.Sub(l.overfull) < overfullAnswer {
		return false
	}
	var oldest *router
	for _, r := range l.routers {
		if !r.heard.Before(l.overfullBefore) {
			continue
		}
		if oldest == nil || r.heard.Before(oldest.heard) || r.heard.Equal(oldest.heard) && r.addr.Less(oldest.addr) {
			oldest = r
		}
	}
	if oldest == nil {
		return false
	}
	a.dropRouter(l, oldest, "did not answer and made room for another")
	return true
}

func (a *Autoconf) setDefault(r *router, until time.Time, lifetime time.Duration, p ra.Preference) {
	if lifetime == 0 {
		until, p = time.Time{}, ra.Medium
	}
	if r.until.IsZero() != until.IsZero() || r.preference != p {
		a.stale = true
	}
	r.until, r.preference = until, p
}

// onRoute handles a Route Information option. RFC 4191 section 3.1: one for ::/0 says what the header said, and wins.
func (a *Autoconf) onRoute(now time.Time, l *link, r *router, route ra.Route) {
	if route.Prefix.Bits() == 0 {
		a.setDefault(r, end(now, route.Lifetime), route.Lifetime, route.Preference)
		return
	}
	if d := route.Prefix.Addr(); d.IsMulticast() || d.IsLinkLocalUnicast() || d.IsLoopback() {
		a.refuse(now, l, RouteRefused, route.Prefix, "a route to multicast, link-local or loopback addresses")
		return
	}
	old, known := r.routes[route.Prefix]
	switch {
	case route.Lifetime == 0:
		delete(r.routes, route.Prefix)
		a.stale = a.stale || known
		return
	case !known && len(r.routes) >= a.config.Limits.Routes:
		a.refuse(now, l, RouteRefused, route.Prefix, "too many routes of one router")
		return
	}
	r.routes[route.Prefix] = moreSpecific{route.Preference, end(now, route.Lifetime)}
	a.stale = a.stale || !known || old.preference != route.Preference
}

// idle reports whether the router offers nothing.
func (r *router) idle() bool {
	return r.until.IsZero() && len(r.prefixes) == 0 && len(r.routes) == 0
}

func (r *router) deadline() time.Time {
	d := r.until
	for _, until := range r.prefixes {
		d = earlier(d, until)
	}
	for _, route := range r.routes {
		d = earlier(d, route.until)
	}
	return d
}

func (a *Autoconf) expireRouter(now time.Time, l *link, r *router) {
	if d := r.deadline(); d.IsZero() || now.Before(d) {
		return
	}
	over := func(until time.Time) bool { return !now.Before(until) }
	if !r.until.IsZero() && over(r.until) {
		r.until, r.preference = time.Time{}, ra.Medium
	}
	maps.DeleteFunc(r.prefixes, func(_ netip.Prefix, until time.Time) bool { return over(until) })
	maps.DeleteFunc(r.routes, func(_ netip.Prefix, s moreSpecific) bool { return over(s.until) })
	if r.idle() {
		a.dropRouter(l, r, "its lifetimes are over")
	}
	a.stale = true
}

// dropRouter forgets a router, and the prefixes that no other router has advertised.
func (a *Autoconf) dropRouter(l *link, r *router, why string) {
	delete(l.routers, r.addr)
	for _, key := range slices.SortedFunc(maps.Keys(r.prefixes), comparePrefixes) {
		if p := l.prefixes[key]; p != nil && !l.advertised(key) {
			a.dropPrefix(l, p, why)
		}
	}
	a.report(l, RouterLost, r.addr.String()+" "+why)
	a.stale = true
}

// advertised reports whether a router of the link has advertised the prefix.
func (l *link) advertised(prefix netip.Prefix) bool {
	for _, r := range l.routers {
		if _, ok := r.prefixes[prefix]; ok {
			return true
		}
	}
	return false
}

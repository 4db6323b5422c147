// SPDX-License-Identifier: MIT

package autoconf

import (
	"maps"
	"net/netip"
	"slices"
	"time"
)

// Times between solicitations: the first waits for less than maxSolicitationDelay (RFC 4861 section 10), the next for
// solicitationInterval, and each that goes unanswered for twice as long up to maxSolicitationInterval. RFC 7559 section 2
// puts this in the place of MAX_RTR_SOLICITATIONS: a host whose first three were lost would wait for ever.
const (
	maxSolicitationDelay    = time.Second
	solicitationInterval    = 4 * time.Second // IRT
	maxSolicitationInterval = time.Hour       // MRT
)

// reportPause keeps a report that advertisements cause from filling the log.
const reportPause = time.Hour

// A link is an interface.
type link struct {
	LinkChanged
	index     int
	managed   bool
	own       map[netip.Addr]bool           // its link-local addresses: usable now
	present   map[netip.Addr]AddressChanged // its other addresses, whoever made them
	routers   map[netip.Addr]*router
	prefixes  map[netip.Prefix]*prefix
	strangers bucket
	overfull  time.Time // when routers were solicited because there were too many
	reported  map[Kind]time.Time

	overfullBefore time.Time // the time before that

	solicited bool // a solicitation was sent since the link came up
	heard     bool // a default router has answered since
	solicit   time.Time
	interval  time.Duration // before the next solicitation; zero before the first
}

func (a *Autoconf) onLinkChanged(now time.Time, ev LinkChanged) {
	l := a.links[ev.Index]
	if l == nil {
		l = &link{
			index:    ev.Index,
			own:      make(map[netip.Addr]bool),
			present:  make(map[netip.Addr]AddressChanged),
			routers:  make(map[netip.Addr]*router),
			prefixes: make(map[netip.Prefix]*prefix),
			reported: make(map[Kind]time.Time),
		}
		a.links[ev.Index] = l
	}
	was := l.LinkChanged
	l.LinkChanged = ev
	began := a.manage(l)
	if ev.Name != was.Name {
		a.reidentify(now, l)
	}
	switch {
	case ev.Up && (began || !was.Up):
		if l.managed && !began {
			a.do(Manage{l.index}) // who brings interfaces up often sets them up too
		}
		a.linkUp(now, l)
	case !ev.Up && was.Up:
		a.linkDown(l)
	}
}

func (a *Autoconf) onLinkGone(ev LinkGone) {
	if l := a.links[ev.Index]; l != nil {
		// Its addresses and routes went with it, and so did its settings.
		delete(a.links, ev.Index)
		if l.managed {
			a.report(l, LinkReleased, "the interface is gone")
		}
		for r := range a.routes {
			if r.Link == ev.Index {
				delete(a.routes, r)
			}
		}
		a.stale = true
	}
}

// manage begins or ends the management of an interface as the configuration says, and reports whether it begins.
func (a *Autoconf) manage(l *link) (began bool) {
	now := l.LinkChanged
	// Forwarding that is turned on later, for containers perhaps, does not take a host's addresses away.
	now.Router = now.Router && !l.managed
	want := a.config.manages(now)
	switch {
	case want && !l.managed:
		l.managed = true
		a.do(Manage{l.index})
		a.report(l, LinkManaged, "")
		return true
	case !want && l.managed:
		l.managed = false
		a.removeAddresses(l)
		clear(l.routers)
		clear(l.prefixes)
		l.solicit = time.Time{}
		a.do(Release{l.index})
		a.report(l, LinkReleased, "")
		a.stale = true
	}
	return false
}

// linkUp looks for routers and takes up the addresses that waited. RFC 4861 section 6.3.7: the first solicitation comes
// after a random delay.
func (a *Autoconf) linkUp(now time.Time, l *link) {
	if !l.managed {
		return
	}
	l.solicited, l.heard, l.interval = false, false, 0
	l.solicit = now.Add(time.Duration(a.random.Int64N(int64(maxSolicitationDelay))))
	for _, p := range l.sortedPrefixes() {
		// It may be another network now: a detection that was given up is worth another try.
		if p.state == Failed {
			a.retry(p)
		}
		a.start(now, l, p)
	}
	a.stale = true
}

// linkDown stops routing over the link. What is left of a duplicate address detection there proves nothing: the kernel lets
// it succeed without a carrier.
func (a *Autoconf) linkDown(l *link) {
	l.solicit = time.Time{}
	for _, p := range l.sortedPrefixes() {
		if p.state == Tentative {
			a.do(DeleteAddress{l.index, p.addr})
			p.state = Waiting
		}
	}
	a.stale = true
}

// solicitNow sends a solicitation that is due. It needs a link-local address that is no longer tentative and waits for one.
func (a *Autoconf) solicitNow(now time.Time, l *link) {
	if l.solicit.IsZero() || now.Before(l.solicit) || !l.canSolicit() {
		return
	}
	a.do(Solicit{l.index})
	l.solicited = true
	l.solicit = time.Time{}
	if !l.heard {
		l.interval = a.nextInterval(l.interval)
		l.solicit = now.Add(l.interval)
	}
}

// askAgain begins to solicit anew: who reconfigured the interface took an address away that only an advertisement brings back,
// and the next one that comes by itself may be half an hour away.
func (a *Autoconf) askAgain(now time.Time, l *link) {
	if l.heard {
		l.heard, l.interval = false, 0
		l.solicit = now.Add(time.Duration(a.random.Int64N(int64(maxSolicitationDelay))))
	}
}

// nextInterval is RT of RFC 7559 section 2, with RAND between -0.1 and 0.1. The first one is not below the interval of RFC
// 4861 section 6.3.7.
func (a *Autoconf) nextInterval(last time.Duration) time.Duration {
	spread := func(d time.Duration) time.Duration {
		return time.Duration((a.random.Float64()*2 - 1) / 10 * float64(d))
	}
	if last == 0 {
		return solicitationInterval + spread(solicitationInterval).Abs()
	}
	if next := 2*last + spread(last); next <= maxSolicitationInterval {
		return next
	}
	return maxSolicitationInterval + spread(maxSolicitationInterval)
}

func (l *link) canSolicit() bool {
	for _, usable := range l.own {
		if usable {
			return true
		}
	}
	return false
}

// heardRouter ends the solicitations, but for the first: RFC 4861 section 6.3.7.
func (l *link) heardRouter() {
	l.heard = true
	if l.solicited {
		l.solicit = time.Time{}
	}
}

func (l *link) deadline() time.Time {
	var d time.Time
	if l.canSolicit() {
		d = l.solicit
	}
	for _, r := range l.routers {
		d = earlier(d, r.deadline())
	}
	for _, p := range l.prefixes {
		d = earlier(d, p.deadline())
	}
	return d
}

func (a *Autoconf) expireLink(now time.Time, l *link) {
	a.solicitNow(now, l)
	for _, addr := range slices.SortedFunc(maps.Keys(l.routers), netip.Addr.Compare) {
		a.expireRouter(now, l, l.routers[addr])
	}
	for _, p := range l.sortedPrefixes() {
		a.expirePrefix(now, l, p)
	}
}

func (l *link) sortedPrefixes() []*prefix {
	return slices.SortedFunc(maps.Values(l.prefixes), func(x, y *prefix) int { return x.prefix.Addr().Compare(y.prefix.Addr()) })
}

func (a *Autoconf) report(l *link, kind Kind, detail string) {
	a.do(Report{Kind: kind, Link: l.index, Name: l.Name, Detail: detail})
}

// refuse counts what was not accepted and reports it now and then.
func (a *Autoconf) refuse(now time.Time, l *link, kind Kind, prefix netip.Prefix, detail string) {
	a.counters[detail]++
	if last, ok := l.reported[kind]; ok && now.Sub(last) < reportPause {
		return
	}
	l.reported[kind] = now
	a.do(Report{Kind: kind, Link: l.index, Name: l.Name, Prefix: prefix, Detail: detail})
}

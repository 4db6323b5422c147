// SPDX-License-Identifier: MIT

package autoconf

import (
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

// An Autoconf is the state of address configuration of one host. It is not for concurrent use.
type Autoconf struct {
	config     Config
	random     *rand.Rand
	links      map[int]*link
	identities map[string]*identity
	tables     map[netip.Prefix]uint32
	routes     map[Route]struct{} // that the host was told to have
	rules      map[Rule]struct{}
	stale      bool // routes and rules are to be looked at again
	stopped    bool
	counters   map[string]uint64
	out        []Action
}

// New gives an Autoconf that knows no interface yet. The seed spreads solicitations in time.
func New(c Config, seed uint64) *Autoconf {
	a := &Autoconf{
		random:     rand.New(rand.NewPCG(seed, 0)),
		links:      make(map[int]*link),
		identities: make(map[string]*identity),
		tables:     make(map[netip.Prefix]uint32),
		routes:     make(map[Route]struct{}),
		rules:      make(map[Rule]struct{}),
		counters:   make(map[string]uint64),
	}
	a.setConfig(c)
	return a
}

// Handle advances the state by one event and gives what is to be done, in order. Equal configurations, seeds and sequences
// of (now, ev) give equal actions.
func (a *Autoconf) Handle(now time.Time, ev Event) []Action {
	a.out = nil
	if a.stopped {
		return nil
	}
	switch ev := ev.(type) {
	case LinkChanged:
		a.onLinkChanged(now, ev)
	case LinkGone:
		a.onLinkGone(ev)
	case AddressChanged:
		a.onAddressChanged(now, ev)
	case AddressGone:
		a.onAddressGone(now, ev)
	case AddressRefused:
		a.onAddressRefused(ev)
	case Advertised:
		a.onAdvertised(now, ev)
	case RouteGone:
		a.onRouteGone(ev)
	case RuleGone:
		a.onRuleGone(ev)
	case Generated:
		a.onGenerated(now, ev)
	case Reconfigured:
		a.onReconfigured(now, ev)
	case Stopped:
		a.onStopped(ev)
	case Tick:
	}
	a.expire(now)
	if a.stale {
		a.stale = false
		a.reconcile()
	}
	return a.out
}

// Deadline is when Handle(now, Tick{}) must next be called; the zero time means never.
func (a *Autoconf) Deadline() time.Time {
	var d time.Time
	if a.stopped {
		return d
	}
	for _, l := range a.links {
		d = earlier(d, l.deadline())
	}
	for _, id := range a.identities {
		d = earlier(d, id.retry)
	}
	if d.Equal(forever) {
		return time.Time{}
	}
	return d
}

func (a *Autoconf) expire(now time.Time) {
	for _, l := range a.sortedLinks() {
		a.expireLink(now, l)
	}
	for _, name := range slices.Sorted(maps.Keys(a.identities)) {
		id := a.identities[name]
		if !id.retry.IsZero() && !now.Before(id.retry) {
			id.retry = time.Time{}
			a.startAll(now, id)
		}
	}
}

func (a *Autoconf) sortedLinks() []*link {
	return slices.SortedFunc(maps.Values(a.links), func(x, y *link) int { return x.index - y.index })
}

func (a *Autoconf) do(actions ...Action) {
	a.out = append(a.out, actions...)
}

func (a *Autoconf) onReconfigured(now time.Time, ev Reconfigured) {
	a.setConfig(ev.Config)
	for _, l := range a.sortedLinks() {
		if a.manage(l) && l.Up {
			a.linkUp(now, l)
		}
		for _, addr := range slices.SortedFunc(maps.Keys(l.routers), netip.Addr.Compare) {
			if !a.config.believes(addr) {
				a.dropRouter(l, l.routers[addr], "is not believed any more")
			}
		}
		a.reidentify(now, l)
	}
	a.stale = true
}

func (a *Autoconf) onStopped(ev Stopped) {
	for _, l := range a.sortedLinks() {
		if ev.Addresses {
			a.removeAddresses(l)
		}
		if l.managed {
			a.do(Release{l.index})
		}
	}
	a.links = nil
	a.reconcile()
	a.stopped = true
}

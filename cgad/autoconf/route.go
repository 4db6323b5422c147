// SPDX-License-Identifier: MIT

package autoconf

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"shim6/cgad/ra"
)

var everywhere = netip.PrefixFrom(netip.IPv6Unspecified(), 0)

// metric turns a preference into a metric; equal ones share the traffic, and Linux leaves out a router that does not
// answer neighbor solicitations.
func metric(p ra.Preference) uint32 {
	switch p {
	case ra.High:
		return 256
	case ra.Low:
		return 1024
	}
	return 512
}

// reconcile tells the host what differs from the rules and routes that it should have. Routes come before the rules that
// lead to them, and go after them.
func (a *Autoconf) reconcile() {
	routes, rules := a.wanted()
	for _, r := range sorted(routes, compareRoutes) {
		if _, ok := a.routes[r]; !ok {
			a.do(AddRoute{r})
		}
	}
	for _, r := range sorted(rules, compareRules) {
		if _, ok := a.rules[r]; !ok {
			a.do(AddRule{r})
		}
	}
	old := sorted(a.rules, compareRules)
	slices.Reverse(old)
	for _, r := range old {
		if _, ok := rules[r]; !ok {
			a.do(DeleteRule{r})
		}
	}
	for _, r := range sorted(a.routes, compareRoutes) {
		if _, ok := routes[r]; !ok {
			a.do(DeleteRoute{r})
		}
	}
	a.routes, a.rules = routes, rules
}

// An offer is what a router on a link offers to packets from a prefix.
type offer struct {
	prefix netip.Prefix
	link   *link
	router *router
}

// offers lists them in a fixed order.
func (a *Autoconf) offers() []offer {
	var all []offer
	for _, l := range a.sortedLinks() {
		if !l.managed || !l.Up || !a.config.Routing {
			continue
		}
		for _, r := range l.routers {
			if r.until.IsZero() && len(r.routes) == 0 {
				continue
			}
			for p := range r.prefixes {
				all = append(all, offer{p, l, r})
			}
		}
	}
	slices.SortFunc(all, func(x, y offer) int {
		return cmp.Or(comparePrefixes(x.prefix, y.prefix), cmp.Compare(x.link.index, y.link.index), x.router.addr.Compare(y.router.addr))
	})
	return all
}

// wanted gives the rules and routes that should be there. RFC 8028 section 3.1: a packet goes to one of the routers that
// advertised the prefix of its source.
func (a *Autoconf) wanted() (map[Route]struct{}, map[Rule]struct{}) {
	offers := a.offers()
	best := make(map[netip.Prefix]ra.Preference)
	for _, o := range offers {
		preference := ra.Low
		if !o.router.until.IsZero() {
			preference = o.router.preference
		}
		if b, ok := best[o.prefix]; !ok || b < preference {
			best[o.prefix] = preference
		}
	}
	maps.DeleteFunc(a.tables, func(p netip.Prefix, _ uint32) bool { _, ok := best[p]; return !ok })

	routes, rules := make(map[Route]struct{}), make(map[Rule]struct{})
	for _, o := range offers {
		table := a.table(o.prefix)
		rules[Rule{o.prefix, table, best[o.prefix]}] = struct{}{}
		if !o.router.until.IsZero() {
			routes[Route{table, everywhere, o.router.addr, o.link.index, metric(o.router.preference)}] = struct{}{}
		}
		for d, s := range o.router.routes {
			routes[Route{table, d, o.router.addr, o.link.index, metric(s.preference)}] = struct{}{}
		}
	}
	if len(rules) > 0 {
		rules[Rule{}] = struct{}{}
	}
	return routes, rules
}

// table gives the number of a prefix's table: the lowest that is free.
func (a *Autoconf) table(p netip.Prefix) uint32 {
	if t, ok := a.tables[p]; ok {
		return t
	}
	used := slices.Sorted(maps.Values(a.tables))
	t := a.config.TableBase
	for _, u := range used {
		if u == t {
			t++
		}
	}
	a.tables[p] = t
	return t
}

func (a *Autoconf) onRouteGone(ev RouteGone) {
	if _, ok := a.routes[ev.Route]; ok {
		delete(a.routes, ev.Route)
		a.stale = true
	}
}

func (a *Autoconf) onRuleGone(ev RuleGone) {
	if _, ok := a.rules[ev.Rule]; ok {
		delete(a.rules, ev.Rule)
		a.stale = true
	}
}

func sorted[T comparable](set map[T]struct{}, compare func(x, y T) int) []T {
	return slices.SortedFunc(maps.Keys(set), compare)
}

func compareRoutes(x, y Route) int {
	return cmp.Or(
		cmp.Compare(x.Table, y.Table),
		comparePrefixes(x.Destination, y.Destination),
		cmp.Compare(x.Metric, y.Metric),
		cmp.Compare(x.Link, y.Link),
		x.Gateway.Compare(y.Gateway),
	)
}

// compareRules puts the rule without a prefix first, then those with a higher preference.
func compareRules(x, y Rule) int {
	if x.Prefix.IsValid() != y.Prefix.IsValid() {
		if y.Prefix.IsValid() {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(y.Preference, x.Preference), cmp.Compare(x.Table, y.Table))
}

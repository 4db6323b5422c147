// SPDX-License-Identifier: MIT

package autoconf

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"shim6/cgad/ra"
)

// A Snapshot is the state in a form for people and programs. Seconds count from the moment it was taken; -1 is for ever.
type Snapshot struct {
	Links    []LinkStatus      `json:"links"`
	Rules    []RuleStatus      `json:"rules"`
	Counters map[string]uint64 `json:"counters"` // what was refused, by reason
}

// A LinkStatus is a managed interface.
type LinkStatus struct {
	Index     int             `json:"index"`
	Name      string          `json:"name"`
	Up        bool            `json:"up"`
	Routers   []RouterStatus  `json:"routers"`
	Addresses []AddressStatus `json:"addresses"`
}

// A RouterStatus is a router on an interface.
type RouterStatus struct {
	Addr            netip.Addr     `json:"addr"`
	LifetimeSeconds int64          `json:"lifetime_s"` // 0: not a default router
	Preference      string         `json:"preference"`
	Prefixes        []netip.Prefix `json:"prefixes"`
	Routes          []netip.Prefix `json:"routes"`
}

// An AddressStatus is the address in an autonomous prefix.
type AddressStatus struct {
	Prefix           netip.Prefix `json:"prefix"`
	Addr             netip.Addr   `json:"addr,omitzero"`
	State            State        `json:"state"`
	Method           string       `json:"method,omitempty"` // HBA or CGA
	Identity         string       `json:"identity,omitempty"`
	CollisionCount   uint8        `json:"collision_count"`
	ValidSeconds     int64        `json:"valid_s"`
	PreferredSeconds int64        `json:"preferred_s"` // 0: deprecated
}

// A RuleStatus is the rule of a prefix.
type RuleStatus struct {
	Prefix     netip.Prefix `json:"prefix"`
	Table      uint32       `json:"table"`
	Preference string       `json:"preference"`
}

// Snapshot gives the state at a moment.
func (a *Autoconf) Snapshot(now time.Time) Snapshot {
	s := Snapshot{Links: []LinkStatus{}, Rules: []RuleStatus{}, Counters: maps.Clone(a.counters)}
	for _, l := range a.sortedLinks() {
		if l.managed {
			s.Links = append(s.Links, a.linkStatus(now, l))
		}
	}
	for _, r := range sorted(a.rules, compareRules) {
		if r.Prefix.IsValid() {
			s.Rules = append(s.Rules, RuleStatus{r.Prefix, r.Table, r.Preference.String()})
		}
	}
	return s
}

func (a *Autoconf) linkStatus(now time.Time, l *link) LinkStatus {
	s := LinkStatus{Index: l.index, Name: l.Name, Up: l.Up, Routers: []RouterStatus{}, Addresses: []AddressStatus{}}
	for _, addr := range slices.SortedFunc(maps.Keys(l.routers), netip.Addr.Compare) {
		r := l.routers[addr]
		status := RouterStatus{
			Addr:       addr,
			Preference: r.preference.String(),
			Prefixes:   slices.SortedFunc(maps.Keys(r.prefixes), comparePrefixes),
			Routes:     slices.SortedFunc(maps.Keys(r.routes), comparePrefixes),
		}
		if !r.until.IsZero() {
			status.LifetimeSeconds = seconds(remaining(now, r.until))
		}
		s.Routers = append(s.Routers, status)
	}
	for _, p := range l.sortedPrefixes() {
		s.Addresses = append(s.Addresses, a.addressStatus(now, p))
	}
	return s
}

func (a *Autoconf) addressStatus(now time.Time, p *prefix) AddressStatus {
	s := AddressStatus{
		Prefix:           p.prefix,
		State:            p.state,
		Identity:         p.identity,
		CollisionCount:   p.collisions,
		ValidSeconds:     seconds(remaining(now, p.valid)),
		PreferredSeconds: seconds(remaining(now, p.preferred)),
	}
	if p.state == Tentative || p.state == Ready {
		s.Addr = p.addr
	}
	if id := a.identities[p.identity]; id != nil {
		s.Method = "CGA"
		if id.set() {
			s.Method, s.CollisionCount = "HBA", id.collisions
		}
	}
	return s
}

func seconds(d time.Duration) int64 {
	if d == ra.Infinite {
		return -1
	}
	return int64(d / time.Second)
}

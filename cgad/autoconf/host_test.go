// SPDX-License-Identifier: MIT

package autoconf

import (
	"encoding/hex"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"shim6/cgad/ra"
	"shim6/internal/cga"
)

// The parameters of a 1024-bit key with Sec 1, and of an HBA set with Sec 1 that has no key.
const (
	keyHex = "30819f300d06092a864886f70d010101050003818d0030818902818100dd008d787892286ad8ed52a6e228ef8bc31a4f21ef5162217041f143388dbb" +
		"e3f041da18927ccb7fad171fb8dec42b979f8ea5927c1c50ee8ec155345a61b3c5840e91472ea9db9d166bfd81032888c6fe738979b52f534c09b5c055f9" +
		"f2654d1fd3e3a4f3df532336e65f81507dddea7160a2d4d50ef0b087f7c7403347c43d0203010001"
	cgaHex = "000102030405060708090a0b0c0ebb21" + "fe80000000000000" + "00" + keyHex
	hbaHex = "89a8a8b2e858d8b8f2633f44d2d9bd90fe8000000000000000304c300d06092a864886f70d0101010500033b003038023100a36844b530e9211a4b262b16" +
		"467cb7dfba1f595c0194f275be5a4d386f2c3c2382508773c7867f9b3b9e63a09c7bc48f02030100010012001c00000000fe80000000000000200106881f9" +
		"900012001066073010001"
)

// Prefixes and the addresses in them.
const (
	prefixA, addrA = "2001:db8:1:2::/64", "2001:db8:1:2:246c:a7ba:5a48:c469"
	prefixB        = "2001:db8:b:1::/64"
	hbaA, hbaAddrA = "2001:688:1f99:1::/64", "2001:688:1f99:1:344a:c7a4:ebd1:723c"
	hbaB, hbaAddrB = "2001:660:7301:1::/64", "2001:660:7301:1:3c09:1480:6f0d:880d"
)

const (
	eth0 = 2
	eth1 = 3
	day  = 24 * time.Hour
)

func params(t testing.TB, s string) *cga.Params {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	p, err := cga.ParseParams(b)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func testConfig(t testing.TB) Config {
	return Config{
		Identities: []Identity{
			{Name: "set", Sec: 1, Set: []netip.Prefix{netip.MustParsePrefix(hbaA), netip.MustParsePrefix(hbaB)}, Params: params(t, hbaHex)},
			{Name: "default", Sec: 1, Params: params(t, cgaHex)},
		},
		Default:   "default",
		Routing:   true,
		TableBase: 1000,
		Existing:  DeprecateThem,
		Limits:    DefaultLimits(),
	}
}

// An entry is an address as the host has it.
type entry struct {
	link             int
	valid, preferred time.Duration // as last told
	ready            time.Time     // when duplicate address detection ends
	told             bool          // that it has ended
}

// A host is the world around an Autoconf: it carries out the actions as Linux would, in virtual time.
type host struct {
	t       testing.TB
	a       *Autoconf
	now     time.Time
	addrs   map[string]*entry // by "link address"
	taken   map[string]bool   // addresses that somebody else has
	up      map[int]bool
	routes  map[Route]bool
	rules   map[Rule]bool
	managed map[int]bool
	log     []Action // all but Report, since the last call of actions
	reports []Report
	solicit []time.Time
	changed int // address actions
}

func newHost(t testing.TB, c Config) *host {
	h := &host{
		t: t, now: time.Unix(1000000, 0), addrs: make(map[string]*entry), taken: make(map[string]bool), up: make(map[int]bool),
		routes: make(map[Route]bool), rules: make(map[Rule]bool), managed: make(map[int]bool),
	}
	h.a = New(c, 1)
	return h
}

// twoLinks is a host with eth0 and eth1 up.
func twoLinks(t testing.TB, c Config) *host {
	h := newHost(t, c)
	h.link(eth0, "eth0", true)
	h.link(eth1, "eth1", true)
	return h
}

func key(link int, addr netip.Addr) string { return fmt.Sprintf("%d %v", link, addr) }

func (h *host) link(index int, name string, up bool) {
	h.t.Helper()
	_, known := h.up[index]
	h.up[index] = up
	h.handle(LinkChanged{Index: index, Name: name, Up: up})
	if !known {
		h.handle(AddressChanged{Link: index, Addr: netip.MustParsePrefix(fmt.Sprintf("fe80::%x:ff:fe00:1/64", index))})
	}
}

func (h *host) handle(ev Event) {
	h.t.Helper()
	actions := h.a.Handle(h.now, ev)
	if d := h.a.Deadline(); !d.IsZero() && !d.After(h.now) {
		h.t.Fatalf("after %#v the deadline %v is not after now, %v", ev, d, h.now)
	}
	for _, action := range actions {
		h.apply(action)
	}
}

func (h *host) apply(action Action) {
	h.t.Helper()
	if _, ok := action.(Report); !ok {
		h.log = append(h.log, action)
	}
	switch x := action.(type) {
	case AddAddress:
		h.add(x.Link, x.Addr, x.Valid, x.Preferred)
	case SetLifetimes:
		if h.addrs[key(x.Link, x.Addr)] == nil {
			h.t.Fatalf("lifetimes for %v, which is not on %d", x.Addr, x.Link)
		}
		h.add(x.Link, x.Addr, x.Valid, x.Preferred)
	case DeleteAddress:
		delete(h.addrs, key(x.Link, x.Addr))
		h.changed++
	case AddRoute:
		if h.routes[x.Route] {
			h.t.Fatalf("route %+v is there already", x.Route)
		}
		h.routes[x.Route] = true
	case DeleteRoute:
		if !h.routes[x.Route] {
			h.t.Fatalf("route %+v is not there", x.Route)
		}
		delete(h.routes, x.Route)
	case AddRule:
		if h.rules[x.Rule] {
			h.t.Fatalf("rule %+v is there already", x.Rule)
		}
		h.rules[x.Rule] = true
	case DeleteRule:
		if !h.rules[x.Rule] {
			h.t.Fatalf("rule %+v is not there", x.Rule)
		}
		delete(h.rules, x.Rule)
	case Manage:
		h.managed[x.Link] = true
	case Release:
		delete(h.managed, x.Link)
	case Solicit:
		h.solicit = append(h.solicit, h.now)
	case Report:
		h.reports = append(h.reports, x)
	}
}

func (h *host) add(link int, addr netip.Addr, valid, preferred time.Duration) {
	h.t.Helper()
	if valid < time.Second || preferred < 0 || preferred > valid {
		h.t.Fatalf("%v is to have lifetimes %v and %v", addr, valid, preferred)
	}
	h.changed++
	e := h.addrs[key(link, addr)]
	if e == nil {
		e = &entry{link: link, ready: h.now.Add(time.Second)}
		h.addrs[key(link, addr)] = e
	}
	e.valid, e.preferred = valid, preferred
}

// advance lets time pass: deadlines are met and duplicate address detection ends.
func (h *host) advance(d time.Duration) {
	h.t.Helper()
	for stop := h.now.Add(d); ; {
		next, found := h.a.Deadline(), ""
		for _, k := range slices.Sorted(maps.Keys(h.addrs)) {
			if e := h.addrs[k]; !e.told && (next.IsZero() || e.ready.Before(next)) {
				next, found = e.ready, k
			}
		}
		if next.IsZero() || next.After(stop) {
			h.now = stop
			return
		}
		h.now = next
		if found == "" {
			h.handle(Tick{})
			continue
		}
		h.detected(found)
	}
}

func (h *host) detected(k string) {
	h.t.Helper()
	e := h.addrs[k]
	e.told = true
	var link int
	var text string
	if _, err := fmt.Sscanf(k, "%d %s", &link, &text); err != nil {
		h.t.Fatal(err)
	}
	addr := netip.MustParseAddr(text)
	switch {
	case !h.taken[text]:
		h.handle(AddressChanged{Link: link, Addr: netip.PrefixFrom(addr, 64)})
	case e.valid == ra.Infinite:
		h.handle(AddressChanged{Link: link, Addr: netip.PrefixFrom(addr, 64), Tentative: true, Duplicate: true})
	default:
		delete(h.addrs, k)
		h.handle(AddressGone{Link: link, Addr: addr, Duplicate: true})
	}
}

// advertise delivers an advertisement with router lifetime 30 minutes.
func (h *host) advertise(link int, router string, prefixes ...ra.Prefix) {
	h.t.Helper()
	h.handle(Advertised{link, netip.MustParseAddr(router), &ra.Advertisement{RouterLifetime: 30 * time.Minute, Prefixes: prefixes}})
}

func pio(prefix string, valid, preferred time.Duration) ra.Prefix {
	return ra.Prefix{Prefix: netip.MustParsePrefix(prefix), OnLink: true, Autonomous: true, Valid: valid, Preferred: preferred}
}

// wantAddrs compares the addresses on all links, in the form "link address".
func (h *host) wantAddrs(want ...string) {
	h.t.Helper()
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(h.addrs)); !slices.Equal(got, want) {
		h.t.Fatalf("addresses are %q, want %q", got, want)
	}
}

func (h *host) status(link int, prefix string) AddressStatus {
	h.t.Helper()
	for _, l := range h.a.Snapshot(h.now).Links {
		for _, a := range l.Addresses {
			if l.Index == link && a.Prefix == netip.MustParsePrefix(prefix) {
				return a
			}
		}
	}
	return AddressStatus{}
}

func (h *host) wantState(link int, prefix string, want State) {
	h.t.Helper()
	if got := h.status(link, prefix).State; got != want {
		h.t.Fatalf("%s on %d is %q, want %q", prefix, link, got, want)
	}
}

func (h *host) reported(kind Kind) int {
	n := 0
	for _, r := range h.reports {
		if r.Kind == kind {
			n++
		}
	}
	return n
}

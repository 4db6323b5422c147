// SPDX-License-Identifier: MIT

package autoconf

import (
	"net/netip"
	"time"

	"shim6/cgad/ra"
)

// An Action is something to be done outside.
type Action interface{ action() }

// An AddAddress adds an address to an interface, with duplicate address detection and without a route to its prefix; one
// that is there gets the lifetimes.
type AddAddress struct {
	Link             int
	Addr             netip.Addr
	Valid, Preferred time.Duration // ra.Infinite, or at least a second and at least zero
}

// A SetLifetimes changes the lifetimes of an address that is there.
type SetLifetimes struct {
	Link             int
	Addr             netip.Addr
	Valid, Preferred time.Duration
}

// A DeleteAddress removes an address; one that is not there is no error.
type DeleteAddress struct {
	Link int
	Addr netip.Addr
}

// A Deprecate ends the preferred lifetime of an address that somebody else made.
type Deprecate struct {
	Link int
	Addr netip.Addr
}

// A Route is a route in one of the tables of the prefixes.
type Route struct {
	Table       uint32
	Destination netip.Prefix // ::/0 for a default route
	Gateway     netip.Addr
	Link        int
	Metric      uint32
}

// A Rule sends packets from a prefix to its table. The zero Rule looks up the main table without its default routes and
// comes before all the others, so that a more specific route of the administrator always wins.
type Rule struct {
	Prefix     netip.Prefix
	Table      uint32
	Preference ra.Preference // rules with a higher one come first
}

// An AddRoute, DeleteRoute, AddRule or DeleteRule changes one of them.
type (
	AddRoute    struct{ Route Route }
	DeleteRoute struct{ Route Route }
	AddRule     struct{ Rule Rule }
	DeleteRule  struct{ Rule Rule }
)

// A Solicit sends a Router Solicitation.
type Solicit struct {
	Link int
}

// A Manage turns the kernel's own address configuration off on an interface, if it is not off already.
type Manage struct {
	Link int
}

// A Release puts the kernel's own address configuration back as it was.
type Release struct {
	Link int
}

// A Generate asks for the parameters of an identity; a Generated must follow.
type Generate struct {
	Name string
}

// A Report tells people what happened.
type Report struct {
	Kind   Kind
	Link   int
	Name   string // of the interface
	Addr   netip.Addr
	Prefix netip.Prefix
	Detail string
}

func (AddAddress) action()    {}
func (SetLifetimes) action()  {}
func (DeleteAddress) action() {}
func (Deprecate) action()     {}
func (AddRoute) action()      {}
func (DeleteRoute) action()   {}
func (AddRule) action()       {}
func (DeleteRule) action()    {}
func (Solicit) action()       {}
func (Manage) action()        {}
func (Release) action()       {}
func (Generate) action()      {}
func (Report) action()        {}

// A Kind is the kind of a Report, in words.
type Kind string

// The kinds of reports.
const (
	LinkManaged     Kind = "interface managed"
	LinkReleased    Kind = "interface released"
	RouterFound     Kind = "router found"
	RouterLost      Kind = "router lost"
	RouterRefused   Kind = "router refused"
	PrefixRefused   Kind = "prefix refused"
	RouteRefused    Kind = "route refused"
	AddressReady    Kind = "address ready"
	AddressExpired  Kind = "address expired"
	AddressRemoved  Kind = "address removed by another"
	AddressRejected Kind = "address not taken by the kernel"
	Collision       Kind = "address collision"
	GivenUp         Kind = "address given up after three collisions"
	ParamsFailed    Kind = "no cga parameters"
)

// SPDX-License-Identifier: MIT

package autoconf

import (
	"net/netip"

	"shim6/cgad/ra"
	"shim6/internal/cga"
)

// An Event is something that happened outside.
type Event interface{ event() }

// A LinkChanged tells an interface that is new or has changed.
type LinkChanged struct {
	Index    int
	Name     string
	Up       bool // is up and has a carrier
	Loopback bool
	Router   bool // forwards packets and so does not take advertisements (RFC 4861 section 6.2.1)
}

// A LinkGone tells that an interface is no more.
type LinkGone struct {
	Index int
}

// An AddressChanged tells an address that is new or has changed.
type AddressChanged struct {
	Link       int
	Addr       netip.Prefix // with the length of its subnet prefix
	Tentative  bool
	Duplicate  bool // duplicate address detection failed
	Deprecated bool
	Kernel     bool // the kernel made it from an advertisement
}

// An AddressGone tells that an address is no more.
type AddressGone struct {
	Link      int
	Addr      netip.Addr
	Duplicate bool // the kernel took it away because duplicate address detection failed
}

// An AddressRefused tells that the kernel did not take an address.
type AddressRefused struct {
	Link   int
	Addr   netip.Addr
	Detail string
}

// An Advertised is a valid Router Advertisement.
type Advertised struct {
	Link   int
	Router netip.Addr
	RA     *ra.Advertisement
}

// A RouteGone tells that somebody else, the kernel for one, removed a route.
type RouteGone struct {
	Route Route
}

// A RuleGone tells that somebody else removed a rule.
type RuleGone struct {
	Rule Rule
}

// A Generated answers a Generate.
type Generated struct {
	Name   string // of the identity
	Params *cga.Params
	Err    error // when there are none
}

// A Reconfigured brings another configuration.
type Reconfigured struct {
	Config Config
}

// A Stopped ends it all: rules and routes go, and the addresses too when told.
type Stopped struct {
	Addresses bool
}

// A Tick only tells the time.
type Tick struct{}

func (LinkChanged) event()    {}
func (LinkGone) event()       {}
func (AddressChanged) event() {}
func (AddressGone) event()    {}
func (AddressRefused) event() {}
func (Advertised) event()     {}
func (RouteGone) event()      {}
func (RuleGone) event()       {}
func (Generated) event()      {}
func (Reconfigured) event()   {}
func (Stopped) event()        {}
func (Tick) event()           {}

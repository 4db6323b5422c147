// SPDX-License-Identifier: MIT

package autoconf

import (
	"net/netip"
	"path"
	"slices"

	"shim6/internal/cga"
)

// A Config says what to do. It is not changed after it was given.
type Config struct {
	Interfaces []string                // names or patterns; none: every interface that is neither a loopback nor a router's
	Routers    []netip.Addr            // link-local addresses of the only routers that are believed; none: all
	Identities []Identity              // HBA sets are looked at in this order
	Default    string                  // name of the identity for prefixes that belong to no set
	Links      map[string]string       // interface name to the name of an identity in place of Default
	Prefixes   map[netip.Prefix]string // prefix to the name of an identity in place of both
	Routing    bool                    // make rules and routes
	TableBase  uint32                  // number of the first table
	Existing   Existing
	Limits     Limits
}

// An Identity is a key with CGA parameters.
type Identity struct {
	Name   string
	Sec    uint8
	Set    []netip.Prefix // HBA set; none: a CGA in any prefix
	Params *cga.Params    // nil: to be generated
}

// An Existing says what becomes of addresses that the kernel made in a prefix where ours is ready.
type Existing string

// The values of existing.
const (
	Keep           Existing = "keep"
	DeprecateThem  Existing = "deprecate"
	RemoveExisting Existing = "remove"
)

// Limits bound what advertisements can make the host hold. Each router has its own share, so that a flood in the name of
// one leaves the others theirs.
type Limits struct {
	Routers  int // on an interface
	Prefixes int // of a router
	Routes   int // of a router, besides its default route
}

// DefaultLimits are those of a host.
func DefaultLimits() Limits { return Limits{Routers: 8, Prefixes: 8, Routes: 16} }

// manages reports whether the interface is one to manage. A router's is only when it is named.
func (c *Config) manages(l LinkChanged) bool {
	if l.Loopback {
		return false
	}
	for _, pattern := range c.Interfaces {
		// The pattern was checked when it was read.
		if ok, _ := path.Match(pattern, l.Name); ok {
			return true
		}
	}
	return len(c.Interfaces) == 0 && !l.Router
}

func (c *Config) believes(router netip.Addr) bool {
	return len(c.Routers) == 0 || slices.Contains(c.Routers, router)
}

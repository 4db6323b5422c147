// SPDX-License-Identifier: MIT

package shim6

import (
	"net/netip"
	"slices"

	"shim6/daemon/wire"
)

// A LocatorSet is the locators of one host in a context: Ls(local) or Ls(peer) of RFC 5533 section 6.1.
type LocatorSet struct {
	Generation uint32
	Locators   []Locator
}

// A Locator is one entry of a LocatorSet.
type Locator struct {
	Addr     netip.Addr
	Method   wire.VerificationMethod // zero for a ULID that no list names
	Verified bool                    // the method's check passed, or the locator is the ULID
	Probed   bool                    // a probe was answered on it
	Preference
}

// A Preference is what the host of a locator says about its use (RFC 5533 section 5.15.3). Priority and Weight are those of
// DNS SRV: the lowest priority comes first, and within one a locator of twice the weight comes first twice as often.
type Preference struct {
	Broken    bool // known not to work
	Transient bool // less stable than others
	Priority  uint8
	Weight    uint8
}

// Has tells whether an address is in the set.
func (s LocatorSet) Has(a netip.Addr) bool { return s.find(a) >= 0 }

// HasVerified tells whether an address is in the set and may be a destination.
func (s LocatorSet) HasVerified(a netip.Addr) bool {
	i := s.find(a)
	return i >= 0 && s.Locators[i].Verified
}

// Broken tells whether the peer says of an address that it does not work.
func (s LocatorSet) Broken(a netip.Addr) bool {
	i := s.find(a)
	return i >= 0 && s.Locators[i].Broken
}

// Overlaps tells whether two sets share a locator.
func (s LocatorSet) Overlaps(t LocatorSet) bool {
	return slices.ContainsFunc(s.Locators, func(l Locator) bool { return t.Has(l.Addr) })
}

// SameAs tells whether two sets have the same locators, by the same methods, in whatever order.
func (s LocatorSet) SameAs(t LocatorSet) bool {
	return len(s.Locators) == len(t.Locators) && !slices.ContainsFunc(s.Locators, func(l Locator) bool {
		i := t.find(l.Addr)
		return i < 0 || t.Locators[i].Method != l.Method
	})
}

// MarkProbed remembers that a probe was answered on a locator.
func (s LocatorSet) MarkProbed(a netip.Addr) {
	if i := s.find(a); i >= 0 {
		s.Locators[i].Probed = true
	}
}

// Addrs gives the addresses in the order of the set.
func (s LocatorSet) Addrs() []netip.Addr {
	as := make([]netip.Addr, len(s.Locators))
	for i, l := range s.Locators {
		as[i] = l.Addr
	}
	return as
}

// listed counts the locators that a list named; they come first.
func (s LocatorSet) listed() (n int) {
	for _, l := range s.Locators {
		if l.Method != 0 {
			n++
		}
	}
	return n
}

// LeftOut tells whether an address, of a ULID, is in the set though the list does not name it.
func (s LocatorSet) LeftOut(a netip.Addr) bool {
	i := s.find(a)
	return i >= 0 && s.Locators[i].Method == 0 && s.listed() > 0
}

func (s LocatorSet) find(a netip.Addr) int {
	return slices.IndexFunc(s.Locators, func(l Locator) bool { return l.Addr == a })
}

var siteLocal = netip.MustParsePrefix("fec0::/10")

// Usable tells whether an address may be a locator: an IPv6 unicast address of global or unique local scope
// (RFC 5534 section 3.1).
func Usable(a netip.Addr) bool {
	return a.Is6() && !a.Is4In6() && a.Zone() == "" && a.IsGlobalUnicast() && !siteLocal.Contains(a)
}

// SPDX-License-Identifier: MIT

package shim6

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"

	"shim6/daemon/wire"
	"shim6/internal/cga"
)

// A LocalLocator is a local address and, when it is a CGA or HBA of ours, what proves it.
type LocalLocator struct {
	Addr  netip.Addr
	PDS   []byte // with the prefix and collision count of Addr; nil for a plain address
	KeyID string // names the key that can sign for PDS; empty when there is none
	Preference
}

// An Announcement is what peers are told about the locators that go with a ULID of ours.
type Announcement struct {
	Set LocatorSet // as announced; the ULID alone where there is no list
	PDS []byte     // nil where there is no list
	Sig *Signature // nil where none is needed
}

// A Signature is a CGA signature over a locator list, once it is there. Lists that are equal share it.
type Signature struct {
	KeyID string
	Data  []byte // to be signed (RFC 5533 section 5.15.5)
	Value []byte // empty until it is there
}

// Ready tells whether the announcement can be made now.
func (a *Announcement) Ready() bool { return a.Sig == nil || a.Sig.Value != nil }

// addTo puts the options into a message: list, parameters and signature go together (RFC 5533 section 7.11).
func (a *Announcement) addTo(o *wire.Options) {
	if a.PDS == nil {
		return
	}
	o.Locators = &wire.LocatorList{Generation: a.Set.Generation, Locators: make([]wire.Locator, 0, len(a.Set.Locators))}
	for _, l := range a.Set.Locators {
		o.Locators.Locators = append(o.Locators.Locators, wire.Locator{Addr: l.Addr, Method: l.Method})
	}
	o.PDS = a.PDS
	if a.Sig != nil {
		o.Signature = a.Sig.Value
	}
	o.Preferences = a.Set.preferences()
}

// Announcements knows the local locators and what to announce for each as a ULID.
type Announcements struct {
	rng      *rand.Rand
	locators []LocalLocator
	kept     []LocalLocator // not there any more, but ULIDs of contexts
	byULID   map[netip.Addr]*Announcement
	lists    map[string]*ownList // by what makes them equal
}

// An ownList is a locator list with its generation, kept over one change of the local locators, so that an address that
// goes and comes back costs no new signature.
type ownList struct {
	generation uint32
	sig        *Signature
	idle       int // changes since it was of use
}

const keepLists = 1 // changes of the local locators that an unused list outlives

// NewAnnouncements makes Announcements without any local locator.
func NewAnnouncements(rng *rand.Rand) *Announcements {
	return &Announcements{rng: rng, byULID: map[netip.Addr]*Announcement{}, lists: map[string]*ownList{}}
}

// For gives the announcement of a ULID of ours, nil when the address is not ours. A ULID that is no locator any more, but was
// when its contexts were made, still has one.
func (a *Announcements) For(ulid netip.Addr) *Announcement { return a.byULID[ulid] }

// Empty tells whether there is no local locator.
func (a *Announcements) Empty() bool { return len(a.locators) == 0 }

// Has tells whether an address is a local locator.
func (a *Announcements) Has(addr netip.Addr) bool { return a.find(addr) >= 0 }

// Works tells whether an address is a local locator that is not known to be broken.
func (a *Announcements) Works(addr netip.Addr) bool {
	i := a.find(addr)
	return i >= 0 && !a.locators[i].Broken
}

// Preference is what is said about an address of ours: of one that is none any more, that it is broken.
func (a *Announcements) Preference(addr netip.Addr) Preference {
	if i := a.find(addr); i >= 0 {
		return a.locators[i].Preference
	}
	return Preference{Broken: true}
}

func (a *Announcements) find(addr netip.Addr) int {
	return slices.IndexFunc(a.locators, func(l LocalLocator) bool { return l.Addr == addr })
}

// A Problem tells why a local locator is announced alone though it has parameters.
type Problem struct {
	Addr netip.Addr
	Err  error
}

// Update replaces the local locators, at most MaxLocators of them; inUse tells which addresses are ULIDs of contexts. It gives
// the signatures that are to be made.
func (a *Announcements) Update(locators []LocalLocator, inUse map[netip.Addr]bool) (sign []*Signature, problems []Problem) {
	before := slices.Concat(a.locators, a.kept)
	a.locators = locators[:min(len(locators), MaxLocators)]
	a.kept = slices.DeleteFunc(before, func(l LocalLocator) bool { return a.Has(l.Addr) || !inUse[l.Addr] })
	ulids := slices.Concat(a.locators, a.kept)
	a.byULID = make(map[netip.Addr]*Announcement, len(ulids))
	for _, l := range a.lists {
		l.idle++
	}
	for _, l := range ulids {
		sign, problems = a.add(l, sign, problems)
	}
	for k, l := range a.lists {
		if l.idle > keepLists {
			delete(a.lists, k)
		}
	}
	return sign, problems
}

// Keep makes the announcement of an address that is no local locator, but the ULID of a context.
func (a *Announcements) Keep(l LocalLocator) (sign []*Signature, problems []Problem) {
	if a.byULID[l.Addr] != nil {
		return nil, nil
	}
	a.kept = append(a.kept, l)
	return a.add(l, nil, nil)
}

func (a *Announcements) add(l LocalLocator, sign []*Signature, problems []Problem) ([]*Signature, []Problem) {
	ann, fresh, err := a.announce(l)
	if err != nil {
		problems = append(problems, Problem{l.Addr, err})
		ann = alone(l.Addr)
	}
	if fresh {
		sign = append(sign, ann.Sig)
	}
	a.byULID[l.Addr] = ann
	return sign, problems
}

// Proof gives what proves a ULID of ours.
func (a *Announcements) Proof(ulid netip.Addr) LocalLocator {
	for _, ls := range [][]LocalLocator{a.locators, a.kept} {
		for _, l := range ls {
			if l.Addr == ulid {
				return l
			}
		}
	}
	return LocalLocator{Addr: ulid}
}

// Signed takes over a signature; an empty one makes the ULIDs that wait for it be announced alone.
func (a *Announcements) Signed(sig *Signature, value []byte) {
	if len(value) > 0 {
		sig.Value = value
		return
	}
	for ulid, ann := range a.byULID {
		if ann.Sig == sig {
			a.byULID[ulid] = alone(ulid)
		}
	}
	for k, l := range a.lists {
		if l.sig == sig {
			delete(a.lists, k)
		}
	}
}

func alone(ulid netip.Addr) *Announcement {
	return &Announcement{Set: LocatorSet{Locators: []Locator{{Addr: ulid, Verified: true}}}}
}

// announce makes the announcement of one ULID; fresh tells that its signature is to be made. What belongs to the ULID's HBA set
// is proved by that, which costs both sides two hashes and no RSA; a key signs for the rest (RFC 5535 section 5).
func (a *Announcements) announce(l LocalLocator) (ann *Announcement, fresh bool, err error) {
	if l.PDS == nil {
		return alone(l.Addr), false, nil
	}
	p, err := cga.ParseParams(l.PDS)
	if err != nil {
		return nil, false, fmt.Errorf("own parameters: %w", err)
	}
	mp, err := p.MultiPrefix()
	if err != nil {
		return nil, false, fmt.Errorf("own parameters: %w", err)
	}
	members, keyID, signature := []netip.Addr(nil), "", 0
	if mp != nil {
		members = a.family(l.PDS)
	}
	proved := members
	switch {
	case l.KeyID != "" && (mp == nil || mp.P):
		members = a.addrs()
		if len(proved) < len(members) {
			keyID, signature = l.KeyID, len(p.PublicKey) // longer than the modulus it holds
		}
	case mp == nil:
		return alone(l.Addr), false, nil
	}
	if len(members) == 0 {
		return alone(l.Addr), false, nil // nothing could send it
	}
	room := fit(len(l.PDS), signature, a.element())
	if room < 1 {
		return nil, false, fmt.Errorf("parameters of %d octets leave no room for a locator list", len(l.PDS))
	}
	set := LocatorSet{}
	for _, m := range trim(members, l.Addr, room) {
		method := wire.VerifyCGA
		if slices.Contains(proved, m) {
			method = wire.VerifyHBA
		}
		set.Locators = append(set.Locators, Locator{
			Addr: m, Method: method, Verified: true, Preference: a.locators[a.find(m)].Preference,
		})
	}
	own, fresh := a.list(keyID, set)
	own.idle = 0
	set.Generation = own.generation
	return &Announcement{Set: set, PDS: l.PDS, Sig: own.sig}, fresh, nil
}

// list finds or makes the list of these locators. Its generation is random: it only has to differ from that of another list
// (RFC 5533 section 10.1).
func (a *Announcements) list(keyID string, set LocatorSet) (own *ownList, fresh bool) {
	var key strings.Builder
	var signed []netip.Addr
	fmt.Fprintf(&key, "%q", keyID)
	for _, l := range set.Locators {
		fmt.Fprintf(&key, " %d %v", l.Method, l.Addr)
		if l.Method == wire.VerifyCGA {
			signed = append(signed, l.Addr)
		}
	}
	if own := a.lists[key.String()]; own != nil {
		return own, false
	}
	own = &ownList{generation: a.rng.Uint32()}
	if len(signed) > 0 {
		own.sig = &Signature{KeyID: keyID, Data: cga.SignedData(own.generation, signed)}
	}
	a.lists[key.String()] = own
	return own, own.sig != nil
}

func (a *Announcements) addrs() []netip.Addr {
	as := make([]netip.Addr, len(a.locators))
	for i, l := range a.locators {
		as[i] = l.Addr
	}
	return as
}

// family gives the local locators whose parameters differ from pds in prefix and collision count at most: its HBA set.
func (a *Announcements) family(pds []byte) []netip.Addr {
	const prefix, key = 16, 25 // where they start (RFC 3972 section 3)
	var as []netip.Addr
	for _, l := range a.locators {
		if len(l.PDS) == len(pds) && len(pds) > key && string(l.PDS[:prefix]) == string(pds[:prefix]) &&
			string(l.PDS[key:]) == string(pds[key:]) {
			as = append(as, l.Addr)
		}
	}
	return as
}

// trim cuts members to n, keeping the ULID.
func trim(members []netip.Addr, ulid netip.Addr, n int) []netip.Addr {
	if len(members) <= n {
		return members
	}
	kept := slices.Clone(members[:n])
	if slices.Contains(members, ulid) && !slices.Contains(kept, ulid) {
		kept[n-1] = ulid
	}
	return kept
}

// element is how long an element of Locator Preferences may become.
func (a *Announcements) element() int {
	if slices.ContainsFunc(a.locators, func(l LocalLocator) bool { return l.Preference != Preference{} }) {
		return maxElement
	}
	return 0
}

// fit tells how many locators a message has room for beside parameters, a signature and preferences of these lengths.
func fit(pds, signature, element int) int {
	room := wire.MaxControl - roomForOthers - option(pds) - option(signature)
	for n := MaxLocators; n > 0; n-- {
		size := 4 + 12 + 17*n - n%8
		if element > 0 {
			size += option(5 + element*n)
		}
		if size <= room {
			return n
		}
	}
	return 0
}

// option is what an option with n octets of contents takes at most.
func option(n int) int { return (4 + n + 7) &^ 7 }

// SPDX-License-Identifier: MIT

package autoconf

import (
	"maps"
	"net/netip"
	"slices"
	"time"
)

// maxCollisions is how many collisions an address survives: RFC 3972 section 4 step 8 stops after three.
const maxCollisions = 2

// The kernel hears new lifetimes of an address when they differ by tellDifference, and not more often than tellPause.
const (
	tellDifference = time.Second
	tellPause      = 500 * time.Millisecond
)

// start adds the address of a prefix if it is not there and can be.
func (a *Autoconf) start(now time.Time, l *link, p *prefix) {
	if p.state == Tentative || p.state == Ready || p.state == Failed || !l.Up || !l.managed {
		return
	}
	id := a.identityFor(l, p.prefix)
	if id == nil || !a.parameters(id) {
		return
	}
	p.identity = id.Name
	count := &p.collisions
	if id.set() {
		count = &id.collisions
	}
	if *count > maxCollisions {
		p.state = Failed
		return
	}
	if !id.set() || !a.inUse(id) {
		a.adopt(l, p, id, count)
	}
	p.addr = id.address(p.prefix, *count)
	p.state = Tentative
	valid, preferred := p.lifetimes(now)
	a.do(AddAddress{l.index, p.addr, valid, preferred})
}

// adopt takes over the collision count of an address that an earlier run left.
func (a *Autoconf) adopt(l *link, p *prefix, id *identity, count *uint8) {
	for c := *count; c <= maxCollisions; c++ {
		if there, ok := l.present[id.address(p.prefix, c)]; ok && !there.Duplicate {
			*count = c
			return
		}
	}
}

// inUse reports whether a member of an HBA set is on a link. All members have the same collision count (RFC 5535 section 6).
func (a *Autoconf) inUse(id *identity) bool {
	for _, l := range a.links {
		for _, p := range l.prefixes {
			if p.identity == id.Name && (p.state == Tentative || p.state == Ready) {
				return true
			}
		}
	}
	return false
}

// retry forgets the collisions that made an address be given up.
func (a *Autoconf) retry(p *prefix) {
	p.state, p.collisions = Waiting, 0
	id := a.identities[p.identity]
	if id == nil || !id.set() || id.collisions <= maxCollisions {
		return
	}
	id.collisions = 0
	for _, l := range a.links {
		for _, p := range l.prefixes {
			if p.identity == id.Name {
				p.state = Waiting
			}
		}
	}
}

// lifetimes gives what is left of the lifetimes and notes that the kernel hears it. The preferred one is cut to the valid
// one: the kernel takes no other.
func (p *prefix) lifetimes(now time.Time) (valid, preferred time.Duration) {
	p.told, p.toldValid, p.toldPreferred, p.tell = now, p.valid, p.preferred, time.Time{}
	valid = max(remaining(now, p.valid), time.Second)
	return valid, min(remaining(now, p.preferred), valid)
}

// refresh tells the kernel the lifetimes of an address that it has, or plans to.
func (a *Autoconf) refresh(now time.Time, l *link, p *prefix) {
	p.tell = time.Time{}
	if p.state != Tentative && p.state != Ready {
		return
	}
	if p.valid.Sub(p.toldValid).Abs() < tellDifference && p.preferred.Sub(p.toldPreferred).Abs() < tellDifference {
		return
	}
	if next := p.told.Add(tellPause); now.Before(next) {
		p.tell = next
		return
	}
	valid, preferred := p.lifetimes(now)
	a.do(SetLifetimes{l.index, p.addr, valid, preferred})
}

func (l *link) withAddress(addr netip.Addr) *prefix {
	p, err := addr.Prefix(prefixLen)
	if err != nil {
		return nil
	}
	if x := l.prefixes[p]; x != nil && x.addr == addr && (x.state == Tentative || x.state == Ready) {
		return x
	}
	return nil
}

func (a *Autoconf) onAddressChanged(now time.Time, ev AddressChanged) {
	l := a.links[ev.Link]
	if l == nil {
		return
	}
	addr := ev.Addr.Addr()
	if addr.IsLinkLocalUnicast() {
		l.own[addr] = !ev.Tentative && !ev.Duplicate
		return
	}
	l.present[addr] = ev
	if l.managed && ev.Kernel && !ev.Deprecated {
		a.do(Manage{l.index}) // somebody may have turned the kernel's own configuration on again
	}
	p := l.withAddress(addr)
	if x := l.prefixes[ev.Addr.Masked()]; x != nil && x.state == Lost && x.addr == addr {
		// The word that it was gone was older.
		p, x.state = x, Tentative
	}
	switch {
	case p == nil:
		a.onForeign(l, ev)
	case ev.Duplicate:
		a.onCollision(now, l, p)
	case ev.Tentative:
		p.state = Tentative
	case p.state == Ready: // a lifetime has changed or ended
	case !l.Up:
		// Nobody could have objected.
		a.do(DeleteAddress{l.index, addr})
		p.state = Waiting
	default:
		p.state = Ready
		a.do(Report{Kind: AddressReady, Link: l.index, Name: l.Name, Addr: addr, Prefix: p.prefix})
		for _, there := range l.sortedPresent() {
			a.onForeign(l, there)
		}
	}
}

func (l *link) sortedPresent() []AddressChanged {
	return slices.SortedFunc(maps.Values(l.present), func(x, y AddressChanged) int { return x.Addr.Addr().Compare(y.Addr.Addr()) })
}

// onForeign deals with an address that the kernel made where ours is ready.
func (a *Autoconf) onForeign(l *link, ev AddressChanged) {
	p := l.prefixes[ev.Addr.Masked()]
	if !ev.Kernel || p == nil || p.state != Ready || p.addr == ev.Addr.Addr() {
		return
	}
	switch {
	case a.config.Existing == RemoveExisting:
		a.do(DeleteAddress{l.index, ev.Addr.Addr()})
	case a.config.Existing == DeprecateThem && !ev.Deprecated:
		a.do(Deprecate{l.index, ev.Addr.Addr()})
	}
}

func (a *Autoconf) onAddressGone(now time.Time, ev AddressGone) {
	l := a.links[ev.Link]
	if l == nil {
		return
	}
	delete(l.own, ev.Addr)
	delete(l.present, ev.Addr)
	p := l.withAddress(ev.Addr)
	switch {
	case p == nil:
	case ev.Duplicate:
		a.onCollision(now, l, p)
	default:
		p.state = Lost
		if l.Up {
			a.do(Report{Kind: AddressRemoved, Link: l.index, Name: l.Name, Addr: ev.Addr, Prefix: p.prefix})
			a.askAgain(now, l)
		}
	}
}

func (a *Autoconf) onAddressRefused(ev AddressRefused) {
	l := a.links[ev.Link]
	if l == nil {
		return
	}
	if p := l.withAddress(ev.Addr); p != nil {
		p.state = Lost
		a.do(Report{Kind: AddressRejected, Link: l.index, Name: l.Name, Addr: ev.Addr, Prefix: p.prefix, Detail: ev.Detail})
	}
}

// onCollision replaces an address that somebody else has: by that of the next collision count for a CGA (RFC 3972 section
// 4 step 8), together with all the others of its set for an HBA (RFC 5535 section 6 step 6.4).
func (a *Autoconf) onCollision(now time.Time, l *link, p *prefix) {
	a.do(Report{Kind: Collision, Link: l.index, Name: l.Name, Addr: p.addr, Prefix: p.prefix})
	id := a.identities[p.identity]
	if id == nil || !id.set() {
		p.collisions++
		a.replace(now, l, p, p.collisions > maxCollisions)
		return
	}
	id.collisions++
	for _, l := range a.sortedLinks() {
		for _, p := range l.sortedPrefixes() {
			if p.identity == id.Name {
				a.replace(now, l, p, id.collisions > maxCollisions)
			}
		}
	}
}

// replace takes an address away and begins with the next one, or gives up.
func (a *Autoconf) replace(now time.Time, l *link, p *prefix, giveUp bool) {
	old := p.addr
	if p.state == Tentative || p.state == Ready {
		a.do(DeleteAddress{l.index, old})
	}
	p.state = Waiting
	if giveUp {
		p.state = Failed
		a.do(Report{Kind: GivenUp, Link: l.index, Name: l.Name, Addr: old, Prefix: p.prefix})
		return
	}
	a.start(now, l, p)
}

// removeAddresses takes our addresses from a link.
func (a *Autoconf) removeAddresses(l *link) {
	for _, p := range l.sortedPrefixes() {
		if p.state == Tentative || p.state == Ready {
			a.do(DeleteAddress{l.index, p.addr})
			p.state = Waiting
		}
	}
}

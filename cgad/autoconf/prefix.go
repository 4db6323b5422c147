// SPDX-License-Identifier: MIT

package autoconf

import (
	"cmp"
	"net/netip"
	"time"

	"shim6/cgad/ra"
)

// prefixLen is the length that a prefix needs for CGAs and HBAs (RFC 4862 section 5.5.3 d, RFC 3972 section 3).
const prefixLen = 64

// A State is the state of the address in a prefix.
type State string

// The states of an address.
const (
	Waiting   State = "waiting"   // for its parameters or for the link
	Tentative State = "tentative" // duplicate address detection goes on
	Ready     State = "ready"
	Failed    State = "failed" // three collisions
	Lost      State = "lost"   // somebody else removed it
)

// A prefix is an autonomous prefix on a link, with our address in it.
type prefix struct {
	prefix     netip.Prefix
	valid      time.Time
	preferred  time.Time
	state      State
	addr       netip.Addr
	identity   string // that the address is of
	collisions uint8  // of a CGA

	told          time.Time // when the kernel last heard lifetimes
	toldValid     time.Time
	toldPreferred time.Time
	tell          time.Time // when it must hear them again
}

func comparePrefixes(x, y netip.Prefix) int {
	return cmp.Or(x.Addr().Compare(y.Addr()), cmp.Compare(x.Bits(), y.Bits()))
}

// onPrefix handles a Prefix Information option: RFC 4862 section 5.5.3, and the association of the prefix with the router
// that RFC 8028 section 3 needs.
func (a *Autoconf) onPrefix(now time.Time, l *link, r *router, o ra.Prefix) {
	addr := o.Prefix.Addr()
	switch {
	case addr.IsLinkLocalUnicast():
		return // RFC 4862 section 5.5.3 b: silently
	case addr.IsMulticast() || addr.IsUnspecified() || addr.IsLoopback():
		a.refuse(now, l, PrefixRefused, o.Prefix, "not a prefix of unicast addresses")
		return
	case o.Prefix.Bits() != prefixLen:
		a.refuse(now, l, PrefixRefused, o.Prefix, "the prefix length is not 64")
		return
	case o.Preferred > o.Valid:
		a.refuse(now, l, PrefixRefused, o.Prefix, "the preferred lifetime exceeds the valid one")
		return
	}
	if !a.associate(now, l, r, o) || !o.Autonomous {
		return
	}
	p := l.prefixes[o.Prefix]
	if p == nil {
		// Without a valid lifetime there would be nothing to form: RFC 4862 section 5.5.3 d.
		if o.Valid == 0 {
			return
		}
		p = &prefix{prefix: o.Prefix, state: Waiting, valid: end(now, o.Valid), preferred: end(now, o.Preferred)}
		l.prefixes[o.Prefix] = p
		a.leaveOldLink(l, p)
		a.start(now, l, p)
		return
	}
	p.preferred = end(now, o.Preferred)
	p.valid = end(now, validLifetime(remaining(now, p.valid), o.Valid))
	if p.state == Waiting || p.state == Lost {
		a.start(now, l, p)
	} else {
		a.refresh(now, l, p)
	}
}

// associate notes that the router advertised the prefix. A withdrawn prefix stays with its router for as long as its
// address may stay, since packets from there pass no other provider's filter. It is false when the option says nothing
// new about nothing known.
func (a *Autoconf) associate(now time.Time, l *link, r *router, o ra.Prefix) bool {
	until, known := r.prefixes[o.Prefix]
	switch {
	case known:
		r.prefixes[o.Prefix] = end(now, validLifetime(remaining(now, until), o.Valid))
	case o.Valid == 0:
		return l.prefixes[o.Prefix] != nil
	case len(r.prefixes) >= a.config.Limits.Prefixes:
		a.refuse(now, l, PrefixRefused, o.Prefix, "too many prefixes of one router")
		return l.prefixes[o.Prefix] != nil
	default:
		r.prefixes[o.Prefix] = end(now, o.Valid)
		a.stale = true
	}
	return true
}

// leaveOldLink ends the life of a prefix on a link that is down when it turns up on another one.
func (a *Autoconf) leaveOldLink(to *link, p *prefix) {
	for _, l := range a.sortedLinks() {
		old := l.prefixes[p.prefix]
		if l == to || l.Up || old == nil {
			continue
		}
		for _, r := range l.routers {
			delete(r.prefixes, p.prefix)
		}
		a.dropPrefix(l, old, "the prefix is on "+to.Name+" now")
	}
}

func (a *Autoconf) dropPrefix(l *link, p *prefix, why string) {
	delete(l.prefixes, p.prefix)
	a.stale = true
	if p.state != Tentative && p.state != Ready {
		return
	}
	a.do(DeleteAddress{l.index, p.addr}, Report{Kind: AddressExpired, Link: l.index, Name: l.Name, Addr: p.addr, Prefix: p.prefix, Detail: why})
}

func (p *prefix) deadline() time.Time {
	return earlier(p.valid, p.tell)
}

func (a *Autoconf) expirePrefix(now time.Time, l *link, p *prefix) {
	if !now.Before(p.valid) {
		a.dropPrefix(l, p, "the valid lifetime is over")
		return
	}
	if !p.tell.IsZero() && !now.Before(p.tell) {
		a.refresh(now, l, p)
	}
}

// SPDX-License-Identifier: MIT

package autoconf

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"shim6/internal/cga"
)

// generateRetry is how long a Generate that failed is not repeated.
const generateRetry = time.Minute

// An identity is an Identity with what has become of it.
type identity struct {
	Identity
	pending    bool      // a Generate has not been answered
	retry      time.Time // when it failed: not before then
	collisions uint8     // of the whole set
}

func (id *identity) set() bool { return len(id.Set) > 0 }

// address gives the address in a prefix. The parameters have been checked for Sec, and the count is at most 2.
func (id *identity) address(prefix netip.Prefix, collisions uint8) netip.Addr {
	p := *id.Params
	addr := prefix.Addr().As16()
	p.Prefix, p.CollisionCount = [8]byte(addr[:8]), collisions
	result, err := p.Address(id.Sec)
	if err != nil {
		panic(fmt.Sprintf("identity %s: %v", id.Name, err))
	}
	return result
}

// usable tells whether parameters can give the addresses of the identity.
func (id *identity) usable(p *cga.Params) error {
	switch {
	case p == nil:
		return fmt.Errorf("there are no parameters")
	case id.Sec > cga.MaxSec:
		return fmt.Errorf("%w: %d", cga.ErrUnsupportedSec, id.Sec)
	case p.Strength() < id.Sec:
		return fmt.Errorf("the parameters are good for Sec %d, not %d", p.Strength(), id.Sec)
	}
	mp, err := p.MultiPrefix()
	if err != nil {
		return err
	}
	if (mp != nil) != id.set() {
		return fmt.Errorf("parameters of an HBA set are for HBA sets alone")
	}
	for _, prefix := range id.Set {
		addr := prefix.Addr().As16()
		if !slices.Contains(mp.Prefixes, [8]byte(addr[:8])) {
			return fmt.Errorf("%v is not in the set of the parameters", prefix)
		}
	}
	return nil
}

// setConfig takes a configuration. Parameters and collision counts of identities that stay as they were are kept.
func (a *Autoconf) setConfig(c Config) {
	old := a.identities
	if c.TableBase != a.config.TableBase {
		clear(a.tables)
	}
	a.config = c
	a.identities = make(map[string]*identity)
	for _, given := range c.Identities {
		id := &identity{Identity: given}
		if id.Params != nil && id.usable(id.Params) != nil {
			id.Params = nil
		}
		if was := old[given.Name]; was != nil && was.Sec == given.Sec && slices.Equal(was.Set, given.Set) {
			id.pending, id.retry = was.pending, was.retry
			if id.Params == nil {
				id.Params = was.Params
			}
			if id.Params == was.Params || was.Params != nil && slices.Equal(id.Params.Marshal(), was.Params.Marshal()) {
				id.collisions = was.collisions
			}
		}
		a.identities[given.Name] = id
	}
}

// identityFor gives the identity for a prefix on a link: the first HBA set that it is in, else the key of the prefix or of the
// link.
func (a *Autoconf) identityFor(l *link, prefix netip.Prefix) *identity {
	for i := range a.config.Identities {
		if slices.Contains(a.config.Identities[i].Set, prefix) {
			return a.identities[a.config.Identities[i].Name]
		}
	}
	return a.identities[cmp.Or(a.config.Prefixes[prefix], a.config.Links[l.Name], a.config.Default)]
}

// parameters reports whether the identity has its parameters, and asks for them otherwise.
func (a *Autoconf) parameters(id *identity) bool {
	if id.Params == nil && !id.pending && id.retry.IsZero() {
		id.pending = true
		a.do(Generate{id.Name})
	}
	return id.Params != nil
}

func (a *Autoconf) onGenerated(now time.Time, ev Generated) {
	id := a.identities[ev.Name]
	if id == nil || !id.pending {
		return
	}
	id.pending = false
	err := ev.Err
	if err == nil {
		err = id.usable(ev.Params)
	}
	if err != nil {
		id.retry = now.Add(generateRetry)
		a.do(Report{Kind: ParamsFailed, Name: id.Name, Detail: err.Error()})
		return
	}
	id.Params = ev.Params
	a.startAll(now, id)
}

// startAll starts the addresses that waited for an identity.
func (a *Autoconf) startAll(now time.Time, id *identity) {
	for _, l := range a.sortedLinks() {
		for _, p := range l.sortedPrefixes() {
			if a.identityFor(l, p.prefix) == id {
				a.start(now, l, p)
			}
		}
	}
}

// reidentify replaces the addresses of a link for which the configuration now has another identity or other parameters.
func (a *Autoconf) reidentify(now time.Time, l *link) {
	for _, p := range l.sortedPrefixes() {
		if p.state == Tentative || p.state == Ready {
			id := a.identityFor(l, p.prefix)
			if id != nil && id.Params == nil {
				a.parameters(id)
				continue // the old address serves until the new one can be made
			}
			if id != nil && id.Name == p.identity && id.owns(p) {
				continue
			}
			a.do(DeleteAddress{l.index, p.addr})
		}
		if p.state != Failed || a.identityFor(l, p.prefix) != a.identities[p.identity] {
			p.state, p.collisions = Waiting, 0
		}
		a.start(now, l, p)
	}
}

// owns reports whether the address in the prefix is still what the identity would have there.
func (id *identity) owns(p *prefix) bool {
	if id.set() {
		return id.address(p.prefix, id.collisions) == p.addr
	}
	return id.address(p.prefix, p.collisions) == p.addr
}

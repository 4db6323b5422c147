// SPDX-License-Identifier: MIT

package run

import (
	"net/netip"
	"os"
	"slices"
	"time"

	"shim6/daemon/ctl"
	"shim6/daemon/engine"
	"shim6/internal/cga"
	"shim6/internal/rtnl"
)

// deprecatedPriority is what peers are told of an address that should not be used for anything new (RFC 4862 section 5.5.4),
// whatever the configuration says: the lowest priority comes first (RFC 5533 section 5.15.3).
const deprecatedPriority = 255

// refresh reads the local addresses and gives the engine those that may be locators, when they changed.
func (l *Loop) refresh() {
	l.refreshed, l.refreshAt = l.now, time.Time{}
	l.loadKeys()
	list, err := l.ports.Addresses()
	if err != nil {
		l.log.Error("local addresses not read", "error", err)
		return
	}
	usable := l.usable(list)
	l.sources.look(list, usable)
	l.keepSources(true)
	var shown []ctl.Locator
	told := []engine.LocalLocator{}
	carrier := make(map[netip.Addr]bool)
	valid := make(map[netip.Addr]time.Time)
	for _, a := range usable {
		addr := a.Prefix.Addr()
		carrier[addr] = carrier[addr] || a.Carrier
		if a.Valid != rtnl.Forever {
			valid[addr] = l.now.Add(a.Valid)
		}
		if slices.ContainsFunc(told, func(t engine.LocalLocator) bool { return t.Addr == addr }) {
			continue
		}
		p := l.cfg.PreferenceOf(addr)
		toldOne := engine.LocalLocator{
			Addr: addr, Cost: p.Cost, Preference: engine.Preference{Transient: p.Transient, Priority: p.Priority, Weight: p.Weight},
		}
		if a.Deprecated {
			toldOne.Priority = deprecatedPriority
		}
		shownOne := ctl.Locator{
			Addr: addr, Link: a.Link, Deprecated: a.Deprecated, Temporary: a.Temporary, Priority: toldOne.Priority, Weight: p.Weight, Cost: p.Cost,
		}
		if p, keyID, ok := l.keys.ParamsFor(addr); ok {
			toldOne.PDS, toldOne.KeyID = p.Marshal(), keyID
			shownOne.Proof, shownOne.KeyID, shownOne.Params, shownOne.Sec = proof(p), keyID, toldOne.PDS, cga.Sec(addr)
		}
		shown, told = append(shown, shownOne), append(told, toldOne)
	}
	broken := l.checkHealth(carrier)
	for i := range shown {
		shown[i].Carrier = carrier[shown[i].Addr]
		shown[i].Broken = broken[shown[i].Addr]
		told[i].Broken = broken[told[i].Addr]
	}
	l.locators = shown
	if !l.sameLocators(told) {
		l.told = told
		l.report.locatorsChanged(l.now, len(told))
		l.handle(engine.LocalLocators{Locators: told})
	}
	for addr, until := range l.valid {
		if _, there := carrier[addr]; !there {
			l.handle(engine.ULIDEnds{ULID: addr, At: until})
			l.changed()
		}
	}
	l.valid = valid
	for _, h := range l.hints {
		l.handle(h)
	}
	l.hints = nil
}

// refreshSoon is refresh, but not more often than each refreshGap: routes can change by the thousand.
func (l *Loop) refreshSoon() {
	if next := l.refreshed.Add(refreshGap); l.now.Before(next) {
		l.refreshAt = next
		return
	}
	l.refresh()
}

// usable picks the addresses that may be a source (RFC 5534 section 3.1) on the interfaces of the configuration,
// those that are not deprecated first.
func (l *Loop) usable(list []rtnl.Address) []rtnl.Address {
	list = slices.DeleteFunc(slices.Clone(list), func(a rtnl.Address) bool {
		return !a.MayBeSource() || !l.cfg.Includes(a.Link)
	})
	slices.SortStableFunc(list, func(a, b rtnl.Address) int {
		switch {
		case a.Deprecated == b.Deprecated:
			return 0
		case a.Deprecated:
			return 1
		}
		return -1
	})
	return list
}

func (l *Loop) sameLocators(told []engine.LocalLocator) bool {
	return l.told != nil && slices.EqualFunc(l.told, told, func(a, b engine.LocalLocator) bool {
		return a.Addr == b.Addr && a.KeyID == b.KeyID && a.Preference == b.Preference && a.Cost == b.Cost && slices.Equal(a.PDS, b.PDS)
	})
}

func proof(p *cga.Params) string {
	if mp, err := p.MultiPrefix(); err == nil && mp != nil {
		return "HBA"
	}
	return "CGA"
}

// keySettled is how old the key directory's last change must be before one look at it counts: files may still be written.
const keySettled = 2 * time.Second

// loadKeys reads the key directory unless it is known not to have changed: keys come with the addresses that they prove.
func (l *Loop) loadKeys() {
	var stamp time.Time
	if st, err := os.Stat(l.cfg.Keys); err == nil && l.now.Sub(st.ModTime()) > keySettled {
		stamp = st.ModTime()
	}
	if l.keys != nil && l.keyErr == nil && !stamp.IsZero() && stamp.Equal(l.keyStamp) {
		return
	}
	keys, err := l.ports.LoadKeys(l.cfg.Keys)
	if err != nil && (l.keyErr == nil || l.keyErr.Error() != err.Error()) {
		l.log.Warn("not every key can be used", "error", err)
	}
	l.keys, l.keyErr, l.keyStamp = keys, err, stamp
}

// SPDX-License-Identifier: MIT

package shim6

import (
	"net/netip"
	"slices"

	"shim6/daemon/wire"
)

// maxElement is the length of an element of Locator Preferences with priority and weight.
const maxElement = 3

// preferences gives the option about the listed locators of a set, nil where nothing is to be said.
func (s LocatorSet) preferences() *wire.LocatorPreferences {
	p := &wire.LocatorPreferences{Generation: s.Generation}
	for _, l := range s.Locators[:s.listed()] {
		e := wire.Preference{Priority: l.Priority, Weight: l.Weight}
		size := uint8(0)
		if l.Broken {
			e.Flags |= wire.FlagBroken
		}
		if l.Transient {
			e.Flags |= wire.FlagTransient
		}
		switch {
		case l.Priority != 0 || l.Weight != 0:
			size = maxElement
		case e.Flags != 0:
			size = 1
		}
		p.ElementLen = max(p.ElementLen, size)
		p.Elements = append(p.Elements, e)
	}
	if p.ElementLen == 0 {
		return nil
	}
	return p
}

// everyPreference is preferences where what was said before is to be taken back.
func (s LocatorSet) everyPreference() *wire.LocatorPreferences {
	if p := s.preferences(); p != nil || s.listed() == 0 {
		return p
	}
	return &wire.LocatorPreferences{
		Generation: s.Generation, ElementLen: 1, Elements: make([]wire.Preference, s.listed()),
	}
}

// prefer takes over the elements of Locator Preferences, one for each listed locator.
func (s LocatorSet) prefer(elements []wire.Preference) {
	for i, e := range elements {
		s.Locators[i].Preference = Preference{
			Broken: e.Flags&wire.FlagBroken != 0, Transient: e.Flags&wire.FlagTransient != 0,
			Priority: e.Priority, Weight: e.Weight,
		}
	}
}

// samePreferences tells whether two sets of the same locators say the same about them.
func (s LocatorSet) samePreferences(t LocatorSet) bool {
	for _, l := range s.Locators {
		if i := t.find(l.Addr); i >= 0 && t.Locators[i].Preference != l.Preference {
			return false
		}
	}
	return true
}

// tells tells whether two sets are the same list with the same preferences.
func (s LocatorSet) tells(t LocatorSet) bool {
	return s.Generation == t.Generation && s.samePreferences(t)
}

// preferredBy gives a set with the preferences that prefer says of the listed locators.
func (s LocatorSet) preferredBy(prefer func(netip.Addr) Preference) LocatorSet {
	t := LocatorSet{Generation: s.Generation, Locators: slices.Clone(s.Locators)}
	for i, l := range t.Locators {
		if l.Method != 0 {
			t.Locators[i].Preference = prefer(l.Addr)
		}
	}
	return t
}

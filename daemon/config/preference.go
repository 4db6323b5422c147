// SPDX-License-Identifier: MIT

package config

import (
	"fmt"
	"math"
	"net/netip"
	"slices"

	"gopkg.in/yaml.v3"
)

// A Preference says how the local addresses of a prefix are used, here and by peers, which are told (RFC 5533 section
// 5.15.3): the lowest priority first, and within one the more weight the likelier. Peers are not told the cost: of addresses of
// the same priority the cheapest is the first that something is sent from.
type Preference struct {
	Prefix    netip.Prefix
	Priority  uint8
	Weight    uint8
	Cost      uint8
	Transient bool
}

// PreferenceOf gives the preference of the longest prefix that an address is in, or one that says nothing.
func (c *Config) PreferenceOf(addr netip.Addr) Preference {
	var best Preference
	for _, p := range c.Preferences {
		if p.Prefix.Contains(addr) && (!best.Prefix.IsValid() || p.Prefix.Bits() > best.Prefix.Bits()) {
			best = p
		}
	}
	return best
}

// preferences reads a mapping from prefixes of local addresses. The keys below one that is for certain peers lack transient,
// which is for telling.
func preferences(to *[]Preference, told bool) key {
	return key{example: "2001:db8:a1::/48: {priority: 10}", each: func(name string) (map[string]key, error) {
		prefix, err := netip.ParsePrefix(name)
		switch {
		case err != nil || !prefix.Addr().Is6() || prefix != prefix.Masked():
			return nil, fmt.Errorf("%q is not an IPv6 prefix such as 2001:db8:a1::/48", name)
		case slices.ContainsFunc(*to, func(p Preference) bool { return p.Prefix == prefix }):
			return nil, fmt.Errorf("%v is given twice", prefix)
		}
		*to = append(*to, Preference{Prefix: prefix})
		p := &(*to)[len(*to)-1]
		keys := map[string]key{
			"priority": {set: octet(&p.Priority)}, "weight": {set: octet(&p.Weight)}, "cost": {set: octet(&p.Cost)},
		}
		if told {
			keys["transient"] = key{set: boolean(&p.Transient)}
		}
		return keys, nil
	}}
}

func octet(to *uint8) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		var v int
		if err := integer(&v, 0, math.MaxUint8)(n); err != nil {
			return err
		}
		*to = uint8(v)
		return nil
	}
}

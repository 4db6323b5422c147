// SPDX-License-Identifier: MIT

package config

import (
	"fmt"
	"math"
	"net/netip"

	"gopkg.in/yaml.v3"
)

// preferencesMax bounds the list of preferences.
const preferencesMax = 256

// A Preference says how the local addresses of a prefix are used, here and by peers, which are told (RFC 5533 section
// 5.15.3): the lowest priority first, and within one the more weight the likelier.
type Preference struct {
	Prefix    netip.Prefix
	Priority  uint8
	Weight    uint8
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

// preferences reads a mapping from prefixes to mappings.
func preferences(to *[]Preference) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		if n.Kind != yaml.MappingNode {
			return fmt.Errorf("prefixes such as 2001:db8:a1::/48: {priority: 10} are needed, not a %s", kindName(n))
		}
		if len(n.Content)/2 > preferencesMax {
			return fmt.Errorf("%d prefixes, at most %d", len(n.Content)/2, preferencesMax)
		}
		var list []Preference
		seen := make(map[netip.Prefix]bool)
		for i := 0; i+1 < len(n.Content); i += 2 {
			p, err := preference(n.Content[i], n.Content[i+1])
			if err != nil {
				return err
			}
			if seen[p.Prefix] {
				return fmt.Errorf("%v is given twice", p.Prefix)
			}
			seen[p.Prefix] = true
			list = append(list, p)
		}
		*to = list
		return nil
	}
}

func preference(prefix, value *yaml.Node) (p Preference, err error) {
	if p.Prefix, err = netip.ParsePrefix(prefix.Value); err != nil || prefix.Kind != yaml.ScalarNode || !p.Prefix.Addr().Is6() || p.Prefix != p.Prefix.Masked() {
		return p, fmt.Errorf("%q is not an IPv6 prefix such as 2001:db8:a1::/48", prefix.Value)
	}
	if value.Kind != yaml.MappingNode {
		return p, fmt.Errorf("%v: keys with values are needed, not a %s", p.Prefix, kindName(value))
	}
	var priority, weight int
	set := map[string]func(*yaml.Node) error{
		"priority": integer(&priority, 0, math.MaxUint8), "weight": integer(&weight, 0, math.MaxUint8), "transient": boolean(&p.Transient),
	}
	for i := 0; i+1 < len(value.Content); i += 2 {
		name := value.Content[i].Value
		if set[name] == nil {
			return p, fmt.Errorf("%v: %q is none of priority, weight and transient, or given twice", p.Prefix, name)
		}
		if err := set[name](value.Content[i+1]); err != nil {
			return p, fmt.Errorf("%v: %s: %w", p.Prefix, name, err)
		}
		delete(set, name)
	}
	p.Priority, p.Weight = uint8(priority), uint8(weight)
	return p, nil
}

// SPDX-License-Identifier: MIT

package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"slices"

	"shim6/daemon/ctl"
)

// most is how many pairs can be ranked.
const most = 64

// costs are what a file says.
type costs struct {
	// Network gives each name its prefixes (RFC 7285 section 11.2.1).
	Network map[string]struct {
		IPv6 []netip.Prefix `json:"ipv6"`
	} `json:"network-map"`
	// Cost is that from the first name to the second (RFC 7285 section 11.2.3).
	Cost map[string]map[string]float64 `json:"cost-map"`
}

func load(file string) (*costs, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	m := new(costs)
	if err := json.Unmarshal(raw, m); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	for from, to := range m.Cost {
		for name := range to {
			if m.Network[from].IPv6 == nil || m.Network[name].IPv6 == nil {
				return nil, fmt.Errorf("%s: there is a cost from %s to %s, but no prefix of one of them", file, from, name)
			}
		}
	}
	return m, nil
}

// name gives that of the longest prefix that an address is in, nothing for none.
func (m *costs) name(a netip.Addr) (name string) {
	bits := -1
	for n, x := range m.Network {
		for _, p := range x.IPv6 {
			if p.Contains(a) && p.Bits() > bits {
				name, bits = n, p.Bits()
			}
		}
	}
	return name
}

// order gives the pairs whose cost is known, the cheapest first and among equals in the order of the locators.
func (m *costs) order(c ctl.Context) []ctl.Pair {
	type priced struct {
		ctl.Pair
		cost float64
	}
	var all []priced
	for _, l := range c.LocatorsLocal {
		for _, p := range c.LocatorsPeer {
			if cost, ok := m.Cost[m.name(l.Addr)][m.name(p.Addr)]; ok && p.Verified {
				all = append(all, priced{ctl.Pair{Local: l.Addr, Peer: p.Addr}, cost})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b priced) int { return cmp.Compare(a.cost, b.cost) })
	pairs := []ctl.Pair{}
	for _, p := range all[:min(len(all), most)] {
		pairs = append(pairs, p.Pair)
	}
	return pairs
}

// SPDX-License-Identifier: MIT

package config

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"gopkg.in/yaml.v3"
)

// A Peer says what is different for peers whose ULID is in a prefix; of several the longest prefix counts.
type Peer struct {
	Prefix      netip.Prefix
	Protect     bool // otherwise there is no new context, whoever asks for it
	Trigger     Trigger
	SendTimeout *time.Duration // nil, like the next two, for what holds for all
	Teardown    *time.Duration
	FailBack    *time.Duration
	Preferences []Preference // of local addresses towards these peers, who are not told
}

// A Trigger says what makes this host ask a peer for a context.
type Trigger string

// The values of trigger.
const (
	TriggerHeuristic Trigger = "heuristic" // the heuristics of the kernel module
	TriggerAtOnce    Trigger = "at-once"   // any flow that they do not refuse to follow
	TriggerNever     Trigger = "never"     // nothing: the peer has to ask
)

// AtOnce tells whether any flow to a peer is worth a context.
func (c *Config) AtOnce(peer netip.Addr) bool {
	p := c.PeerOf(peer)
	return p != nil && p.Protect && p.Trigger == TriggerAtOnce
}

// AnyAtOnce tells whether AtOnce is true for some peer.
func (c *Config) AnyAtOnce() bool {
	return slices.ContainsFunc(c.Peers, func(p Peer) bool { return p.Protect && p.Trigger == TriggerAtOnce })
}

// PeerOf gives what holds for a peer, nil for nothing in particular.
func (c *Config) PeerOf(addr netip.Addr) (best *Peer) {
	for i := range c.Peers {
		if p := &c.Peers[i]; p.Prefix.Contains(addr) && (best == nil || p.Prefix.Bits() > best.Prefix.Bits()) {
			best = p
		}
	}
	return best
}

// peers reads a mapping from prefixes, or addresses, of peers.
func peers(to *[]Peer) key {
	return key{example: "2001:db8:b1::/48: {protect: false}", each: func(name string) (map[string]key, error) {
		prefix, err := netip.ParsePrefix(name)
		if addr, addrErr := netip.ParseAddr(name); addrErr == nil && addr.Zone() == "" {
			prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		switch {
		case err != nil || !prefix.Addr().Is6() || prefix != prefix.Masked():
			return nil, fmt.Errorf("%q is neither an IPv6 prefix such as 2001:db8:b1::/48 nor an address", name)
		case slices.ContainsFunc(*to, func(p Peer) bool { return p.Prefix == prefix }):
			return nil, fmt.Errorf("%v is given twice", prefix)
		}
		*to = append(*to, Peer{Prefix: prefix, Protect: true, Trigger: TriggerHeuristic})
		p := &(*to)[len(*to)-1]
		return map[string]key{
			"protect":      {set: boolean(&p.Protect)},
			"trigger":      {set: oneOf(&p.Trigger, TriggerHeuristic, TriggerAtOnce, TriggerNever)},
			"send_timeout": {set: given(&p.SendTimeout, sendTimeout)},
			"teardown":     {set: given(&p.Teardown, teardown)},
			"fail_back":    {set: given(&p.FailBack, failBack)},
			"preferences":  preferences(&p.Preferences, false),
		}, nil
	}}
}

// given reads a duration that may be left out.
func given(to **time.Duration, set func(*time.Duration) func(*yaml.Node) error) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		var d time.Duration
		if err := set(&d)(n); err != nil {
			return err
		}
		*to = &d
		return nil
	}
}

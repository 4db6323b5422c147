// SPDX-License-Identifier: MIT

package daemon

import (
	"fmt"
	"net/netip"
	"time"
)

// A Pair is a local and a peer's locator.
type Pair struct {
	Local netip.Addr `json:"local"`
	Peer  netip.Addr `json:"peer"`
}

func (p Pair) String() string { return fmt.Sprintf("%v -> %v", p.Local, p.Peer) }

// A Locator is one of a context.
type Locator struct {
	Addr     netip.Addr `json:"addr"`
	Verified bool       `json:"verified"`
	Broken   bool       `json:"broken"` // its host says so
	Priority uint8      `json:"priority"`
}

// Usable returns the addresses of a list that may be used.
func Usable(list []Locator) []netip.Addr {
	var addrs []netip.Addr
	for _, l := range list {
		if l.Verified && !l.Broken {
			addrs = append(addrs, l.Addr)
		}
	}
	return addrs
}

// A Context is what shim6ctl tells of one, as far as the cases look at it.
type Context struct {
	Tag            string     `json:"tag"`
	TagPeer        string     `json:"tag_peer"`
	ULIDLocal      netip.Addr `json:"ulid_local"`
	ULIDPeer       netip.Addr `json:"ulid_peer"`
	State          string     `json:"state"`
	Reap           string     `json:"reap"`
	Current        Pair       `json:"current"`
	LocatorsLocal  []Locator  `json:"locators_local"`
	LocatorsPeer   []Locator  `json:"locators_peer"`
	SendTimeoutMS  int64      `json:"send_timeout_ms"`
	ProbesSent     uint64     `json:"probes_sent"`
	ProbesReceived uint64     `json:"probes_received"`
}

// Established waits until a daemon has an ESTABLISHED context for a pair of ULIDs.
func (d *Daemon) Established(local, peer netip.Addr, limit time.Duration) (*Context, error) {
	var list []Context
	var err error
	for start := time.Now(); time.Since(start) < limit; time.Sleep(100 * time.Millisecond) {
		if list, err = d.Contexts(); err != nil {
			continue
		}
		for _, c := range list {
			if c.ULIDLocal == local && c.ULIDPeer == peer && c.State == "ESTABLISHED" {
				return &c, nil
			}
		}
	}
	return nil, fmt.Errorf("no ESTABLISHED context for %v -> %v in %s after %v, but %v (%v)", local, peer, d.node.Name, limit, list, err)
}

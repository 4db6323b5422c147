// SPDX-License-Identifier: MIT

// Package kernel carries out the actions of cgad/autoconf in the network namespace of the process and tells it what
// happens there. Rules and routes carry a protocol number of their own; others are never touched.
package kernel

import (
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"shim6/cgad/autoconf"
)

// Protocol marks the rules and routes made here; it is the IP protocol number of Shim6.
const Protocol = 140

// A Kernel is the network configuration of the namespace.
type Kernel struct {
	settings settings

	mu       sync.Mutex // held over a change and its note, so that an audit sees both or neither
	priority [4]int     // of rules, by position
	routes   map[autoconf.Route]bool
	rules    map[autoconf.Rule]bool
}

// New removes the rules and routes that an earlier run left behind and looks where rules are to go. The state file
// remembers the settings that Manage changes until they are put back, over a crash too.
func New(stateFile string) (*Kernel, error) {
	k := &Kernel{
		settings: newSettings(stateFile),
		routes:   make(map[autoconf.Route]bool),
		rules:    make(map[autoconf.Rule]bool),
	}
	if err := removeAll(); err != nil {
		return nil, err
	}
	var err error
	if k.priority, err = priorities(); err != nil {
		return nil, err
	}
	return k, nil
}

// Close removes the rules and routes that are left.
func (k *Kernel) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return removeAll()
}

// Apply carries out an action about addresses, routes, rules or settings. What is done already is no error.
func (k *Kernel) Apply(action autoconf.Action) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch x := action.(type) {
	case autoconf.AddAddress:
		return setAddress(x.Link, x.Addr, x.Valid, x.Preferred)
	case autoconf.SetLifetimes:
		return setAddress(x.Link, x.Addr, x.Valid, x.Preferred)
	case autoconf.DeleteAddress:
		return deleteAddress(x.Link, x.Addr)
	case autoconf.Deprecate:
		return deprecate(x.Link, x.Addr)
	case autoconf.AddRoute:
		// Noted even if it fails: the next full audit misses it, and it is tried again.
		k.routes[x.Route] = true
		return addRoute(x.Route)
	case autoconf.DeleteRoute:
		delete(k.routes, x.Route)
		return deleteRoute(x.Route)
	case autoconf.AddRule:
		k.rules[x.Rule] = true
		return k.addRule(x.Rule)
	case autoconf.DeleteRule:
		delete(k.rules, x.Rule)
		return k.deleteRule(x.Rule)
	case autoconf.Manage:
		return k.settings.manage(x.Link)
	case autoconf.Release:
		return k.settings.release(x.Link)
	}
	return fmt.Errorf("action %T is not for the kernel", action)
}

// unless drops an error that is one of those.
func unless(err error, allowed ...unix.Errno) error {
	for _, e := range allowed {
		if errors.Is(err, e) {
			return nil
		}
	}
	return err
}

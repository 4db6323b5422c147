// SPDX-License-Identifier: MIT

// Package radvd has routers advertise themselves with the distribution's radvd.
package radvd

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"shim6/test/lab/node"
)

// An Advertisement is what a router says.
type Advertisement struct {
	Preference string // of the default router: low, medium or high
	NoDefault  bool   // it is no default router
	Prefixes   []Prefix
}

// A Prefix is one in which hosts make their addresses.
type Prefix struct {
	Prefix           netip.Prefix
	Valid, Preferred time.Duration
}

// maxInterval is how often, at least, the router advertises; the shortest that radvd takes without words.
const maxInterval = 10 * time.Second

// Lifetime is how long the router is a default router after an advertisement.
const Lifetime = 3 * maxInterval

// A Router is a radvd that runs in a node.
type Router struct {
	process *node.Process
	file    string
	device  string
	gone    bool
}

// Start starts to advertise on a device. The log goes to a file.
func Start(n *node.Node, device, log string, a Advertisement) (*Router, error) {
	dir := filepath.Join("/run", "radvd-"+n.Name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	r := &Router{file: filepath.Join(dir, "radvd.conf"), device: device}
	if err := r.write(a); err != nil {
		return nil, err
	}
	var err error
	r.process, err = n.Launch(log, "radvd", "--nodaemon", "--config", r.file, "--pidfile", filepath.Join(dir, "radvd.pid"),
		"--logmethod", "stderr", "--debug", "1")
	return r, err
}

// Say changes what the router advertises, at once.
func (r *Router) Say(a Advertisement) error {
	if err := r.write(a); err != nil {
		return err
	}
	return r.process.Hangup()
}

// Stop has the router say goodbye and end, unless it has vanished.
func (r *Router) Stop() error {
	if r.gone {
		return nil
	}
	return r.process.Stop()
}

// Vanish ends the router without a word.
func (r *Router) Vanish() {
	r.process.Kill()
	r.gone = true
}

func (r *Router) write(a Advertisement) error {
	var b strings.Builder
	lifetime := Lifetime
	if a.NoDefault {
		lifetime = 0
	}
	fmt.Fprintf(&b, "interface %s {\n  AdvSendAdvert on;\n  MinRtrAdvInterval 3;\n  MaxRtrAdvInterval %d;\n  AdvDefaultLifetime %d;\n",
		r.device, int(maxInterval.Seconds()), int(lifetime.Seconds()))
	if a.Preference != "" {
		fmt.Fprintf(&b, "  AdvDefaultPreference %s;\n", a.Preference)
	}
	for _, p := range a.Prefixes {
		fmt.Fprintf(&b, "  prefix %v {\n    AdvValidLifetime %d;\n    AdvPreferredLifetime %d;\n  };\n",
			p.Prefix, int(p.Valid.Seconds()), int(p.Preferred.Seconds()))
	}
	// Options that a host has to live with, whoever handles them.
	fmt.Fprintf(&b, "  RDNSS 2001:db8:53::53 { };\n  DNSSL example.net { };\n};\n")
	return os.WriteFile(r.file, []byte(b.String()), 0o644)
}

// SPDX-License-Identifier: MIT

// Package config reads the configuration file of shim6d: YAML without any key or value that it does not know.
package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"
)

// DefaultPath is where shim6d looks for its configuration.
const DefaultPath = "/etc/shim6/shim6.yaml"

// maxSize bounds the file that is read.
const maxSize = 1 << 20

// A Config is a valid configuration.
type Config struct {
	Server      bool          // contexts are made when peers ask; other keys have other defaults
	Keys        string        // directory with private keys and CGA Parameter Data Structures
	Socket      string        // path of the control socket
	SocketGroup string        // group that may use it; empty for the group of the process
	State       string        // file that carries contexts over a restart; empty for contexts.json beside Socket
	SendTimeout time.Duration // RFC 5534 section 7
	Teardown    time.Duration // an idle context is dropped after this long; zero keeps it
	FailBack    time.Duration // how long a preferred path must be good until payload returns to it; zero for never
	Hints       Hints
	Heuristic   string // the kernel's name of the rule that asks for contexts
	TCPKick     bool   // retransmit at once after a path change
	GSO         GSO
	GSODevices  []GSODevice // where it is another, the first that matches counts
	MarkMask    uint32      // bits of the packet mark that choose a path; zero for the current path alone
	Interfaces  []string
	Preferences []Preference
	Peers       []Peer
	Metrics     string // loopback address and port where Prometheus can read the counters; empty for nowhere
	Log         Log
	Limits      Limits
}

// Hints say what makes a path be probed before the Send Timeout (RFC 5534 sections 3.2 and 3.3).
type Hints struct {
	Link  bool // the carrier of an interface is lost
	Route bool // the route to a peer is lost
	ICMP  bool // an ICMPv6 Destination Unreachable about payload
	RTO   bool // the retransmission timer of a TCP connection expires
}

// A GSO says who segments large packets.
type GSO string

// The values of gso.
const (
	GSOAuto    GSO = "auto"    // the kernel where it segments for the device, the module elsewhere
	GSOSegment GSO = "segment" // the kernel module
	GSOWhole   GSO = "whole"   // the device
)

// A GSODevice says it for the devices that a pattern matches.
type GSODevice struct {
	Pattern string // with * and ?
	GSO     GSO
}

// A Log says what is logged and how.
type Log struct {
	Level  string // debug, info, warn or error
	Format string // text or json
}

// Limits bound what peers can make the daemon hold and do. Rates are per second and source prefix of 64 bits.
type Limits struct {
	Contexts     int // of all states
	Verifying    int // verifications of a peer's locators that run or wait
	Waiting      int // messages that wait for our own signature
	R1Rate       int // answers to I1
	VerifyRate   int // verifications
	RecoveryRate int // R1bis, which answer payload of unknown contexts
	ErrorRate    int // Error messages
}

// Default returns the configuration of an empty file.
func Default() *Config {
	return &Config{
		Keys:        "/etc/shim6/keys",
		Socket:      "/run/shim6/shim6.sock",
		SendTimeout: 15 * time.Second,
		Teardown:    10 * time.Minute,
		FailBack:    time.Minute,
		Hints:       Hints{Link: true, Route: true},
		Heuristic:   "default",
		TCPKick:     true,
		GSO:         GSOAuto,
		Log:         Log{Level: "info", Format: "text"},
		Limits: Limits{
			Contexts: 16384, Verifying: 64, Waiting: 64, R1Rate: 100, VerifyRate: 20, RecoveryRate: 10, ErrorRate: 5,
		},
	}
}

// serve changes the defaults to those of a host that many clients come to: they ask for contexts where they want them, so that
// no flow is followed here, and contexts of clients that went are not kept for long (LinShim6's paper, figure 11).
func (c *Config) serve() {
	c.Server = true
	c.Heuristic = "none"
	c.Teardown = 2 * time.Minute
	c.Limits.Contexts = 100000
}

// Load reads the file at the path. A file that does not exist counts as empty unless it must exist.
func Load(file string, mustExist bool) (*Config, error) {
	f, err := os.Open(file)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !mustExist:
		return Default(), nil
	case err != nil:
		return nil, err
	}
	defer f.Close()
	return Parse(f, file)
}

// Parse reads a configuration. Its error joins everything that is wrong, one line each: name, line, key and what is wrong.
func Parse(r io.Reader, name string) (*Config, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxSize+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(b) > maxSize {
		return nil, fmt.Errorf("%s: larger than %d octets", name, maxSize)
	}
	c := Default()
	p := parser{name: name}
	if root := p.document(b); root != nil {
		if isServer(root) {
			c.serve()
		}
		p.mapping(root, "", c.keys())
	}
	if len(p.errs) > 0 {
		return nil, errors.Join(p.errs...)
	}
	return c, nil
}

// StateFile is the path of the file that carries contexts over a restart.
func (c *Config) StateFile() string {
	if c.State != "" {
		return c.State
	}
	return filepath.Join(filepath.Dir(c.Socket), "contexts.json")
}

// Includes reports whether the addresses of the interface with this name may be locators.
func (c *Config) Includes(link string) bool {
	for _, pattern := range c.Interfaces {
		// The pattern was checked when it was read.
		if ok, _ := path.Match(pattern, link); ok {
			return true
		}
	}
	return len(c.Interfaces) == 0
}

// Warnings tells what is allowed but unwise.
func (c *Config) Warnings() []string {
	w := unwise("send_timeout", c.SendTimeout)
	for _, p := range c.Peers {
		if p.SendTimeout != nil {
			w = append(w, unwise(fmt.Sprintf("peers.%v.send_timeout", p.Prefix), *p.SendTimeout)...)
		}
		if p.Trigger == TriggerAtOnce && p.Protect && c.Heuristic == "none" {
			w = append(w, fmt.Sprintf("peers.%v.trigger: at-once comes to nothing with heuristic none, which follows no flow", p.Prefix))
		}
	}
	return w
}

// unwise tells what is unwise about a Send Timeout.
func unwise(key string, d time.Duration) (w []string) {
	// RFC 5534 section 7: a Send Timeout that is changed SHOULD be from 10 to 100 seconds.
	if d < 10*time.Second || d > 100*time.Second {
		w = append(w, fmt.Sprintf("%s: %v is outside the 10s to 100s that RFC 5534 recommends", key, d))
	}
	if d%time.Second != 0 {
		w = append(w, fmt.Sprintf("%s: peers are told whole seconds, %v is rounded up for them", key, d))
	}
	return w
}

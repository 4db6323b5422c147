// SPDX-License-Identifier: MIT

// Package config reads the configuration file of cgad: YAML without any key or value that it does not know.
package config

import (
	"errors"
	"io/fs"
	"net/netip"
	"os"

	"shim6/cgad/autoconf"
)

// DefaultPath is where cgad looks for its configuration.
const DefaultPath = "/etc/shim6/cgad.yaml"

// A Config is a valid configuration.
type Config struct {
	Keys       string // directory with private keys and CGA parameters, shared with shim6d
	Socket     string // of the status interface
	Metrics    string // loopback address and port where metrics are served; empty for none
	State      string // file that remembers changed settings until they are put back
	Interfaces []string
	Routers    []netip.Addr
	Key        string // name of the key; empty for the first there is
	Sec        uint8
	Links      map[string]string // interface to the name of its key
	Addresses  []Address         // in the order of their prefixes
	Sets       []Set             // in the order of their names
	Routing    bool
	TableBase  uint32
	Existing   autoconf.Existing
	OnStop     OnStop
	Log        Log
	Limits     autoconf.Limits
}

// An Address is a prefix with a key of its own.
type Address struct {
	Prefix netip.Prefix
	Addr   netip.Addr // that the key must give there; the zero Addr for any
	Key    string
}

// A Set is an HBA set.
type Set struct {
	Name     string
	Prefixes []netip.Prefix // in the order that is hashed
	Key      string         // name of the key that makes it CGA-compatible; empty for a set without a key
	Sec      uint8
}

// An OnStop says what is taken away at the end, besides the rules and routes.
type OnStop string

// The values of on_stop.
const (
	KeepAddresses   OnStop = "keep-addresses" // they live as long as their lifetimes
	RemoveAddresses OnStop = "remove-addresses"
)

// A Log says what is logged and how.
type Log struct {
	Level  string // debug, info, warn or error
	Format string // auto, text, json or journal
}

// Default returns the configuration of an empty file.
func Default() *Config {
	return &Config{
		Keys:      "/etc/shim6/keys",
		Socket:    "/run/shim6/cgad.sock",
		State:     "/run/shim6/cgad.json",
		Sec:       1,
		Routing:   true,
		TableBase: 0x53360000,
		Existing:  autoconf.DeprecateThem,
		OnStop:    KeepAddresses,
		Log:       Log{Level: "info", Format: "auto"},
		Limits:    autoconf.DefaultLimits(),
	}
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

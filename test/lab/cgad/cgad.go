// SPDX-License-Identifier: MIT

// Package cgad runs cgad in a node and asks it with its own command, as an operator would.
package cgad

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"shim6/test/lab/node"
)

// A Daemon is a cgad in a node.
type Daemon struct {
	node         *node.Node
	process      *node.Process
	config, log  string
	socket, keys string
}

// New prepares a daemon with a key directory. Its log goes to a file, one JSON object a line.
func New(n *node.Node, log, keys string) (*Daemon, error) {
	dir := filepath.Join("/run", "cgad-"+n.Name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	d := &Daemon{node: n, log: log, config: filepath.Join(dir, "cgad.yaml"), socket: filepath.Join(dir, "cgad.sock"), keys: keys}
	return d, d.Configure("")
}

// Configure writes the configuration, with more lines of YAML; a daemon that runs reads it at the next Reload.
func (d *Daemon) Configure(more string) error {
	yaml := fmt.Sprintf("keys: %s\nsocket: %s\nstate: %s\nlog: {level: debug, format: json}\n%s", d.keys, d.socket, d.socket+".state", more)
	return os.WriteFile(d.config, []byte(yaml), 0o644)
}

// Init makes the keys, if there are none.
func (d *Daemon) Init() (string, error) {
	return d.node.Output("cgad", "--config", d.config, "init")
}

// Start starts the daemon and waits until it answers.
func (d *Daemon) Start() error {
	var err error
	if d.process, err = d.node.Launch(d.log, "cgad", "--config", d.config); err != nil {
		return err
	}
	for start := time.Now(); time.Since(start) < 10*time.Second; time.Sleep(50 * time.Millisecond) {
		if !d.process.Running() {
			return fmt.Errorf("cgad in %s ended: %w", d.node.Name, d.process.Stop())
		}
		if _, err = d.Status(); err == nil {
			return nil
		}
	}
	return fmt.Errorf("cgad in %s does not answer after 10 s: %w", d.node.Name, err)
}

// Reload has the daemon read its configuration again.
func (d *Daemon) Reload() error { return d.process.Hangup() }

// Stop ends the daemon.
func (d *Daemon) Stop() error { return d.process.Stop() }

// A Status is what cgad tells, as far as the cases look at it.
type Status struct {
	Links []struct {
		Name      string    `json:"name"`
		Addresses []Address `json:"addresses"`
	} `json:"links"`
	Rules []struct {
		Prefix netip.Prefix `json:"prefix"`
	} `json:"rules"`
}

// An Address is one that cgad has, or wants.
type Address struct {
	Link             string
	Addr             netip.Addr   `json:"addr"`
	Prefix           netip.Prefix `json:"prefix"`
	State            string       `json:"state"`
	CollisionCount   int          `json:"collision_count"`
	PreferredSeconds int64        `json:"preferred_s"`
	ValidSeconds     int64        `json:"valid_s"`
}

// Status asks for the state.
func (d *Daemon) Status() (*Status, error) {
	var out, complaint bytes.Buffer
	cmd := exec.Command("cgad", "--config", d.config, "status", "--json")
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := d.node.Start(cmd); err != nil {
		return nil, fmt.Errorf("start cgad status: %w", err)
	}
	if err := cmd.Wait(); err != nil {
		return nil, fmt.Errorf("cgad status in %s: %w: %s", d.node.Name, err, strings.TrimSpace(complaint.String()))
	}
	s := new(Status)
	if err := json.Unmarshal(out.Bytes(), s); err != nil {
		return nil, fmt.Errorf("cgad status in %s: %w", d.node.Name, err)
	}
	for i := range s.Links {
		for j := range s.Links[i].Addresses {
			s.Links[i].Addresses[j].Link = s.Links[i].Name
		}
	}
	return s, nil
}

// In returns the address in a prefix; nil when there is none.
func (s *Status) In(prefix netip.Prefix) *Address {
	for _, l := range s.Links {
		for i := range l.Addresses {
			if l.Addresses[i].Prefix == prefix {
				return &l.Addresses[i]
			}
		}
	}
	return nil
}

// Ready waits until the daemon has an address in a prefix that can be used.
func (d *Daemon) Ready(prefix netip.Prefix, limit time.Duration) (*Address, error) {
	var last *Address
	for start := time.Now(); time.Since(start) < limit; time.Sleep(100 * time.Millisecond) {
		s, err := d.Status()
		if err != nil {
			return nil, err
		}
		if last = s.In(prefix); last != nil && last.State == "ready" {
			return last, nil
		}
	}
	return nil, fmt.Errorf("no address in %v after %v: %+v", prefix, limit, last)
}

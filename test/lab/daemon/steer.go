// SPDX-License-Identifier: MIT

package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"shim6/test/lab/node"
)

// Ctl runs shim6ctl and returns what it printed; the error has what it complained about.
func (d *Daemon) Ctl(args ...string) (string, error) {
	out, err := d.ctl(args...)
	return string(out), err
}

// Launch starts a program in the daemon's node that uses its control socket.
func (d *Daemon) Launch(log, name string, args ...string) (*node.Process, error) {
	return d.node.Launch(log, name, append([]string{"--socket", d.socket}, args...)...)
}

// Write changes the daemon's configuration file: more is put behind what was there at first. Nobody reads it yet.
func (d *Daemon) Write(more string) error {
	if d.first == "" {
		raw, err := os.ReadFile(d.config)
		if err != nil {
			return err
		}
		d.first = string(raw)
	}
	return os.WriteFile(d.config, []byte(d.first+more), 0o644)
}

// Hangup asks the daemon to read its configuration again.
func (d *Daemon) Hangup() error { return d.process.Hangup() }

// An Explanation is what shim6ctl explain says of one pair of ULIDs.
type Explanation struct {
	Protected bool   `json:"protected"`
	Code      string `json:"code"`
	Steps     []struct {
		Code string `json:"code"`
	} `json:"steps"`
}

// Has tells whether a step has a code.
func (x *Explanation) Has(code string) bool {
	for _, s := range x.Steps {
		if s.Code == code {
			return true
		}
	}
	return false
}

// String gives the codes.
func (x *Explanation) String() string {
	var codes []string
	for _, s := range x.Steps {
		codes = append(codes, s.Code)
	}
	return fmt.Sprintf("%s, protected %v: %s", x.Code, x.Protected, strings.Join(codes, " "))
}

// Explain asks why what goes to a peer is protected or not; there is one answer for one local address.
func (d *Daemon) Explain(peer string) (*Explanation, error) {
	out, err := d.ctl("explain", peer, "--json")
	var list []Explanation
	if jsonErr := json.Unmarshal(out, &list); jsonErr != nil {
		return nil, fmt.Errorf("shim6ctl explain: %w", errors.Join(err, jsonErr))
	}
	if len(list) != 1 {
		return nil, fmt.Errorf("shim6ctl explain says %s", out)
	}
	if failed := err != nil; failed == list[0].Protected {
		return nil, fmt.Errorf("shim6ctl explain says protected: %v, and ends with %w", list[0].Protected, err)
	}
	return &list[0], nil
}

// SPDX-License-Identifier: MIT

// Package machine is the system that a guest with Debian runs, as root sees it: the agent is a service of it, with another root of
// the file system.
package machine

import (
	"fmt"
	"os"
	"strings"

	"shim6/test/lab/node"
)

// Root is the system's root of the file system, which process 1 has.
const Root = "/proc/1/root"

// A Machine is the system.
type Machine struct{ *node.Node }

// New returns the system as a node of that name.
func New(name string) (*Machine, error) {
	n, err := node.Home(name)
	return &Machine{n}, err
}

// Run runs a program of the system to its end and returns what it printed on both streams.
func (m *Machine) Run(name string, args ...string) (string, error) {
	return m.OutputIn(Root, "/usr/bin/env", append([]string{
		"-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", name,
	}, args...)...)
}

// Shell runs a line of the shell, as root or, with a name, as that user.
func (m *Machine) Shell(user, line string) (string, error) {
	if user == "" {
		return m.Run("sh", "-c", line)
	}
	return m.Run("runuser", "-u", user, "--", "sh", "-c", line)
}

// Read reads a file of the system.
func (m *Machine) Read(path string) (string, error) {
	raw, err := os.ReadFile(Root + path)
	return string(raw), err
}

// Probe loads modules by name.
func Probe(names ...string) error {
	m, err := New("machine")
	if err != nil {
		return err
	}
	defer m.Delete()
	if out, err := m.Run("modprobe", append([]string{"-a"}, names...)...); err != nil {
		return fmt.Errorf("modules of Debian: %w: %s", err, strings.TrimSpace(out))
	}
	return nil
}

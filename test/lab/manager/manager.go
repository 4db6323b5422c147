// SPDX-License-Identifier: MIT

// Package manager runs Debian's network managers in a node, each with the files that a user would write for it.
package manager

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"shim6/test/lab/node"
	"shim6/test/lab/report"
)

// A System is a node with the file system of the managers.
type System struct {
	*node.Node
	log func(string) string // gives the path of a log
}

const root = report.ManagerDir

// accounts are those that the managers' packages make, and ours.
const (
	users = "root:x:0:0::/:/bin/sh\nmessagebus:x:100:100::/:/bin/false\nsystemd-network:x:998:998::/:/bin/false\n" +
		"polkitd:x:997:997::/:/bin/false\nshim6:x:994:994::/:/bin/false\n"
	groups = "root:x:0:\nmessagebus:x:100:\nnetdev:x:101:\nsystemd-network:x:998:\npolkitd:x:997:\nshim6:x:994:\n"
)

const (
	networkUser = 998
	// DaemonUser is that of our daemons, and its group.
	DaemonUser = 994
)

// New prepares the file system for a node. The managers take the place of udev for granted unless /sys is read-only, as in a
// container.
func New(n *node.Node, log func(string) string) (*System, error) {
	s := &System{Node: n, log: log}
	// A service manager makes the propagation of mounts its own, for which its root must be one.
	if err := unix.Mount(root, root, "", unix.MS_BIND, ""); err != nil {
		return nil, fmt.Errorf("mount %s: %w", root, err)
	}
	for _, m := range []struct {
		kind, at string
		flags    uintptr
	}{
		{"proc", "/proc", 0}, {"sysfs", "/sys", unix.MS_RDONLY}, {"tmpfs", "/run", 0}, {"tmpfs", "/tmp", 0}, {"devtmpfs", "/dev", 0},
	} {
		at := filepath.Join(root, m.at)
		if err := os.MkdirAll(at, 0o755); err != nil {
			return nil, err
		}
		// /sys shows the network namespace of whoever mounts it.
		if err := n.Do(func() error { return unix.Mount(m.kind, at, m.kind, m.flags, "") }); err != nil {
			return nil, fmt.Errorf("mount %s: %w", at, err)
		}
	}
	for _, dir := range []string{
		"/run/dbus", "/run/network", "/run/NetworkManager", "/var/lib/NetworkManager", "/etc/network/if-up.d", "/etc/network/if-pre-up.d",
		"/etc/network/if-down.d", "/etc/network/if-post-down.d",
	} {
		if err := os.MkdirAll(root+dir, 0o755); err != nil {
			return nil, err
		}
	}
	for _, dir := range []string{"/run/systemd/netif", "/run/systemd/netif/links", "/run/systemd/netif/leases", "/run/systemd/netif/lldp"} {
		if err := errors.Join(os.MkdirAll(root+dir, 0o755), os.Chown(root+dir, networkUser, networkUser)); err != nil {
			return nil, err
		}
	}
	return s, errors.Join(
		os.Symlink("/run", root+"/var/run"),
		s.Write("/etc/passwd", users), s.Write("/etc/group", groups),
		s.Write("/etc/machine-id", "0123456789abcdef0123456789abcdef\n"),
	)
}

// Write writes a file that only root can change, and read.
func (s *System) Write(name, text string) error {
	mode := os.FileMode(0o644)
	if strings.HasSuffix(name, ".nmconnection") {
		mode = 0o600 // NetworkManager reads no other
	}
	if err := os.MkdirAll(filepath.Dir(root+name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(root+name, []byte(text), mode)
}

// Run runs a program to its end.
func (s *System) Run(name string, args ...string) (string, error) {
	return s.OutputIn(root, name, args...)
}

// Start starts a daemon.
func (s *System) Daemon(name string, args ...string) (*node.Process, error) {
	return s.LaunchIn(root, s.log(filepath.Base(name)+".log"), name, args...)
}

// Bus starts the system bus and waits for it.
func (s *System) Bus() (*node.Process, error) {
	p, err := s.Daemon("/usr/bin/dbus-daemon", "--system", "--nofork", "--nopidfile")
	if err != nil {
		return nil, err
	}
	return p, s.Await("the system bus", func() error { _, err := os.Stat(root + "/run/dbus/system_bus_socket"); return err })
}

// Await waits until something works.
func (s *System) Await(what string, works func() error) error {
	const limit = 30 * time.Second
	var err error
	for start := time.Now(); time.Since(start) < limit; time.Sleep(100 * time.Millisecond) {
		if err = works(); err == nil {
			return nil
		}
	}
	return fmt.Errorf("waited %v for %s: %w", limit, what, err)
}

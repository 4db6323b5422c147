// SPDX-License-Identifier: MIT

// Package module loads and unloads kernel modules in the guest.
package module

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Load loads the module in a file. A module that is there already is fine.
func Load(path string) error { return LoadWith(path, "") }

// LoadWith loads the module in a file with parameters, such as "a=1 b=2".
func LoadWith(path, params string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.FinitModule(int(f.Fd()), params, 0); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("load %s: %w", path, err)
	}
	return nil
}

// Unload removes a module by name. EAGAIN and EBUSY mean that something uses it.
func Unload(name string) error {
	if err := unix.DeleteModule(name, unix.O_NONBLOCK); err != nil {
		return fmt.Errorf("unload %s: %w", name, err)
	}
	return nil
}

// Users returns what /proc/modules says of a module: its size, how many use it and which modules do; empty when the kernel
// does not have it.
func Users(name string) (string, error) {
	raw, err := os.ReadFile("/proc/modules")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(raw)) {
		if strings.HasPrefix(line, name+" ") {
			return strings.TrimSpace(line), nil
		}
	}
	return "", nil
}

// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"os"
	"path/filepath"

	"shim6/test/lab/kernel"
)

// modernQEMU returns what fetch-qemu.sh left.
func modernQEMU() (string, error) {
	cache, err := kernel.CacheDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(cache, "qemu", "emulator")
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("no QEMU with instructions for SHA, run test/setup.sh qemu: %w", err)
	}
	return path, nil
}

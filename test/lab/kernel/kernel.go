// SPDX-License-Identifier: MIT

// Package kernel finds an unpacked Debian kernel and the modules that a guest needs from it.
package kernel

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// A Kernel is a Debian kernel image and its modules, unpacked by fetch-kernel.sh.
type Kernel struct {
	Series  string // "6.1" or "6.12"
	Release string // "6.12.117+deb12-amd64"
	Dir     string // where fetch-kernel.sh put it
}

// CacheDir returns the folder that outlives a build: $SHIM6_CACHE, or shim6 below the user's cache folder.
func CacheDir() (string, error) {
	if dir := os.Getenv("SHIM6_CACHE"); dir != "" {
		return dir, nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache folder: %w", err)
	}
	return filepath.Join(dir, "shim6"), nil
}

// Open finds the kernel of a series in the cache.
func Open(series string) (*Kernel, error) {
	cache, err := CacheDir()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(cache, "kernel", series)
	release, err := os.ReadFile(filepath.Join(dir, "release"))
	if err != nil {
		return nil, fmt.Errorf("kernel %s is not there, run test/lab/fetch-kernel.sh %s %s: %w", series, series, dir, err)
	}
	k := &Kernel{Series: series, Release: strings.TrimSpace(string(release)), Dir: dir}
	if _, err := os.Stat(k.Image()); err != nil {
		return nil, fmt.Errorf("kernel %s is incomplete: %w", series, err)
	}
	return k, nil
}

// Image returns the path of the bootable image.
func (k *Kernel) Image() string {
	return filepath.Join(k.Dir, "root", "boot", "vmlinuz-"+k.Release)
}

func (k *Kernel) moduleDir() string {
	return filepath.Join(k.Dir, "root", "lib", "modules", k.Release)
}

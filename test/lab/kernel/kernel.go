// SPDX-License-Identifier: MIT

// Package kernel finds an unpacked Debian kernel, or a debug kernel built from Debian's source, and the modules that a guest
// needs from it.
package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// The debug kernels' series.
const (
	DebugUML = "debug-uml" // user-mode Linux with every check
	DebugSMP = "debug-smp" // two processors, and the checks that do not cost too much there
)

// A Kernel is a kernel image and its modules, laid out by fetch-kernel.sh.
type Kernel struct {
	Series  string // "6.1", "6.12", "newest", or a debug kernel's
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

// A Need is a module that a case wants, and the option of the kernel's configuration that makes it. A kernel that is
// configured without the option has no such module; one without a named option must have the module.
type Need struct{ Module, Option string }

// Sort returns the names of the modules that the kernel must have, and the options that it was configured without.
func (k *Kernel) Sort(needs []Need) (names, lacks []string, err error) {
	options, err := k.options()
	if err != nil {
		return nil, nil, fmt.Errorf("configuration of kernel %s: %w", k.Release, err)
	}
	for _, n := range needs {
		if n.Option != "" && !options[n.Option] {
			lacks = append(lacks, n.Option)
			continue
		}
		names = append(names, n.Module)
	}
	return names, lacks, nil
}

// options returns the options that are set, as =y or =m. The file lies with the image, in newer packages with the modules.
func (k *Kernel) options() (map[string]bool, error) {
	set := map[string]bool{}
	line := func(l string) {
		if name, value, ok := strings.Cut(l, "="); ok && (value == "y" || value == "m") {
			set[name] = true
		}
	}
	err := eachLine(filepath.Join(k.Dir, "root", "boot", "config-"+k.Release), line)
	if errors.Is(err, fs.ErrNotExist) {
		err = eachLine(filepath.Join(k.moduleDir(), "config"), line)
	}
	return set, err
}

// UserMode tells whether the image is a program, user-mode Linux.
func (k *Kernel) UserMode() bool { return k.Series == DebugUML }

// Debug tells whether the kernel is a debug kernel.
func (k *Kernel) Debug() bool { return k.Series == DebugUML || k.Series == DebugSMP }

// CPUs is how many processors the kernel is for, 1 when it is for any number.
func (k *Kernel) CPUs() int {
	if k.Series == DebugSMP {
		return 2
	}
	return 1
}

func (k *Kernel) moduleDir() string {
	return filepath.Join(k.Dir, "root", "lib", "modules", k.Release)
}

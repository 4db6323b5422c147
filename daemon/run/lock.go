// SPDX-License-Identifier: MIT

package run

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ErrRuns says that there is a daemon already where another one was to start.
var ErrRuns = errors.New("another shim6d runs")

// Lock makes sure that one daemon alone uses the file of saved contexts at the path, until the returned file is closed.
func Lock(path string) (*os.File, error) {
	f, err := lock(path + ".lock")
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = fmt.Errorf("%w: it uses %s", ErrRuns, path)
	}
	return f, err
}

// LockNamespace makes sure that one daemon alone serves this network namespace, by a file in the directory: two would
// remove each other's contexts.
func LockNamespace(dir string) (*os.File, error) {
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/ns/net", &st); err != nil {
		return nil, fmt.Errorf("own network namespace: %w", err)
	}
	f, err := lock(filepath.Join(dir, fmt.Sprintf("netns-%d.lock", st.Ino)))
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = fmt.Errorf("%w: it serves this network namespace", ErrRuns)
	}
	return f, err
}

func lock(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, savedMode)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// A fileLock keeps other runs from a checkpoint. It is a file beside the checkpoint, which itself is replaced all the
// time, and holds the number of the process. A process that is killed leaves the file, but not the lock.
type fileLock struct{ f *os.File }

// lockCheckpoint takes the lock of a checkpoint; that of none is nil.
func lockCheckpoint(path string) (*fileLock, error) {
	if path == "" {
		return nil, nil
	}
	name := path + ".lock"
	for {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
		if err != nil {
			return nil, placeError(fmt.Errorf("checkpoint: %w", err))
		}
		l := &fileLock{f}
		switch held, err := l.take(); {
		case errors.Is(err, unix.EWOULDBLOCK):
			err = fmt.Errorf("%s is in use by %s", path, l.holder())
			return nil, withHint(errors.Join(err, f.Close()), "give each search a checkpoint of its own")
		case err != nil:
			return nil, errors.Join(fmt.Errorf("%s: %w", name, err), f.Close())
		case held:
			return l, nil
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
}

// take tells whether the lock is held: not when the file was removed by its holder in the meantime.
func (l *fileLock) take() (bool, error) {
	if err := unix.Flock(int(l.f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return false, err
	}
	mine, err := l.f.Stat()
	if err != nil {
		return false, err
	}
	if there, err := os.Stat(l.f.Name()); err != nil || !os.SameFile(mine, there) {
		return false, nil
	}
	// The number is a courtesy that a full disk may refuse.
	if l.f.Truncate(0) == nil {
		fmt.Fprintln(l.f, os.Getpid())
	}
	return true, nil
}

func (l *fileLock) holder() string {
	b, err := io.ReadAll(io.LimitReader(l.f, 32))
	if pid := strings.TrimSpace(string(b)); err == nil && pid != "" {
		return "process " + pid
	}
	return "another process"
}

// release removes the file while it is locked, so that nobody can hold a lock that another does not see.
func (l *fileLock) release() error {
	if l == nil {
		return nil
	}
	return errors.Join(os.Remove(l.f.Name()), l.f.Close())
}

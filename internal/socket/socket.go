// SPDX-License-Identifier: MIT

// Package socket opens the Unix sockets that the daemons are asked on.
package socket

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const (
	dirMode     = 0o755
	dialTimeout = time.Second
)

// ErrRuns says that a socket has somebody who listens.
var ErrRuns = errors.New("another process listens")

// A Listener removes its socket when it is closed.
type Listener struct {
	*net.UnixListener
	path string
}

// Listen makes a socket with these permissions at the path, for a group unless gid is -1. A socket that nobody listens on is
// replaced; one that somebody listens on is an error, and so is a file of another kind.
func Listen(path string, gid int, mode fs.FileMode) (*Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), dirMode); err != nil {
		return nil, err
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	// Bound under another name first, so that nobody can connect before the mode is right.
	tmp := fmt.Sprintf("%s.%d", path, os.Getpid())
	_ = os.Remove(tmp)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: tmp, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	// cgad's unit forbids chown, even where it would change nothing.
	if gid >= 0 {
		err = os.Chown(tmp, -1, gid)
	}
	if err == nil {
		err = os.Chmod(tmp, mode)
	}
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close(), os.Remove(tmp))
	}
	return &Listener{l, path}, nil
}

// Close stops listening and removes the socket.
func (l *Listener) Close() error {
	err := l.UnixListener.Close()
	if rmErr := os.Remove(l.path); !errors.Is(rmErr, fs.ErrNotExist) {
		err = errors.Join(err, rmErr)
	}
	return err
}

func removeStale(path string) error {
	st, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case st.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s exists and is not a socket", path)
	}
	c, err := net.DialTimeout("unix", path, dialTimeout)
	if err == nil {
		c.Close()
	}
	// Anything but a refusal means that somebody is there.
	if !errors.Is(err, unix.ECONNREFUSED) {
		return fmt.Errorf("%w on %s", ErrRuns, path)
	}
	return os.Remove(path)
}

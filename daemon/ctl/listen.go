// SPDX-License-Identifier: MIT

package ctl

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	socketMode     = 0o660
	socketDirMode  = 0o755
	maxConnections = 64
)

// ErrRuns says that a socket has somebody who listens.
var ErrRuns = errors.New("another process listens")

// A Listener accepts connections of the control socket and notes who is at the other end.
type Listener struct {
	*net.UnixListener
	path   string
	gid    int
	places places
}

// Listen makes the control socket at the path for root and the group gid. A socket that nobody listens on is replaced; one
// that somebody listens on is an error.
func Listen(path string, gid int) (*Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), socketDirMode); err != nil {
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
	err = errors.Join(os.Chown(tmp, -1, gid), os.Chmod(tmp, socketMode))
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close(), os.Remove(tmp))
	}
	return &Listener{UnixListener: l, path: path, gid: gid}, nil
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
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
	}
	// Anything but a refusal means that somebody is there.
	if !errors.Is(err, unix.ECONNREFUSED) {
		return fmt.Errorf("%w on %s", ErrRuns, path)
	}
	return os.Remove(path)
}

// Accept waits for a connection. While there are too many, of the user or of all, new ones are closed at once.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		uid, allowed, err := l.check(c)
		if err != nil || !l.places.take(uid, maxConnections) {
			c.Close()
			continue
		}
		return &peerConn{Conn: c, uid: uid, allowed: allowed, release: sync.OnceFunc(func() { l.places.free(uid) })}, nil
	}
}

// A peerConn is a connection with the credentials of the process that made it.
type peerConn struct {
	net.Conn
	uid     uint32
	allowed bool
	release func()
}

func (c *peerConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}

// check asks the kernel who made the connection and whether that is root or a member of the socket's group.
func (l *Listener) check(c *net.UnixConn) (uid uint32, allowed bool, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, false, err
	}
	var cred *unix.Ucred
	var groups []uint32
	ctlErr := raw.Control(func(fd uintptr) {
		if cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			groups, err = peerGroups(int(fd))
		}
	})
	if err = errors.Join(ctlErr, err); err != nil {
		return 0, false, err
	}
	return cred.Uid, permitted(cred, groups, l.gid), nil
}

func permitted(cred *unix.Ucred, groups []uint32, gid int) bool {
	if cred.Uid == 0 || cred.Gid == uint32(gid) {
		return true
	}
	for _, g := range groups {
		if g == uint32(gid) {
			return true
		}
	}
	return false
}

// SPDX-License-Identifier: MIT

package ctl

import (
	"errors"
	"net"
	"sync"

	"golang.org/x/sys/unix"

	"shim6/internal/socket"
)

const (
	socketMode     = 0o660
	maxConnections = 64
)

// A Listener accepts connections of the control socket and notes who is at the other end.
type Listener struct {
	*socket.Listener
	gid    int
	places places
}

// Listen makes the control socket at the path for root and the group gid.
func Listen(path string, gid int) (*Listener, error) {
	l, err := socket.Listen(path, gid, socketMode)
	if err != nil {
		return nil, err
	}
	return &Listener{Listener: l, gid: gid}, nil
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

// SPDX-License-Identifier: MIT

// Package advice tells people what to do about errors of the operating system that any program may meet.
package advice

import (
	"errors"
	"io/fs"
	"syscall"
)

// known are errors and what to do about them; the first that fits counts.
var known = []struct {
	err  error
	hint string
}{
	{fs.ErrPermission, "run it as root, or as a user who may do that"},
	{syscall.EROFS, "the file system is read-only: name a place on another one"},
	{fs.ErrNotExist, "check the name, and from which directory it counts"},
	{fs.ErrExist, "choose another name, or move what is there away"},
	{syscall.ENOTDIR, "a part of the name is a file: name a directory there"},
	{syscall.EISDIR, "name a file, not a directory"},
	{syscall.ELOOP, "a symbolic link may not be there: name the file itself"},
	{syscall.ENAMETOOLONG, "choose a shorter name"},
	{syscall.ENOSPC, "the file system is full: make room, or name a place on another one"},
	{syscall.EDQUOT, "your quota is used up: make room, or name a place on another file system"},
	{syscall.EADDRINUSE, "another process listens there: stop it, or choose another address or port"},
	{syscall.EADDRNOTAVAIL, "this host does not have that address: choose one of its own"},
}

// For gives a hint, or nothing when err is no such error.
func For(err error) string {
	for _, k := range known {
		if errors.Is(err, k.err) {
			return k.hint
		}
	}
	return ""
}

// SPDX-License-Identifier: MIT

package nl

import (
	"errors"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// ErrNotLoaded says that the kernel has no generic netlink family "shim6".
var ErrNotLoaded = errors.New("module shim6 is not loaded")

// An Error is a request that the kernel refused. errors.Is compares with its Errno.
type Error struct {
	Op      string     // what was tried
	Errno   unix.Errno // why it failed
	Message string     // the kernel's own words, often empty
}

// Error tells the operation, the kernel's words and the errno.
func (e *Error) Error() string {
	if e.Message != "" {
		return fmt.Sprintf("%s: %s: %v", e.Op, e.Message, e.Errno)
	}
	return fmt.Sprintf("%s: %v", e.Op, e.Errno)
}

// Unwrap returns the Errno.
func (e *Error) Unwrap() error { return e.Errno }

// Hint says what a person can do about err, or nothing.
func Hint(err error) string {
	switch {
	case errors.Is(err, ErrNotLoaded):
		return "load the kernel module: modprobe shim6; if there is none for this kernel: dkms status"
	case errors.Is(err, unix.EPERM):
		return "the kernel module answers only to CAP_NET_ADMIN: run as root"
	case errors.Is(err, unix.EOPNOTSUPP):
		return "the loaded module shim6 is of another version: reload it"
	}
	return ""
}

// wrap turns an error of the netlink library into an *Error where the kernel gave an errno.
func wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	var errno unix.Errno
	if !errors.As(err, &errno) {
		return fmt.Errorf("%s: %w", op, err)
	}
	e := &Error{Op: op, Errno: errno}
	var oe *netlink.OpError
	if errors.As(err, &oe) {
		e.Message = oe.Message
	}
	return e
}

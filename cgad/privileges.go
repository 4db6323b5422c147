// SPDX-License-Identifier: MIT

package main

import (
	"fmt"

	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/cap"
)

// kept is what the daemon needs once its sockets are open: it changes addresses, routes, rules and settings.
const kept = cap.NET_ADMIN

// dropPrivileges gives up every capability but kept, on all threads and for good: nothing that is executed gets one back.
func dropPrivileges() error {
	now := cap.GetProc()
	if ok, err := now.GetFlag(cap.Permitted, kept); err != nil || !ok {
		return fmt.Errorf("%v is missing: %w", kept, unix.EPERM)
	}
	// The bounding set shrinks only for who may change it; a service manager has done so already.
	if may, err := now.GetFlag(cap.Effective, cap.SETPCAP); err == nil && may {
		for c := range cap.MaxBits() {
			if there, err := cap.GetBound(c); err != nil || !there || c == kept {
				continue
			}
			if err := cap.DropBound(c); err != nil {
				return fmt.Errorf("drop %v from the bounding set: %w", c, err)
			}
		}
	}
	if _, err := cap.Prctlw(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("refuse new privileges: %w", err)
	}
	if err := cap.ResetAmbient(); err != nil {
		return fmt.Errorf("drop ambient capabilities: %w", err)
	}
	few := cap.NewSet()
	for _, f := range []cap.Flag{cap.Permitted, cap.Effective} {
		if err := few.SetFlag(f, true, kept); err != nil {
			return err
		}
	}
	if err := few.SetProc(); err != nil {
		return fmt.Errorf("drop capabilities: %w", err)
	}
	return nil
}

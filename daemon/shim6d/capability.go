// SPDX-License-Identifier: MIT

package main

import (
	"strings"

	"golang.org/x/sys/unix"
)

// needed are the capabilities that the daemon cannot do without.
var needed = []struct {
	bit  uint
	name string
}{
	{unix.CAP_NET_ADMIN, "CAP_NET_ADMIN (for the kernel module)"},
	{unix.CAP_NET_RAW, "CAP_NET_RAW (for the protocol's socket)"},
}

// missingCapabilities names those that the process does not have.
func missingCapabilities() string {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if unix.Capget(&header, &data[0]) != nil {
		// A kernel that does not tell will refuse what is missing.
		return ""
	}
	var missing []string
	for _, c := range needed {
		if data[c.bit/32].Effective&(1<<(c.bit%32)) == 0 {
			missing = append(missing, c.name)
		}
	}
	return strings.Join(missing, " and ")
}

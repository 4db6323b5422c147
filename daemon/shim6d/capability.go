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
	return missing([2]uint32{data[0].Effective, data[1].Effective})
}

func missing(effective [2]uint32) string {
	var names []string
	for _, c := range needed {
		if effective[c.bit/32]&(1<<(c.bit%32)) == 0 {
			names = append(names, c.name)
		}
	}
	return strings.Join(names, " and ")
}

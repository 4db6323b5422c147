// SPDX-License-Identifier: MIT

package run

import (
	"os"
	"strconv"
	"strings"
)

// RoomPath has the number of contexts that the kernel module takes in a network namespace.
const RoomPath = "/sys/module/shim6/parameters/max_contexts"

// Room tells how many contexts the kernel module takes: it reads RoomPath, and gives 0 where it cannot be read: a container need not see it.
func Room() int {
	raw, err := os.ReadFile(RoomPath)
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		return 0
	}
	return n
}

// SPDX-License-Identifier: MIT

// Package slab tells how much memory the kernel's objects take.
package slab

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Used returns the octets of all slabs.
func Used() (int64, error) { return memory("Slab:") }

// Unreclaimable returns the octets of slabs that hold no caches.
func Unreclaimable() (int64, error) { return memory("SUnreclaim:") }

func memory(name string) (int64, error) {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) == 3 && fields[0] == name {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("no %s in /proc/meminfo", name)
}

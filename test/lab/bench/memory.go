// SPDX-License-Identifier: MIT

package bench

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// meminfo returns /proc/meminfo in octets.
func meminfo() (map[string]int64, error) {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all := map[string]int64{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) == 3 {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			if err != nil {
				return nil, fmt.Errorf("/proc/meminfo: %w", err)
			}
			all[strings.TrimSuffix(fields[0], ":")] = kib << 10
		}
	}
	return all, lines.Err()
}

// objectSize returns what one object of a slab cache takes, its share of what the slab wastes included.
func objectSize(cache string) (int64, error) {
	var order, objects int64
	for name, at := range map[string]*int64{"order": &order, "objs_per_slab": &objects} {
		raw, err := os.ReadFile(filepath.Join("/sys/kernel/slab", cache, name))
		if err != nil {
			return 0, err
		}
		if *at, err = strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64); err != nil {
			return 0, fmt.Errorf("slab %s %s: %w", cache, name, err)
		}
	}
	if objects == 0 {
		return 0, fmt.Errorf("slab %s holds no objects", cache)
	}
	return int64(os.Getpagesize()) << order / objects, nil
}

// possibleCPUs counts those that the kernel keeps memory for.
func possibleCPUs() (int, error) {
	raw, err := os.ReadFile("/sys/devices/system/cpu/possible")
	if err != nil {
		return 0, err
	}
	first, last, many := strings.Cut(strings.TrimSpace(string(raw)), "-")
	if !many {
		last = first
	}
	n, err := strconv.Atoi(last)
	return n + 1, err
}

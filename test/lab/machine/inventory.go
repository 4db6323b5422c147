// SPDX-License-Identifier: MIT

package machine

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// An Inventory is what a system has, one thing a line, by kind.
type Inventory map[string][]string

// inventoried are the kinds, and the command that lists each. What every run of the package manager writes, and logs and caches, are
// the system's own, and so is the key that DKMS makes to sign modules. Addresses stay until their lifetime ends: flows may use them.
var inventoried = map[string]string{
	"file": `find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp \
		-o -path /var/tmp -o -path /var/log -o -path /var/cache -o -path /var/lib/dpkg -o -path /var/lib/apt -o -path /var/lib/systemd -o -name mok.key -o -name mok.pub \) -prune \
		-o -printf '%p %y %m %u:%g %l\n' && find /run -path /run/lab -prune -o -path /run/systemd -prune -o -path /run/udev -prune \
		-o -path /run/user -prune -o -path /run/credentials -prune -o -printf '%p %y %m %u:%g %l\n'`,
	"unit":      `ls -1 /run/systemd/system /run/systemd/transient /var/lib/systemd/deb-systemd-helper-enabled /var/lib/systemd/deb-systemd-user-helper-enabled 2>&1; systemctl list-units --all --plain --no-legend 'shim6*' 'cgad*'`,
	"account":   `cat /etc/passwd /etc/group /etc/shadow /etc/gshadow`,
	"package":   `dpkg-query -W -f '${Package} ${Version} ${db:Status-Abbrev}\n'`,
	"module":    `lsmod | cut -d' ' -f1`,
	"sysctl":    `sysctl -a --pattern '^net\.(ipv6|netfilter)' 2>/dev/null | grep -v -e route.gc -e stable_secret -e nf_conntrack_count`,
	"rule":      `ip -6 rule; ip rule`,
	"route":     `ip -6 route show table all | sed 's/ expires [0-9a-z]*//' | grep -v -e '^local' -e '^anycast' -e '^multicast'`,
	"netfilter": `nft list ruleset; ip xfrm state; ip xfrm policy`,
	"process":   `ps -eo user,args --no-headers | grep -e shim6 -e cgad | grep -v -e grep -e /bin/sh`,
}

// Inventory lists what the system has now.
func (m *Machine) Inventory() (Inventory, error) {
	i := make(Inventory)
	for _, kind := range Kinds() {
		out, err := m.Shell("", inventoried[kind]+"; true")
		if err != nil {
			return nil, fmt.Errorf("list of every %s: %w", kind, err)
		}
		lines := strings.Split(strings.TrimSpace(out), "\n")
		slices.Sort(lines)
		i[kind] = lines
	}
	return i, nil
}

// Kinds are the kinds that are listed.
func Kinds() []string { return slices.Sorted(maps.Keys(inventoried)) }

// Left returns the lines of each kind that there are only now, with a + before each, and those that there were only before, with a -.
func (i Inventory) Left(before Inventory) map[string][]string {
	left := make(map[string][]string)
	for kind := range i {
		for _, l := range i[kind] {
			if _, there := slices.BinarySearch(before[kind], l); !there {
				left[kind] = append(left[kind], "+"+l)
			}
		}
		for _, l := range before[kind] {
			if _, there := slices.BinarySearch(i[kind], l); !there {
				left[kind] = append(left[kind], "-"+l)
			}
		}
	}
	return left
}

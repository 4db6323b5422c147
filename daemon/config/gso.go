// SPDX-License-Identifier: MIT

package config

import (
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
)

const (
	gsoDevicesMax = 32 // that the kernel module takes
	deviceNameMax = 15 // octets
)

// gsoDevices reads a mapping from names or patterns of devices to what gso may be. The order counts.
func gsoDevices(to *[]GSODevice) func(*yaml.Node) error {
	return func(n *yaml.Node) error {
		if n.Kind != yaml.MappingNode {
			return fmt.Errorf("devices such as {eth0: whole, \"veth*\": segment} are needed, not a %s", kindName(n))
		}
		if len(n.Content)/2 > gsoDevicesMax {
			return fmt.Errorf("%d devices, at most %d", len(n.Content)/2, gsoDevicesMax)
		}
		var list []GSODevice
		seen := make(map[string]bool)
		for i := 0; i+1 < len(n.Content); i += 2 {
			name, value := n.Content[i], n.Content[i+1]
			d := GSODevice{Pattern: name.Value}
			switch {
			case name.Kind != yaml.ScalarNode || !devicePattern(d.Pattern):
				return fmt.Errorf("%q is not the name of a device or a pattern with * and ?", d.Pattern)
			case seen[d.Pattern]:
				return fmt.Errorf("%s is given twice", d.Pattern)
			}
			seen[d.Pattern] = true
			if err := oneOf(&d.GSO, GSOAuto, GSOSegment, GSOWhole)(value); err != nil {
				return fmt.Errorf("%s: %w", d.Pattern, err)
			}
			list = append(list, d)
		}
		*to = list
		return nil
	}
}

// devicePattern reports whether the kernel module takes the name for what it looks like: it knows brackets and backslashes, too.
func devicePattern(s string) bool {
	return s != "" && len(s) <= deviceNameMax && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r == 0x7f || strings.ContainsRune(`[]\/`, r)
	})
}

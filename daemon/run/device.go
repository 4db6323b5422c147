// SPDX-License-Identifier: MIT

package run

import (
	"context"
	"fmt"

	"shim6/daemon/config"
	"shim6/daemon/ctl"
	"shim6/daemon/nl"
)

var gsoModes = map[nl.GSOMode]config.GSO{
	nl.GSOAuto: config.GSOAuto, nl.GSOSegment: config.GSOSegment, nl.GSOWhole: config.GSOWhole,
}

// gsoMode is the kernel's number of what the configuration says.
func gsoMode(g config.GSO) nl.GSOMode {
	for mode, name := range gsoModes {
		if name == g {
			return mode
		}
	}
	return nl.GSOSegment
}

func gsoName(m nl.GSOMode) string {
	if name, ok := gsoModes[m]; ok {
		return string(name)
	}
	return fmt.Sprintf("mode %d", m)
}

var gsoWhys = map[nl.GSOWhy]string{
	nl.GSOWhyNetns: "gso", nl.GSOWhyDevice: "gso_devices", nl.GSOWhySoftware: "software", nl.GSOWhyHardware: "hardware",
}

func (b backend) Devices(context.Context) ([]ctl.Device, error) {
	list, err := b.l.ports.Kernel.Devices()
	if err != nil {
		return nil, err
	}
	all := make([]ctl.Device, 0, len(list))
	for _, d := range list {
		why, ok := gsoWhys[d.Why]
		if !ok {
			why = fmt.Sprintf("reason %d", d.Why)
		}
		all = append(all, ctl.Device{Name: d.Name, Index: d.Index, GSO: gsoName(d.GSO), Why: why})
	}
	return all, nil
}

// SPDX-License-Identifier: MIT

package nl

import (
	"fmt"

	"github.com/mdlayher/netlink"
)

// A GSOWhy says why a device has its mode.
type GSOWhy uint8

// The reasons.
const (
	GSOWhyNetns    GSOWhy = iota // the mode of the network namespace
	GSOWhyDevice                 // a rule that names the device
	GSOWhySoftware               // GSOAuto: the kernel segments for the device
	GSOWhyHardware               // GSOAuto: the device segments, or hands on what is whole
)

// A Device is a network device, or a rule for devices.
type Device struct {
	Name  string // in a rule a pattern with * and ?
	GSO   GSOMode
	Index int    // only read, in the answer to Devices
	Why   GSOWhy // likewise
}

// Devices reads what is done with large packets for each device of the network namespace but the loopback.
func (c *Client) Devices() ([]Device, error) {
	return get(c, "list devices", cmdDevGet, new(message), netlink.Dump, func(m *message) (Device, error) {
		return m.device, m.need(attrDevice)
	})
}

// marshal encodes a rule.
func (d *Device) marshal(ae *netlink.AttributeEncoder) error {
	if err := putName(ae, devAttrName, d.Name, deviceNameMax); err != nil {
		return err
	}
	ae.Uint8(devAttrGSOMode, uint8(d.GSO))
	return nil
}

func device(b []byte) (d Device, err error) {
	err = each(b, func(t uint16, v []byte) (err error) {
		var n uint64
		switch t {
		case devAttrName:
			d.Name, err = name(v, deviceNameMax)
		case devAttrGSOMode:
			n, err = number(v, 1)
			d.GSO = GSOMode(n)
		case devAttrIfindex:
			n, err = number(v, 4)
			d.Index = int(n)
		case devAttrGSOWhy:
			n, err = number(v, 1)
			d.Why = GSOWhy(n)
		}
		return err
	})
	if err == nil && d.Name == "" {
		err = fmt.Errorf("a device lacks a name")
	}
	return d, err
}

// SPDX-License-Identifier: MIT

package kernel

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"shim6/cgad/ra"
	"shim6/internal/rtnl"
)

const addressBits = 64

func netlinkAddr(link int, addr netip.Addr) *netlink.Addr {
	return &netlink.Addr{
		IPNet:     &net.IPNet{IP: addr.AsSlice(), Mask: net.CIDRMask(addressBits, 128)},
		LinkIndex: link,
	}
}

// seconds gives a lifetime as the kernel counts it.
func seconds(d time.Duration) int {
	if d == ra.Infinite {
		return math.MaxUint32
	}
	return int(min(d/time.Second, math.MaxUint32-1))
}

// setAddress adds an address, or changes the lifetimes of one that is there.
func setAddress(link int, addr netip.Addr, valid, preferred time.Duration) error {
	a := netlinkAddr(link, addr)
	// The prefix is on-link if an advertisement says so, and the kernel sees to that: RFC 4861 section 6.3.4.
	a.Flags = unix.IFA_F_NOPREFIXROUTE
	a.ValidLft, a.PreferedLft = seconds(valid), seconds(preferred)
	if a.ValidLft == 0 {
		return fmt.Errorf("add %v to interface %d: the valid lifetime is below a second", addr, link)
	}
	if err := netlink.AddrReplace(nil, a); err != nil {
		return fmt.Errorf("add %v to interface %d: %w", addr, link, err)
	}
	return nil
}

func deleteAddress(link int, addr netip.Addr) error {
	err := unless(netlink.AddrDel(nil, netlinkAddr(link, addr)), unix.EADDRNOTAVAIL, unix.ENODEV, unix.ENXIO)
	if err != nil {
		return fmt.Errorf("delete %v from interface %d: %w", addr, link, err)
	}
	return nil
}

// keptFlags are those of an address that stay when its lifetimes are changed.
const keptFlags = unix.IFA_F_NOPREFIXROUTE | unix.IFA_F_MANAGETEMPADDR | unix.IFA_F_HOMEADDRESS | unix.IFA_F_NODAD

// deprecate ends the preferred lifetime of an address and leaves the rest of it as it is.
func deprecate(link int, addr netip.Addr) error {
	list, err := allAddresses()
	if err != nil {
		return fmt.Errorf("deprecate %v: %w", addr, err)
	}
	for i := range list {
		a := &list[i]
		ip, _ := netip.AddrFromSlice(a.IP)
		if a.LinkIndex != link || ip != addr || a.ValidLft == 0 {
			continue
		}
		a.Flags &= keptFlags
		a.PreferedLft = 0
		if err := netlink.AddrReplace(nil, a); err != nil {
			return fmt.Errorf("deprecate %v: %w", addr, err)
		}
	}
	return nil
}

func allAddresses() ([]netlink.Addr, error) {
	return rtnl.Complete(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, netlink.FAMILY_V6) })
}

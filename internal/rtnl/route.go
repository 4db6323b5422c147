// SPDX-License-Identifier: MIT

package rtnl

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Reaches reports whether packets from src to dst have a route, through an interface that can carry them now.
func Reaches(src, dst netip.Addr) (bool, error) {
	routes, err := netlink.RouteGetWithOptions(dst.AsSlice(), &netlink.RouteGetOptions{SrcAddr: src.AsSlice()})
	switch {
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.EACCES), errors.Is(err, unix.EINVAL):
		// No route, or one that refuses: unreachable, prohibit or blackhole; EINVAL is also for a source that is gone.
		return false, nil
	case err != nil:
		return false, fmt.Errorf("route from %v to %v: %w", src, dst, err)
	}
	for _, r := range routes {
		if r.Table == SourceTable {
			continue // that of KeepSources, which leads nowhere
		}
		link, err := netlink.LinkByIndex(r.LinkIndex)
		if errors.As(err, new(netlink.LinkNotFoundError)) {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("interface %d of the route from %v to %v: %w", r.LinkIndex, src, dst, err)
		}
		if link.Attrs().RawFlags&unix.IFF_LOWER_UP != 0 {
			return true, nil
		}
	}
	return false, nil
}

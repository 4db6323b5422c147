// SPDX-License-Identifier: MIT

package rtnl

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Forever is the lifetime of an address that does not expire.
const Forever time.Duration = math.MaxInt64

// An Address is an IPv6 address of an interface.
type Address struct {
	Prefix     netip.Prefix // the address with the length of its subnet prefix
	Link       string       // the interface's name
	LinkIndex  int
	Loopback   bool // the interface is a loopback
	Up         bool // the interface is up
	Carrier    bool // and can carry packets now
	Global     bool // global or unique local scope, not link-local or site-local
	Tentative  bool // duplicate address detection goes on and the address may not be used meanwhile
	Duplicate  bool // duplicate address detection failed
	Deprecated bool
	Temporary  bool          // RFC 8981
	Valid      time.Duration // lifetimes from now on; Forever when there is no end
	Preferred  time.Duration
}

// MayBeSource reports whether packets may leave with the address as their source now: RFC 5534 section 3.1. A deprecated
// address may; an optimistic one (RFC 4429) may, being usable already; one of an interface that is down may not.
func (a Address) MayBeSource() bool {
	return a.Global && a.Up && !a.Loopback && !a.Tentative && !a.Duplicate && a.Valid > 0
}

// listAttempts bounds how often an interrupted listing is begun again.
const listAttempts = 20

// List returns the IPv6 addresses of the network namespace in the order of interface index and address.
func List() ([]Address, error) {
	links, err := Complete(netlink.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	addrs, err := Complete(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, netlink.FAMILY_V6) })
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	byIndex := make(map[int]*netlink.LinkAttrs, len(links))
	for _, l := range links {
		byIndex[l.Attrs().Index] = l.Attrs()
	}
	list := make([]Address, 0, len(addrs))
	for i := range addrs {
		// The link may have gone, or have come, between the two listings: a change is told in either case.
		if link := byIndex[addrs[i].LinkIndex]; link != nil {
			if a, ok := address(&addrs[i], link); ok {
				list = append(list, a)
			}
		}
	}
	slices.SortFunc(list, func(x, y Address) int {
		return cmp.Or(cmp.Compare(x.LinkIndex, y.LinkIndex), x.Prefix.Addr().Compare(y.Prefix.Addr()))
	})
	return list, nil
}

// Complete calls list again, a few times at the most, when a change in the middle of the listing has interrupted it.
func Complete[T any](list func() ([]T, error)) (all []T, err error) {
	for range listAttempts {
		if all, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return all, err
}

// address turns the kernel's words into an Address; it is false for what is no IPv6 address.
func address(a *netlink.Addr, link *netlink.LinkAttrs) (Address, bool) {
	if a.IPNet == nil {
		return Address{}, false
	}
	ip, ok := netip.AddrFromSlice(a.IP)
	bits, _ := a.Mask.Size()
	if !ok || !ip.Is6() || ip.Is4In6() {
		return Address{}, false
	}
	// The prefix length of a point-to-point address is that of its peer.
	if a.Peer != nil {
		bits, _ = a.Peer.Mask.Size()
	}
	has := func(flag int) bool { return a.Flags&flag != 0 }
	return Address{
		Prefix:     netip.PrefixFrom(ip, bits),
		Link:       link.Name,
		LinkIndex:  a.LinkIndex,
		Loopback:   link.Flags&net.FlagLoopback != 0,
		Up:         link.Flags&net.FlagUp != 0,
		Carrier:    link.Flags&net.FlagUp != 0 && link.RawFlags&unix.IFF_LOWER_UP != 0,
		Global:     a.Scope == unix.RT_SCOPE_UNIVERSE,
		Tentative:  has(unix.IFA_F_TENTATIVE) && !has(unix.IFA_F_OPTIMISTIC),
		Duplicate:  has(unix.IFA_F_DADFAILED),
		Deprecated: has(unix.IFA_F_DEPRECATED),
		Temporary:  has(unix.IFA_F_TEMPORARY),
		Valid:      lifetime(a.ValidLft),
		Preferred:  lifetime(a.PreferedLft),
	}, true
}

func lifetime(seconds int) time.Duration {
	if seconds < 0 || seconds >= math.MaxUint32 {
		return Forever
	}
	return time.Duration(seconds) * time.Second
}

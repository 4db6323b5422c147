// SPDX-License-Identifier: MIT

package kernel

import (
	"encoding/binary"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"shim6/cgad/autoconf"
	"shim6/internal/rtnl"
)

// A place is an address on an interface.
type place struct {
	link int
	addr netip.Addr
}

// message tells what a message means, and reports whether an audit is due.
func (w *watcher) message(m *syscall.NetlinkMessage) (audit bool) {
	switch m.Header.Type {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		// A bridge tells about its ports with messages of its own family.
		if len(m.Data) >= unix.SizeofIfInfomsg && m.Data[0] == unix.AF_UNSPEC {
			w.linkMessage(m)
			return len(w.unsure) > 0
		}
	case unix.RTM_NEWADDR:
		if a, ok := parseAddress(m.Data); ok {
			w.address(a)
		}
	case unix.RTM_DELADDR:
		if a, ok := parseAddress(m.Data); ok {
			w.addressGone(place{a.Link, a.Addr.Addr()}, a.Duplicate)
		}
	case unix.RTM_DELROUTE:
		return len(m.Data) >= unix.SizeofRtMsg && m.Data[5] == Protocol
	case unix.RTM_DELRULE:
		return true
	}
	return false
}

func (w *watcher) linkMessage(m *syscall.NetlinkMessage) {
	if m.Header.Type == unix.RTM_DELLINK {
		w.linkGone(int(int32(binary.NativeEndian.Uint32(m.Data[4:]))))
		return
	}
	if l, err := netlink.LinkDeserialize(nil, m.Data); err == nil {
		w.link(l.Attrs())
	}
}

func (w *watcher) link(l *netlink.LinkAttrs) {
	w.linkState(autoconf.LinkChanged{
		Index:    l.Index,
		Name:     l.Name,
		Up:       l.Flags&net.FlagUp != 0 && l.RawFlags&unix.IFF_LOWER_UP != 0,
		Loopback: l.Flags&net.FlagLoopback != 0,
	})
}

// linkState completes and tells the state of an interface. One whose settings cannot be read stays what it was, or is left
// alone like a router's, and is looked at again soon.
func (w *watcher) linkState(ev autoconf.LinkChanged) {
	old, known := w.links[ev.Index]
	router, err := takesNoAdvertisements(ev.Name)
	delete(w.unsure, ev.Index)
	if err != nil {
		router = !known || old.Router
		if w.looks[ev.Index]++; w.looks[ev.Index] <= looksMax {
			w.unsure[ev.Index] = true
		}
	} else {
		delete(w.looks, ev.Index)
	}
	ev.Router = router
	if !known || old != ev {
		w.links[ev.Index] = ev
		w.tell(ev)
	}
}

// lookAgain looks again at interfaces whose settings could not be read.
func (w *watcher) lookAgain() {
	for _, index := range slices.Sorted(maps.Keys(w.unsure)) {
		w.linkState(w.links[index])
	}
}

func (w *watcher) linkGone(index int) {
	if _, ok := w.links[index]; !ok {
		return
	}
	delete(w.links, index)
	delete(w.unsure, index)
	delete(w.looks, index)
	maps.DeleteFunc(w.addrs, func(p place, _ autoconf.AddressChanged) bool { return p.link == index })
	w.tell(autoconf.LinkGone{Index: index})
}

// address tells every message, even one that says what was said before: it answers a change of ours.
func (w *watcher) address(ev autoconf.AddressChanged) {
	w.addrs[place{ev.Link, ev.Addr.Addr()}] = ev
	w.tell(ev)
}

func (w *watcher) addressGone(p place, duplicate bool) {
	delete(w.addrs, p)
	w.tell(autoconf.AddressGone{Link: p.link, Addr: p.addr, Duplicate: duplicate})
}

// kernelMade are flags of addresses that the kernel makes from advertisements.
const kernelMade = unix.IFA_F_MANAGETEMPADDR | unix.IFA_F_TEMPORARY | unix.IFA_F_STABLE_PRIVACY

func changed(link int, addr netip.Addr, bits, flags int) autoconf.AddressChanged {
	has := func(flag int) bool { return flags&flag != 0 }
	return autoconf.AddressChanged{
		Link:       link,
		Addr:       netip.PrefixFrom(addr, bits),
		Tentative:  has(unix.IFA_F_TENTATIVE),
		Duplicate:  has(unix.IFA_F_DADFAILED),
		Deprecated: has(unix.IFA_F_DEPRECATED),
		Kernel:     has(kernelMade) && !has(unix.IFA_F_PERMANENT),
	}
}

// parseAddress reads an address message; it is false for what is no IPv6 address.
func parseAddress(b []byte) (autoconf.AddressChanged, bool) {
	if len(b) < unix.SizeofIfAddrmsg || b[0] != unix.AF_INET6 {
		return autoconf.AddressChanged{}, false
	}
	msg := nl.DeserializeIfAddrmsg(b)
	attrs, err := nl.ParseRouteAttr(b[msg.Len():])
	if err != nil {
		return autoconf.AddressChanged{}, false
	}
	flags := int(msg.Flags)
	var addr, local netip.Addr
	for _, a := range attrs {
		switch a.Attr.Type {
		case unix.IFA_ADDRESS:
			addr, _ = netip.AddrFromSlice(a.Value)
		case unix.IFA_LOCAL: // of a point-to-point address, whose peer is the other
			local, _ = netip.AddrFromSlice(a.Value)
		case unix.IFA_FLAGS:
			if len(a.Value) >= 4 {
				flags = int(binary.NativeEndian.Uint32(a.Value))
			}
		}
	}
	if local.IsValid() {
		addr = local
	}
	return changed(int(msg.Index), addr, int(msg.Prefixlen), flags), addr.Is6()
}

// sync tells how what is there differs from what was told.
func (w *watcher) sync() error {
	links, err := rtnl.Complete(netlink.LinkList)
	if err != nil {
		return fmt.Errorf("list links: %w", err)
	}
	addrs, err := allAddresses()
	if err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	there := make(map[int]bool)
	for _, l := range links {
		there[l.Attrs().Index] = true
		w.link(l.Attrs())
	}
	for _, index := range slices.Sorted(maps.Keys(w.links)) {
		if !there[index] {
			w.linkGone(index)
		}
	}
	found := make(map[place]bool)
	for i := range addrs {
		addr, ok := netip.AddrFromSlice(addrs[i].IP)
		if !ok || !there[addrs[i].LinkIndex] {
			continue
		}
		bits, _ := addrs[i].Mask.Size()
		p := place{addrs[i].LinkIndex, addr}
		found[p] = true
		if ev := changed(p.link, addr, bits, addrs[i].Flags); w.addrs[p] != ev {
			w.address(ev)
		}
	}
	for p := range w.addrs {
		if !found[p] {
			w.addressGone(p, false)
		}
	}
	return nil
}

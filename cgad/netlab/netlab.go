// SPDX-License-Identifier: MIT

// Package netlab gives tests links whose far end they drive octet by octet.
package netlab

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"shim6/internal/rtnl"
)

// A Link is a veth pair: Host is an interface of the host, Far the end where routers and strangers are played. IPv6 is off
// on Far, so nothing but the test speaks there.
type Link struct {
	Host, Far netlink.Link
	fd        int // packet socket on Far
}

// NewLink makes a link with both ends up and waits for the host's link-local address, which takes the kernel a duplicate
// address detection.
func NewLink(t testing.TB, host, far string) *Link {
	t.Helper()
	v := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: host}, PeerName: far}
	if err := netlink.LinkAdd(v); err != nil {
		t.Fatalf("this test needs veth: %v", err)
	}
	t.Cleanup(func() { _ = netlink.LinkDel(v) })
	l := &Link{Host: byName(t, host), Far: byName(t, far)}
	Sysctl(t, far, "disable_ipv6", "1")
	for _, end := range []netlink.Link{l.Far, l.Host} {
		if err := netlink.LinkSetUp(end); err != nil {
			t.Fatal(err)
		}
	}
	l.fd = socket(t, l.Far.Attrs().Index) // not before it is up: the first write would fail
	t.Cleanup(func() { unix.Close(l.fd) })
	Wait(t, "a link-local address on "+host, func() bool {
		for _, a := range Addresses(t, l.Host) {
			if a.IP.IsLinkLocalUnicast() && a.Flags&syscall.IFA_F_TENTATIVE == 0 {
				return true
			}
		}
		return false
	})
	return l
}

func byName(t testing.TB, name string) netlink.Link {
	t.Helper()
	l, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Rename gives an interface another name.
func Rename(t testing.TB, l netlink.Link, name string) {
	t.Helper()
	if err := netlink.LinkSetName(l, name); err != nil {
		t.Fatal(err)
	}
}

// Addresses lists the IPv6 addresses of an interface.
func Addresses(t testing.TB, l netlink.Link) []netlink.Addr {
	t.Helper()
	list, err := rtnl.Complete(func() ([]netlink.Addr, error) { return netlink.AddrList(l, netlink.FAMILY_V6) })
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// Sysctl writes an IPv6 setting of an interface.
func Sysctl(t testing.TB, link, name, value string) {
	t.Helper()
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+link+"/"+name, []byte(value), 0); err != nil {
		t.Fatal(err)
	}
}

// ReadSysctl reads an IPv6 setting of an interface.
func ReadSysctl(t testing.TB, link, name string) string {
	t.Helper()
	b, err := os.ReadFile("/proc/sys/net/ipv6/conf/" + link + "/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// LoopbackUp brings the loopback of the namespace up, for tests that talk to themselves.
func LoopbackUp() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}

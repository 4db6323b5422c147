// SPDX-License-Identifier: MIT

package rtnl

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// device tells by which device a packet between two addresses would leave, empty for none.
func device(t *testing.T, src, dst string) string {
	t.Helper()
	routes, err := netlink.RouteGetWithOptions(net.ParseIP(dst), &netlink.RouteGetOptions{SrcAddr: net.ParseIP(src)})
	if err != nil || len(routes) == 0 {
		return ""
	}
	l, err := netlink.LinkByIndex(routes[0].LinkIndex)
	if err != nil {
		t.Fatal(err)
	}
	return l.Attrs().Name
}

func TestKeepSources(t *testing.T) {
	if err := netlink.LinkSetUp(link(t, "lo")); err != nil {
		t.Fatal(err)
	}
	one, two := pair(t, "one", "one-peer"), pair(t, "two", "two-peer")
	const gone, gone2, other, peer = "2001:db8:a1::1", "2001:db8:a2::1", "2001:db8:a3::1", "2001:db8:b1::1"
	steps := []struct {
		what              string
		keep              []string
		link              int
		gone, gone2, rest string
	}{
		{"nothing yet", nil, 0, "", "", ""},
		{"one address", []string{gone}, one.Attrs().Index, "one", "", ""},
		{"once more", []string{gone}, one.Attrs().Index, "one", "", ""},
		{"two addresses", []string{gone, gone2}, one.Attrs().Index, "one", "one", ""},
		{"another device", []string{gone, gone2}, two.Attrs().Index, "two", "two", ""},
		{"the first is back", []string{gone2}, two.Attrs().Index, "", "two", ""},
		{"no device", []string{gone2}, 0, "", "", ""},
		{"a device again", []string{gone, gone2}, one.Attrs().Index, "one", "one", ""},
		{"all are back", nil, one.Attrs().Index, "", "", ""},
	}
	for _, s := range steps {
		var keep []netip.Addr
		for _, a := range s.keep {
			keep = append(keep, netip.MustParseAddr(a))
		}
		if err := KeepSources(keep, nil, s.link); err != nil {
			t.Fatalf("%s: %v", s.what, err)
		}
		for _, a := range []string{gone, gone2} {
			want := ""
			if slices.Contains(s.keep, a) {
				want = "lo"
			}
			if got := device(t, peer, a); got != want {
				t.Errorf("%s: packets to %s are for %q, want %q", s.what, a, got, want)
			}
		}
		for src, want := range map[string]string{gone: s.gone, gone2: s.gone2, other: s.rest} {
			if got := device(t, src, peer); got != want {
				t.Errorf("%s: packets from %s leave by %q, want %q", s.what, src, got, want)
			}
		}
	}
	rules, err := netlink.RuleList(netlink.FAMILY_V6)
	if err != nil {
		t.Fatal(err)
	}
	if len(rules) != 2 {
		t.Errorf("rules are left: %v", rules)
	}
	for _, table := range []int{SourceTable, unix.RT_TABLE_LOCAL} {
		ours := &netlink.Route{Table: table, Protocol: sourceProtocol}
		left, err := netlink.RouteListFiltered(netlink.FAMILY_V6, ours, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_PROTOCOL)
		if err != nil || len(left) != 0 {
			t.Errorf("routes are left: %v, %v", left, err)
		}
	}
}

// An address that is there gets a way out, and stays the interface's own; no route at all is what Reaches finds still.
func TestKeepSourcesThatAreCutOff(t *testing.T) {
	if err := netlink.LinkSetUp(link(t, "lo")); err != nil {
		t.Fatal(err)
	}
	noDAD(t)
	one := pair(t, "one", "one-peer")
	add(t, one, "2001:db8:a1::1/64", nil)
	src, dst := netip.MustParseAddr("2001:db8:a1::1"), netip.MustParseAddr("2001:db8:b1::1")
	if err := KeepSources(nil, []netip.Addr{src}, one.Attrs().Index); err != nil {
		t.Fatal(err)
	}
	if got := device(t, src.String(), dst.String()); got != "one" {
		t.Errorf("packets leave by %q", got)
	}
	if ok, err := Reaches(src, dst); ok || err != nil {
		t.Errorf("Reaches = %v, %v", ok, err)
	}
	local := &netlink.Route{Table: unix.RT_TABLE_LOCAL, Protocol: sourceProtocol}
	kept, err := netlink.RouteListFiltered(netlink.FAMILY_V6, local, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_PROTOCOL)
	if err != nil || len(kept) != 0 {
		t.Errorf("local routes: %v, %v", kept, err)
	}
	if err := KeepSources(nil, nil, 0); err != nil {
		t.Error(err)
	}
}

// The kernel takes the route away with its device; the rule is of no harm, and goes later.
func TestKeepSourcesWhoseDeviceWent(t *testing.T) {
	if err := netlink.LinkSetUp(link(t, "lo")); err != nil {
		t.Fatal(err)
	}
	one := pair(t, "one", "one-peer")
	src := []netip.Addr{netip.MustParseAddr("2001:db8:a1::1")}
	if err := KeepSources(src, nil, one.Attrs().Index); err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkDel(one); err != nil {
		t.Fatal(err)
	}
	if err := KeepSources(nil, nil, 0); err != nil {
		t.Error(err)
	}
	two := pair(t, "two", "two-peer")
	if err := KeepSources(src, nil, two.Attrs().Index); err != nil {
		t.Fatal(err)
	}
	if got := device(t, "2001:db8:a1::1", "2001:db8:b1::1"); got != "two" {
		t.Errorf("packets leave by %q", got)
	}
	if err := KeepSources(nil, nil, 0); err != nil {
		t.Error(err)
	}
}

// The module drops what takes a route of this protocol, unless it sends it elsewhere.
func TestSourceProtocolIsThatOfTheModule(t *testing.T) {
	raw, err := os.ReadFile("../../kmod/uapi/linux/shim6.h")
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("#define SHIM6_RTPROT\t\t%d\t", sourceProtocol); !strings.Contains(string(raw), want) {
		t.Errorf("the header has no %q", want)
	}
}

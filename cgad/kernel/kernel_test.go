// SPDX-License-Identifier: MIT

package kernel

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"shim6/cgad/autoconf"
	"shim6/cgad/netlab"
	"shim6/cgad/ra"
	"shim6/internal/nstest"
)

func TestMain(m *testing.M) { os.Exit(nstest.Main(m)) }

const addr1 = "2001:db8:1:2:246c:a7ba:5a48:c469"

func open(t *testing.T) *Kernel {
	t.Helper()
	k, err := New(filepath.Join(t.TempDir(), "settings.json"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	return k
}

func apply(t *testing.T, k *Kernel, actions ...autoconf.Action) {
	t.Helper()
	for _, a := range actions {
		if err := k.Apply(a); err != nil {
			t.Fatalf("%+v: %v", a, err)
		}
	}
}

// watched collects events.
type watched struct {
	events <-chan autoconf.Event
}

func watch(t *testing.T, k *Kernel) watched {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	events, err := k.Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		for range events {
		}
	})
	return watched{events}
}

// until gives the first event for which ok is true.
func (w watched) until(t *testing.T, what string, ok func(autoconf.Event) bool) autoconf.Event {
	t.Helper()
	limit := time.After(10 * time.Second)
	var seen []autoconf.Event
	for {
		select {
		case ev, open := <-w.events:
			if !open {
				t.Fatal("the watch ended")
			}
			if ok(ev) {
				return ev
			}
			seen = append(seen, ev)
		case <-limit:
			t.Fatalf("waited in vain for %s in %+v", what, seen)
		}
	}
}

func find(t *testing.T, l netlink.Link, addr string) (netlink.Addr, bool) {
	t.Helper()
	for _, a := range netlab.Addresses(t, l) {
		if ip, _ := netip.AddrFromSlice(a.IP); ip == netip.MustParseAddr(addr) {
			return a, true
		}
	}
	return netlink.Addr{}, false
}

// Rows 10 and 27 to 30: lifetimes reach the kernel, no route is made, and the address is told ready when it is.
func TestAddress(t *testing.T) {
	l := netlab.NewLink(t, "h0", "r0")
	index, addr := l.Host.Attrs().Index, netip.MustParseAddr(addr1)
	k := open(t)
	w := watch(t, k)
	apply(t, k, autoconf.AddAddress{Link: index, Addr: addr, Valid: 2 * time.Hour, Preferred: time.Hour})
	ours := func(ev autoconf.Event) (autoconf.AddressChanged, bool) {
		a, ok := ev.(autoconf.AddressChanged)
		return a, ok && a.Link == index && a.Addr == netip.PrefixFrom(addr, 64)
	}
	w.until(t, "a tentative address", func(ev autoconf.Event) bool { a, ok := ours(ev); return ok && a.Tentative })
	w.until(t, "the end of duplicate address detection", func(ev autoconf.Event) bool { a, ok := ours(ev); return ok && !a.Tentative && !a.Kernel })
	a, ok := find(t, l.Host, addr1)
	if !ok || a.ValidLft < 7190 || a.ValidLft > 7200 || a.PreferedLft < 3590 || a.PreferedLft > 3600 || a.Flags&unix.IFA_F_NOPREFIXROUTE == 0 {
		t.Errorf("the kernel has %+v", a)
	}
	routes, err := netlink.RouteList(l.Host, netlink.FAMILY_V6)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range routes {
		if r.Dst != nil && !r.Dst.IP.IsLinkLocalUnicast() && !r.Dst.IP.IsMulticast() {
			t.Errorf("there is a route to %v", r.Dst)
		}
	}
	apply(t, k, autoconf.SetLifetimes{Link: index, Addr: addr, Valid: ra.Infinite, Preferred: 0})
	w.until(t, "deprecation", func(ev autoconf.Event) bool { a, ok := ours(ev); return ok && a.Deprecated })
	if a, _ := find(t, l.Host, addr1); a.ValidLft != 1<<32-1 || a.PreferedLft != 0 {
		t.Errorf("the kernel has %+v", a)
	}
	gone := autoconf.DeleteAddress{Link: index, Addr: addr}
	apply(t, k, gone, gone, autoconf.DeleteAddress{Link: 1 << 20, Addr: addr})
	w.until(t, "the address to go", func(ev autoconf.Event) bool { return ev == autoconf.AddressGone{Link: index, Addr: addr} })
	if err := k.Apply(autoconf.AddAddress{Link: 1 << 20, Addr: addr, Valid: time.Hour}); err == nil {
		t.Error("an interface that does not exist has an address")
	}
	if err := k.Apply(autoconf.AddAddress{Link: index, Addr: addr}); err == nil {
		t.Error("a valid lifetime of zero was taken: the kernel would think it infinite")
	}
}

// Rows 31 and 32: the two ways in which the kernel tells a duplicate.
func TestDuplicate(t *testing.T) {
	l := netlab.NewLink(t, "h0", "r0")
	index := l.Host.Attrs().Index
	k := open(t)
	w := watch(t, k)
	for i, valid := range []time.Duration{time.Hour, ra.Infinite} {
		addr := netip.MustParseAddr(fmt.Sprintf("2001:db8:1:2::%x", i+1))
		capture := l.Capture(t)
		apply(t, k, autoconf.AddAddress{Link: index, Addr: addr, Valid: valid, Preferred: valid})
		capture.Next(t, func(p netlab.Packet) bool {
			return p.Body[0] == 135 && p.Source == "::" && slices.Equal(p.Body[8:24], addr.AsSlice())
		})
		l.Claim(t, addr.String())
		w.until(t, "the duplicate", func(ev autoconf.Event) bool {
			if valid == ra.Infinite {
				a, ok := ev.(autoconf.AddressChanged)
				return ok && a.Addr.Addr() == addr && a.Duplicate
			}
			return ev == autoconf.AddressGone{Link: index, Addr: addr, Duplicate: true}
		})
		apply(t, k, autoconf.DeleteAddress{Link: index, Addr: addr})
	}
}

// Row 40: an address that the kernel made is known as such, and can be deprecated without losing the rest of its life.
func TestDeprecate(t *testing.T) {
	l := netlab.NewLink(t, "h0", "r0")
	k := open(t)
	w := watch(t, k)
	l.Advertise(t, "fe80::1", netlab.Advertisement{Lifetime: 1800, Prefixes: []netlab.Prefix{{Prefix: "2001:db8:1:2::/64", Valid: 7200, Preferred: 3600}}})
	ev := w.until(t, "the kernel's address", func(ev autoconf.Event) bool {
		a, ok := ev.(autoconf.AddressChanged)
		return ok && !a.Addr.Addr().IsLinkLocalUnicast()
	}).(autoconf.AddressChanged)
	if !ev.Kernel {
		t.Errorf("not known as the kernel's: %+v", ev)
	}
	apply(t, k, autoconf.Deprecate{Link: ev.Link, Addr: ev.Addr.Addr()})
	if a, ok := find(t, l.Host, ev.Addr.Addr().String()); !ok || a.PreferedLft != 0 || a.ValidLft < 7000 || a.Flags&unix.IFA_F_MANAGETEMPADDR == 0 {
		t.Errorf("the kernel has %+v", a)
	}
	apply(t, k, autoconf.Deprecate{Link: ev.Link, Addr: netip.MustParseAddr("2001:db8::1")})
}

// Rows 35, 36 and 44: carrier, name and end of an interface.
func TestWatchLinks(t *testing.T) {
	l := netlab.NewLink(t, "h0", "r0")
	index := l.Host.Attrs().Index
	w := watch(t, open(t))
	is := func(want autoconf.LinkChanged) func(autoconf.Event) bool {
		return func(ev autoconf.Event) bool { return ev == want }
	}
	w.until(t, "the interface", is(autoconf.LinkChanged{Index: index, Name: "h0", Up: true}))
	if err := netlink.LinkSetDown(l.Far); err != nil {
		t.Fatal(err)
	}
	w.until(t, "the loss of the carrier", is(autoconf.LinkChanged{Index: index, Name: "h0"}))
	if err := netlink.LinkSetUp(l.Far); err != nil {
		t.Fatal(err)
	}
	w.until(t, "the carrier", is(autoconf.LinkChanged{Index: index, Name: "h0", Up: true}))
	netlab.Rename(t, l.Host, "lan")
	w.until(t, "the new name", is(autoconf.LinkChanged{Index: index, Name: "lan", Up: true}))
	netlab.Sysctl(t, "lan", "forwarding", "1")
	if err := netlink.LinkSetMTU(l.Host, 1400); err != nil { // any change makes it look again
		t.Fatal(err)
	}
	netlab.Rename(t, l.Host, "lan2")
	w.until(t, "a router's interface", is(autoconf.LinkChanged{Index: index, Name: "lan2", Up: true, Router: true}))
	if err := netlink.LinkDel(l.Host); err != nil {
		t.Fatal(err)
	}
	w.until(t, "the end of the interface", is(autoconf.LinkChanged{Index: index, Name: "lan2", Router: true}))
	w.until(t, "the end of the interface", func(ev autoconf.Event) bool { return ev == autoconf.LinkGone{Index: index} })
}

// Row 42: after lost messages everything is told again as far as it differs.
func TestSyncTellsDifferences(t *testing.T) {
	l := netlab.NewLink(t, "h0", "r0")
	index := l.Host.Attrs().Index
	out := make(chan autoconf.Event, 100)
	w := newWatcher(t.Context(), open(t))
	w.out = out
	stale := place{index, netip.MustParseAddr("2001:db8::1")}
	w.addrs[stale] = autoconf.AddressChanged{Link: index, Addr: netip.PrefixFrom(stale.addr, 64), Tentative: true}
	w.links[77] = autoconf.LinkChanged{Index: 77, Name: "gone0"}
	if err := w.sync(); err != nil {
		t.Fatal(err)
	}
	want := map[autoconf.Event]bool{
		autoconf.LinkGone{Index: 77}:                             true,
		autoconf.AddressGone{Link: index, Addr: stale.addr}:      true,
		autoconf.LinkChanged{Index: index, Name: "h0", Up: true}: true,
	}
	first := len(out)
	for range first {
		delete(want, <-out)
	}
	if len(want) > 0 {
		t.Errorf("not told: %v", want)
	}
	if err := w.sync(); err != nil || len(out) != 0 {
		t.Errorf("%v; told %d things again", err, len(out))
	}
}

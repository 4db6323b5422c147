// SPDX-License-Identifier: MIT

package rtnl

import (
	"context"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"shim6/internal/nstest"
)

func TestMain(m *testing.M) { os.Exit(nstest.Main(m)) }

// pair makes the veth pair a, b with both ends up.
func pair(t *testing.T, a, b string) netlink.Link {
	t.Helper()
	v := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: a}, PeerName: b}
	if err := netlink.LinkAdd(v); err != nil {
		t.Fatalf("this test needs veth: %v", err)
	}
	t.Cleanup(func() { _ = netlink.LinkDel(v) })
	for _, name := range []string{b, a} {
		if err := netlink.LinkSetUp(link(t, name)); err != nil {
			t.Fatal(err)
		}
	}
	return link(t, a)
}

// running waits until a link sends: until then the kernel drops what it is to send, such as answers to neighbours.
func running(t *testing.T, name string) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); link(t, name).Attrs().OperState != netlink.OperUp; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s is not running", name)
		}
	}
}

func link(t *testing.T, name string) netlink.Link {
	t.Helper()
	l, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func add(t *testing.T, l netlink.Link, s string, change func(*netlink.Addr)) {
	t.Helper()
	a, err := netlink.ParseAddr(s)
	if err != nil {
		t.Fatal(err)
	}
	a.Flags = unix.IFA_F_NODAD
	if change != nil {
		change(a)
	}
	if err := netlink.AddrAdd(l, a); err != nil {
		t.Fatalf("add %s: %v", s, err)
	}
}

// find lists the addresses until ok is true of the one that is looked for.
func find(t *testing.T, addr string, ok func(Address) bool) Address {
	t.Helper()
	var last []Address
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		list, err := List()
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range list {
			if a.Prefix.Addr() == netip.MustParseAddr(addr) && ok(a) {
				return a
			}
		}
		last = list
	}
	t.Fatalf("%s is not as it should be in %+v", addr, last)
	return Address{}
}

var prefixes = cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })

func TestList(t *testing.T) {
	l := pair(t, "p0", "p1")
	index := l.Attrs().Index
	add(t, l, "2001:db8::1/64", nil)
	add(t, l, "fd00::1/48", func(a *netlink.Addr) { a.ValidLft, a.PreferedLft = 3600, 1800 })
	add(t, l, "2001:db8::2/64", func(a *netlink.Addr) { a.ValidLft, a.PreferedLft = 3600, 0 })
	add(t, l, "fec0::1/64", nil)
	add(t, l, "2001:db8::3/128", func(a *netlink.Addr) {
		p, err := netlink.ParseIPNet("2001:db8:1::1/64")
		if err != nil {
			t.Fatal(err)
		}
		a.Peer = p
	})
	base := Address{Link: "p0", LinkIndex: index, Up: true, Carrier: true, Global: true, Valid: Forever, Preferred: Forever}
	with := func(prefix string, change func(*Address)) Address {
		a := base
		a.Prefix = netip.MustParsePrefix(prefix)
		if change != nil {
			change(&a)
		}
		return a
	}
	carrier := func(a Address) bool { return a.Carrier }
	for _, want := range []Address{
		with("2001:db8::1/64", nil),
		with("fd00::1/48", func(a *Address) { a.Valid, a.Preferred = time.Hour, 30*time.Minute }),
		with("2001:db8::2/64", func(a *Address) { a.Valid, a.Preferred, a.Deprecated = time.Hour, 0, true }),
		with("fec0::1/64", func(a *Address) { a.Global = false }),
		with("2001:db8::3/64", nil),
	} {
		got := find(t, want.Prefix.Addr().String(), carrier)
		// The listing may come a second after the address.
		if got.Valid != Forever {
			got.Valid = got.Valid.Round(10 * time.Second)
			got.Preferred = got.Preferred.Round(10 * time.Second)
		}
		if d := cmp.Diff(want, got, prefixes); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		if got.MayBeSource() != want.Global {
			t.Errorf("%v: MayBeSource is %v", want.Prefix, got.MayBeSource())
		}
	}
}

func TestTentativeAndLinkLocal(t *testing.T) {
	l := pair(t, "p0", "p1")
	add(t, l, "2001:db8::9/64", func(a *netlink.Addr) { a.Flags = 0 })
	a := find(t, "2001:db8::9", func(a Address) bool { return a.Tentative })
	// RFC 5534 section 3.1: an available address is not tentative.
	if a.MayBeSource() {
		t.Error("a tentative address may be a source")
	}
	if !find(t, "2001:db8::9", func(a Address) bool { return !a.Tentative }).MayBeSource() {
		t.Error("the address may not be a source after duplicate address detection")
	}
	list, err := List()
	if err != nil {
		t.Fatal(err)
	}
	seen := false
	for _, a := range list {
		if a.Prefix.Addr().IsLinkLocalUnicast() {
			seen = true
			if a.MayBeSource() {
				t.Errorf("link-local %v may be a source", a.Prefix)
			}
		}
	}
	if !seen {
		t.Error("no link-local address was listed")
	}
}

func TestDuplicate(t *testing.T) {
	l := pair(t, "p0", "p1")
	running(t, "p1")
	add(t, link(t, "p1"), "2001:db8::7/64", nil)
	add(t, l, "2001:db8::7/64", func(a *netlink.Addr) { a.Flags = 0 })
	a := find(t, "2001:db8::7", func(a Address) bool { return a.Link == "p0" && a.Duplicate })
	if a.MayBeSource() {
		t.Error("a duplicate address may be a source")
	}
}

func TestCarrierAndLoopback(t *testing.T) {
	l := pair(t, "p0", "p1")
	add(t, l, "2001:db8::1/64", nil)
	find(t, "2001:db8::1", func(a Address) bool { return a.Carrier })
	if err := netlink.LinkSetDown(link(t, "p1")); err != nil {
		t.Fatal(err)
	}
	a := find(t, "2001:db8::1", func(a Address) bool { return !a.Carrier })
	if !a.Up || !a.MayBeSource() {
		t.Errorf("without a carrier: %+v, the address is still available", a)
	}

	lo := link(t, "lo")
	if err := netlink.LinkSetUp(lo); err != nil {
		t.Fatal(err)
	}
	add(t, lo, "2001:db8:f::1/128", nil)
	a = find(t, "2001:db8:f::1", func(a Address) bool { return a.Loopback })
	if a.MayBeSource() {
		t.Error("an address of a loopback may be a source")
	}
}

// noDAD makes new interfaces skip duplicate address detection.
func noDAD(t *testing.T) {
	t.Helper()
	const file = "/proc/sys/net/ipv6/conf/default/dad_transmits"
	set := func(v string) {
		if err := os.WriteFile(file, []byte(v), 0); err != nil {
			t.Fatal(err)
		}
	}
	set("0")
	t.Cleanup(func() { set("1") })
}

// told waits for a change.
func told(t *testing.T, changed <-chan struct{}, what string) {
	t.Helper()
	select {
	case _, ok := <-changed:
		if !ok {
			t.Fatalf("%s: the watch ended", what)
		}
	case <-time.After(5 * time.Second):
		t.Fatalf("%s was not told", what)
	}
}

// quiet waits until nothing has changed for longer than the kernel holds back changes of a link's state: a second.
func quiet(changed <-chan struct{}) {
	for {
		select {
		case <-changed:
		case <-time.After(1200 * time.Millisecond):
			return
		}
	}
}

func TestWatch(t *testing.T) {
	noDAD(t)
	ctx, cancel := context.WithCancel(t.Context())
	changed, err := Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	l := pair(t, "p0", "p1")
	told(t, changed, "a new link")
	quiet(changed)

	add(t, l, "2001:db8::1/64", nil)
	told(t, changed, "a new address")
	quiet(changed)

	add(t, l, "192.0.2.1/24", func(a *netlink.Addr) { a.Flags = 0 })
	select {
	case <-changed:
		t.Error("an IPv4 address was told")
	case <-time.After(200 * time.Millisecond):
	}

	if err := netlink.LinkSetDown(link(t, "p1")); err != nil {
		t.Fatal(err)
	}
	told(t, changed, "the loss of the carrier")
	quiet(changed)

	cancel()
	for range changed {
	}
}

// A socket that breaks is replaced, and the loss is told.
func TestWatchSubscribesAgain(t *testing.T) {
	noDAD(t)
	ctx, cancel := context.WithCancel(t.Context())
	s, err := subscribe()
	if err != nil {
		t.Fatal(err)
	}
	changed := make(chan struct{}, 1)
	broken := &subscription{make(chan netlink.AddrUpdate), s.links, s.routes, s.done}
	go func() {
		for range s.addrs {
		}
	}()
	close(broken.addrs)
	go watch(ctx, broken, changed)
	told(t, changed, "the loss of messages")
	quiet(changed)
	pair(t, "p0", "p1")
	told(t, changed, "a new link on the new socket")
	cancel()
	for range changed {
	}
}

func TestWatchLeavesNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	ctx, cancel := context.WithCancel(t.Context())
	changed, err := Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	for range changed {
	}
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

func TestLifetime(t *testing.T) {
	for seconds, want := range map[int]time.Duration{0: 0, 1: time.Second, 1<<32 - 2: (1<<32 - 2) * time.Second, 1<<32 - 1: Forever, -1: Forever} {
		if got := lifetime(seconds); got != want {
			t.Errorf("lifetime(%d) = %v, want %v", seconds, got, want)
		}
	}
}

// SPDX-License-Identifier: MIT

package kernel

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"shim6/cgad/autoconf"
	"shim6/cgad/netlab"
)

// Row 42: the kernel drops messages when they are not read in time, and says so. What was told until then and after is the whole
// truth in the end.
func TestLostMessagesAreMadeUpFor(t *testing.T) {
	l := netlab.NewLink(t, "h0", "r0")
	index := l.Host.Attrs().Index
	w := newWatcher(t.Context(), open(t))
	small, err := subscribe()
	if err != nil {
		t.Fatal(err)
	}
	if err := small.SetReceiveBufferSize(4096, false); err != nil {
		t.Fatal(err)
	}
	broken := make(chan bool)
	go func() {
		w.follow(small)
		close(broken)
		if s := resubscribe(t.Context()); s != nil {
			w.follow(s)
		}
	}()
	<-w.out // it listens; nobody reads what it tells from now on
	const n = 300
	addr := func(i int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf("2001:db8:1:2::%x", i+1)) }
	for i := range n {
		a, err := netlink.ParseAddr(addr(i).String() + "/64")
		if err != nil {
			t.Fatal(err)
		}
		a.Flags = unix.IFA_F_NODAD | unix.IFA_F_NOPREFIXROUTE
		if err := netlink.AddrAdd(l.Host, a); err != nil {
			t.Fatal(err)
		}
		if i%3 == 0 {
			if err := netlink.AddrDel(l.Host, a); err != nil {
				t.Fatal(err)
			}
		}
	}
	there := map[netip.Addr]bool{}
	right := func() bool {
		for i := range n {
			if there[addr(i)] != (i%3 != 0) {
				return false
			}
		}
		return true
	}
	limit := time.After(20 * time.Second)
	for !right() {
		select {
		case ev := <-w.out:
			switch ev := ev.(type) {
			case autoconf.AddressChanged:
				if ev.Link == index {
					there[ev.Addr.Addr()] = true
				}
			case autoconf.AddressGone:
				delete(there, ev.Addr)
			}
		case <-limit:
			t.Fatalf("%d addresses are told, %d are there", len(there), n-n/3)
		}
	}
	select {
	case <-broken:
	default:
		t.Error("no message was lost, so nothing was shown")
	}
}

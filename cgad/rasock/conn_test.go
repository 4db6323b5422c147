// SPDX-License-Identifier: MIT

package rasock

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"shim6/cgad/netlab"
	"shim6/cgad/ra"
	"shim6/internal/nstest"
)

func TestMain(m *testing.M) { os.Exit(nstest.Main(m)) }

func listen(t *testing.T) (*Conn, <-chan Message) {
	t.Helper()
	c, err := Listen()
	if err != nil {
		t.Fatal(err)
	}
	messages := make(chan Message, 16)
	go func() {
		defer close(messages)
		for {
			m, err := c.Read()
			if err != nil {
				if !errors.Is(err, net.ErrClosed) {
					t.Errorf("read: %v", err)
				}
				return
			}
			m.Octets = append([]byte(nil), m.Octets...)
			messages <- m
		}
	}()
	t.Cleanup(func() {
		c.Close()
		for range messages {
		}
	})
	return c, messages
}

func next(t *testing.T, messages <-chan Message) Message {
	t.Helper()
	select {
	case m := <-messages:
		return m
	case <-time.After(5 * time.Second):
		t.Fatal("no message")
		return Message{}
	}
}

var comparers = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

// Row 9: the interface is told, here that of two which are renamed meanwhile.
func TestReadTellsInterfaceSourceAndHopLimit(t *testing.T) {
	one, two := netlab.NewLink(t, "h0", "r0"), netlab.NewLink(t, "h1", "r1")
	_, messages := listen(t)
	netlab.Rename(t, two.Host, "renamed")
	body := netlab.Advertisement{Lifetime: 1800}.Marshal()
	one.Send(t, netlab.Packet{Source: "fe80::1", HopLimit: 255, Body: body})
	two.Send(t, netlab.Packet{Source: "fe80::2", HopLimit: 254, Body: body})
	for _, want := range []Message{
		{Link: one.Host.Attrs().Index, Meta: ra.Meta{Source: netip.MustParseAddr("fe80::1"), HopLimit: 255}},
		{Link: two.Host.Attrs().Index, Meta: ra.Meta{Source: netip.MustParseAddr("fe80::2"), HopLimit: 254}},
	} {
		got := next(t, messages)
		if len(got.Octets) != len(body) || got.Octets[0] != ra.TypeRouterAdvertisement {
			t.Errorf("octets are %x", got.Octets)
		}
		got.Octets = nil
		if d := cmp.Diff(want, got, comparers); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	}
}

// RFC 4861 section 6.1.2: "ICMP Checksum is valid." Row 8 of the message format: other ICMPv6 types stay outside.
func TestReadSkipsWhatTheKernelRefuses(t *testing.T) {
	l := netlab.NewLink(t, "h0", "r0")
	_, messages := listen(t)
	body := netlab.Advertisement{Lifetime: 1800}.Marshal()
	l.Send(t, netlab.Packet{Source: "fe80::bad", HopLimit: 255, Body: body, BadChecksum: true})
	l.Send(t, netlab.Packet{Source: "fe80::bad", HopLimit: 255, Body: ra.Solicitation(nil)})
	l.Send(t, netlab.Packet{Source: "fe80::3", HopLimit: 255, Body: body})
	if got := next(t, messages); got.Source != netip.MustParseAddr("fe80::3") {
		t.Errorf("got a message from %v", got.Source)
	}
}

// RFC 4861 section 4.1: hop limit 255, to the all-routers multicast address, with the source link-layer address.
func TestSolicit(t *testing.T) {
	l := netlab.NewLink(t, "h0", "r0")
	capture := l.Capture(t)
	c, _ := listen(t)
	if err := c.Solicit(l.Host.Attrs().Index); err != nil {
		t.Fatal(err)
	}
	p := capture.Next(t, func(p netlab.Packet) bool { return p.Body[0] == ra.TypeRouterSolicitation })
	if p.HopLimit != 255 || p.Destination != "ff02::2" || p.BadChecksum {
		t.Errorf("got %+v", p)
	}
	if src := netip.MustParseAddr(p.Source); !src.IsLinkLocalUnicast() {
		t.Errorf("the source is %v", src)
	}
	want := ra.Solicitation(l.Host.Attrs().HardwareAddr)
	if d := cmp.Diff(want[4:], p.Body[4:]); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if err := c.Solicit(1 << 20); err == nil {
		t.Error("an interface that does not exist was solicited")
	}
}

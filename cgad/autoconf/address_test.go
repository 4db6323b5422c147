// SPDX-License-Identifier: MIT

package autoconf

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"shim6/cgad/ra"
	"shim6/internal/cga"
)

// withCount gives the address of parameters in a prefix with a collision count.
func withCount(t testing.TB, p *cga.Params, prefix string, count uint8) string {
	t.Helper()
	q := *p
	addr := netip.MustParsePrefix(prefix).Addr().As16()
	q.Prefix, q.CollisionCount = [8]byte(addr[:8]), count
	a, err := q.Address(1)
	if err != nil {
		t.Fatal(err)
	}
	return a.String()
}

// RFC 3972 section 4: "If an address collision is detected, increment the collision count by one and go back to step (5).
// However, after three collisions, stop and report the error." Rows 31 to 33: with finite lifetimes the kernel takes the
// address away itself, with infinite ones it does not.
func TestCollisions(t *testing.T) {
	for name, lifetime := range map[string]time.Duration{"finite": day, "infinite": ra.Infinite} {
		t.Run(name, func(t *testing.T) {
			h := twoLinks(t, testConfig(t))
			p := params(t, cgaHex)
			h.taken[addrA] = true
			h.advertise(eth0, "fe80::1", pio(prefixA, lifetime, lifetime))
			h.advance(3 * time.Second)
			second := withCount(t, p, prefixA, 1)
			h.wantAddrs("2 " + second)
			h.wantState(eth0, prefixA, Ready)
			if s := h.status(eth0, prefixA); s.CollisionCount != 1 {
				t.Errorf("collision count is %d", s.CollisionCount)
			}

			h = twoLinks(t, testConfig(t))
			for c := range uint8(3) {
				h.taken[withCount(t, p, prefixA, c)] = true
			}
			h.advertise(eth0, "fe80::1", pio(prefixA, lifetime, lifetime))
			h.advance(10 * time.Second)
			h.wantAddrs()
			h.wantState(eth0, prefixA, Failed)
			if h.reported(Collision) != 3 || h.reported(GivenUp) != 1 {
				t.Errorf("reports are %+v", h.reports)
			}
			// It stays given up, until the link comes up again somewhere else.
			h.advertise(eth0, "fe80::1", pio(prefixA, lifetime, lifetime))
			h.advance(10 * time.Second)
			h.wantAddrs()
			clear(h.taken)
			h.link(eth0, "eth0", false)
			h.link(eth0, "eth0", true)
			h.advance(2 * time.Second)
			h.wantAddrs("2 " + addrA)
		})
	}
}

// RFC 5535 section 6 step 6.4: a collision of one member begins the loop again for all prefixes. Row 34.
func TestCollisionInHBASet(t *testing.T) {
	h := twoLinks(t, testConfig(t))
	p := params(t, hbaHex)
	h.advertise(eth0, "fe80::1", pio(hbaA, day, day))
	h.advance(2 * time.Second)
	h.wantState(eth0, hbaA, Ready)
	h.taken[hbaAddrB] = true
	h.advertise(eth1, "fe80::2", pio(hbaB, day, day))
	h.advance(3 * time.Second)
	h.wantAddrs("2 "+withCount(t, p, hbaA, 1), "3 "+withCount(t, p, hbaB, 1))
	if s := h.status(eth1, hbaB); s.Method != "HBA" || s.CollisionCount != 1 || s.State != Ready {
		t.Errorf("status is %+v", s)
	}
	for c := range uint8(3) {
		h.taken[withCount(t, p, hbaB, c)] = true
	}
	h.link(eth1, "eth1", false)
	delete(h.addrs, "3 "+withCount(t, p, hbaB, 1))
	h.handle(AddressGone{Link: eth1, Addr: netip.MustParseAddr(withCount(t, p, hbaB, 1))})
	h.link(eth1, "eth1", true)
	h.advance(10 * time.Second)
	h.wantAddrs()
	h.wantState(eth0, hbaA, Failed)
	h.wantState(eth1, hbaB, Failed)
	// The CGA is another identity.
	h.advertise(eth0, "fe80::1", pio(prefixA, day, day))
	h.wantAddrs("2 " + addrA)
}

// A collision concerns an address that is in use too, and not one that is not ours.
func TestLateAndForeignCollisions(t *testing.T) {
	h := twoLinks(t, testConfig(t))
	h.advertise(eth0, "fe80::1", pio(prefixA, day, day))
	h.advance(2 * time.Second)
	h.handle(AddressGone{Link: eth0, Addr: netip.MustParseAddr("2001:db8:1:2::9"), Duplicate: true})
	h.handle(AddressGone{Link: eth1, Addr: netip.MustParseAddr(addrA), Duplicate: true})
	h.wantState(eth0, prefixA, Ready)
	h.handle(AddressChanged{Link: eth0, Addr: netip.MustParsePrefix(addrA + "/64"), Duplicate: true, Tentative: true})
	h.advance(2 * time.Second)
	h.wantAddrs("2 " + withCount(t, params(t, cgaHex), prefixA, 1))
}

// Row 35: an interface that goes down loses its addresses, and has them again when it is up.
func TestLinkDownAndUp(t *testing.T) {
	h := twoLinks(t, testConfig(t))
	h.advertise(eth0, "fe80::1", pio(prefixA, day, day))
	h.advance(2 * time.Second)
	h.link(eth0, "eth0", false)
	clear(h.addrs)
	h.handle(AddressGone{Link: eth0, Addr: netip.MustParseAddr(addrA)})
	h.wantState(eth0, prefixA, Lost)
	h.advance(time.Minute)
	h.wantAddrs()
	if h.reported(AddressRemoved) != 0 {
		t.Error("reported as if somebody had removed it")
	}
	h.link(eth0, "eth0", true)
	h.wantAddrs("2 " + addrA)
	h.wantState(eth0, prefixA, Tentative)
	h.advance(2 * time.Second)
	h.wantState(eth0, prefixA, Ready)
	// The two kinds of news may come in either order.
	h.handle(AddressGone{Link: eth0, Addr: netip.MustParseAddr(addrA)})
	h.handle(AddressChanged{Link: eth0, Addr: netip.MustParsePrefix(addrA + "/64")})
	h.wantState(eth0, prefixA, Ready)
}

// Row 36: without a carrier duplicate address detection proves nothing.
func TestNoCarrier(t *testing.T) {
	h := newHost(t, testConfig(t))
	h.link(eth0, "eth0", false)
	h.advertise(eth0, "fe80::1", pio(prefixA, day, day))
	h.wantAddrs()
	h.link(eth0, "eth0", true)
	h.wantAddrs("2 " + addrA)
	h.link(eth0, "eth0", false)
	h.wantAddrs()
	h.handle(AddressChanged{Link: eth0, Addr: netip.MustParsePrefix(addrA + "/64")})
	h.wantState(eth0, prefixA, Waiting)
	h.link(eth0, "eth0", true)
	h.advance(2 * time.Second)
	h.wantState(eth0, prefixA, Ready)
}

// The loss of the carrier alone takes no address away that is in use, nor does the end of its preferred lifetime then.
func TestCarrierLostLater(t *testing.T) {
	h := twoLinks(t, testConfig(t))
	h.advertise(eth0, "fe80::1", pio(prefixA, day, time.Hour))
	h.advance(2 * time.Second)
	h.link(eth0, "eth0", false)
	h.handle(AddressChanged{Link: eth0, Addr: netip.MustParsePrefix(addrA + "/64"), Deprecated: true})
	h.wantAddrs("2 " + addrA)
	h.wantState(eth0, prefixA, Ready)
}

// Row 37: what somebody else removed is reported, and comes back with the next advertisement, which is asked for.
func TestForeignDeletion(t *testing.T) {
	h := twoLinks(t, testConfig(t))
	h.advertise(eth0, "fe80::1", pio(prefixA, day, day))
	h.advance(2 * time.Second)
	clear(h.addrs)
	h.log = nil
	solicited := func() (n int) {
		for _, x := range h.log {
			if s, ok := x.(Solicit); ok && s.Link == eth0 {
				n++
			}
		}
		return n
	}
	for range 3 {
		h.handle(AddressGone{Link: eth0, Addr: netip.MustParseAddr(addrA)})
	}
	h.wantState(eth0, prefixA, Lost)
	if h.reported(AddressRemoved) != 1 {
		t.Errorf("reports are %+v", h.reports)
	}
	h.advance(time.Second)
	h.wantAddrs()
	if n := solicited(); n != 1 {
		t.Errorf("%d solicitations", n)
	}
	h.advertise(eth0, "fe80::1", pio(prefixA, day, day))
	h.wantAddrs("2 " + addrA)
	h.advance(time.Hour)
	if n := solicited(); n != 1 {
		t.Errorf("%d solicitations, some after the answer", n)
	}
}

// Row 38: an address that an earlier run left is taken over with its collision count.
func TestAdoption(t *testing.T) {
	old := withCount(t, params(t, cgaHex), prefixA, 2)
	h := twoLinks(t, testConfig(t))
	h.addrs["2 "+old] = &entry{link: eth0, told: true}
	h.handle(AddressChanged{Link: eth0, Addr: netip.MustParsePrefix(old + "/64")})
	h.advertise(eth0, "fe80::1", pio(prefixA, day, day))
	h.wantAddrs("2 " + old)
	h.handle(AddressChanged{Link: eth0, Addr: netip.MustParsePrefix(old + "/64")})
	h.wantState(eth0, prefixA, Ready)
	if s := h.status(eth0, prefixA); s.CollisionCount != 2 {
		t.Errorf("status is %+v", s)
	}
}

func TestRefusedByTheKernel(t *testing.T) {
	h := twoLinks(t, testConfig(t))
	h.advertise(eth0, "fe80::1", pio(prefixA, day, day))
	clear(h.addrs)
	h.handle(AddressRefused{eth0, netip.MustParseAddr(addrA), "permission denied"})
	h.wantState(eth0, prefixA, Lost)
	if h.reported(AddressRejected) != 1 {
		t.Errorf("reports are %+v", h.reports)
	}
	h.advertise(eth0, "fe80::1", pio(prefixA, day, day))
	h.wantAddrs("2 " + addrA)
}

// Who sets an interface up once more, as ifup does, turns the kernel's own configuration on: it is turned off again when the
// interface comes up or the kernel makes an address, and no address of the kernel's is refreshed.
func TestKernelConfigurationTurnedOnAgain(t *testing.T) {
	h := twoLinks(t, testConfig(t))
	h.advertise(eth0, "fe80::1", pio(prefixA, day, day))
	h.advance(2 * time.Second)
	turnedOff := func(why string, want int, events ...Event) {
		t.Helper()
		h.log = nil
		n := 0
		for _, ev := range events {
			h.handle(ev)
		}
		for _, x := range h.log {
			if m, ok := x.(Manage); ok && m.Link == eth0 {
				n++
			}
		}
		if n != want {
			t.Errorf("%s: turned off %d times, want %d", why, n, want)
		}
	}
	up := LinkChanged{Index: eth0, Name: "eth0", Up: true}
	down := up
	down.Up = false
	turnedOff("down and up", 1, down, up)
	turnedOff("up already", 0, up)
	kernels := AddressChanged{Link: eth0, Addr: netip.MustParsePrefix("2001:db8:1:2:0:ff:fe00:1/64"), Kernel: true}
	turnedOff("an address of the kernel", 1, kernels)
	kernels.Deprecated = true
	turnedOff("its deprecation", 0, kernels)
	kernels.Deprecated, kernels.Kernel = false, false
	turnedOff("an address of the administrator", 0, kernels)
	h.handle(LinkChanged{Index: eth0, Name: "eth0", Up: true, Loopback: true})
	kernels.Kernel = true
	turnedOff("an interface that is not managed", 0, kernels)
}

// Row 40: what becomes of addresses that the kernel made, once ours is ready.
func TestExistingAddresses(t *testing.T) {
	const kernels = "2001:db8:1:2:0:ff:fe00:1"
	for policy, want := range map[Existing]Action{
		Keep:           nil,
		DeprecateThem:  Deprecate{eth0, netip.MustParseAddr(kernels)},
		RemoveExisting: DeleteAddress{eth0, netip.MustParseAddr(kernels)},
	} {
		c := testConfig(t)
		c.Existing = policy
		h := twoLinks(t, c)
		h.handle(AddressChanged{Link: eth0, Addr: netip.MustParsePrefix(kernels + "/64"), Kernel: true})
		h.handle(AddressChanged{Link: eth0, Addr: netip.MustParsePrefix("2001:db8:1:2::53/64")})
		h.handle(AddressChanged{Link: eth0, Addr: netip.MustParsePrefix("2001:db8:9:9::1/64"), Kernel: true})
		h.advertise(eth0, "fe80::1", pio(prefixA, day, day))
		h.log = nil
		h.advance(1500 * time.Millisecond)
		var got []Action
		for _, a := range h.log {
			if _, ok := a.(Solicit); !ok {
				got = append(got, a)
			}
		}
		if want == nil && len(got) > 0 || want != nil && (len(got) != 1 || got[0] != want) {
			t.Errorf("%s: got %+v, want %+v", policy, got, want)
		}
	}
}

// Generation is asked for once, and nothing waits for it but the addresses that need it.
func TestGeneration(t *testing.T) {
	c := testConfig(t)
	c.Identities[1].Params = nil
	h := twoLinks(t, c)
	h.log = nil
	h.advertise(eth0, "fe80::1", pio(prefixA, day, day), pio(prefixB, day, day), pio(hbaA, day, day))
	asked := func() (n int) {
		for _, a := range h.log {
			if g, ok := a.(Generate); ok && g.Name == "default" {
				n++
			}
		}
		return n
	}
	h.advance(10 * time.Second)
	h.wantAddrs("2 " + hbaAddrA)
	if asked() != 1 {
		t.Fatalf("asked %d times", asked())
	}
	h.handle(Generated{Name: "default", Err: errors.New("disk full")})
	if h.reported(ParamsFailed) != 1 {
		t.Errorf("reports are %+v", h.reports)
	}
	h.advance(59 * time.Second)
	if asked() != 1 {
		t.Error("asked again too early")
	}
	h.advance(2 * time.Second)
	if asked() != 2 {
		t.Error("not asked again")
	}
	// Parameters that are not what was asked for.
	for _, bad := range []*cga.Params{nil, params(t, hbaHex), params(t, "ff"+cgaHex[2:])} {
		h.handle(Generated{Name: "default", Params: bad})
		h.wantAddrs("2 " + hbaAddrA)
		h.advance(61 * time.Second)
	}
	h.handle(Generated{Name: "nobody", Params: params(t, cgaHex)})
	h.handle(Generated{Name: "default", Params: params(t, cgaHex)})
	h.wantAddrs("2 "+addrA, "2 "+withCount(t, params(t, cgaHex), prefixB, 0), "2 "+hbaAddrA)
}

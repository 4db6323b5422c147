// SPDX-License-Identifier: MIT

package run

import (
	"errors"
	"net/netip"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"shim6/daemon/ctl"
	"shim6/internal/cga"
	"shim6/internal/rtnl"
)

func TestLocators(t *testing.T) {
	h, l := still(t)
	h.cfg.Interfaces = []string{"eth*"}
	a1, a2 := h.addrs[0].Prefix.Addr(), h.addrs[1].Prefix.Addr()
	plain := netip.MustParseAddr("2001:db8:a3::1")
	with := func(a netip.Addr, link string, change func(*rtnl.Address)) rtnl.Address {
		x := address(a, link)
		change(&x)
		return x
	}
	other := func(n byte) netip.Addr { return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: n}) }
	h.addrs = []rtnl.Address{
		with(a2, "eth1", func(a *rtnl.Address) { a.Deprecated = true }),
		with(a1, "eth0", func(a *rtnl.Address) { a.Carrier = false }),
		with(plain, "eth0", func(a *rtnl.Address) { a.Temporary = true }),
		with(a1, "eth2", func(*rtnl.Address) {}),
		with(other(1), "wlan0", func(*rtnl.Address) {}),
		with(other(2), "eth0", func(a *rtnl.Address) { a.Tentative = true }),
		with(other(3), "eth0", func(a *rtnl.Address) { a.Duplicate = true }),
		with(other(4), "eth0", func(a *rtnl.Address) { a.Valid = 0 }),
		with(other(5), "eth0", func(a *rtnl.Address) { a.Global = false }),
		with(other(6), "eth0", func(a *rtnl.Address) { a.Up = false }),
		with(other(7), "eth0", func(a *rtnl.Address) { a.Loopback = true }),
	}
	l.refresh()
	want := []ctl.Locator{
		{Addr: a1, Link: "eth0", Carrier: true, Proof: "CGA", KeyID: "host"},
		{Addr: plain, Link: "eth0", Carrier: true, Temporary: true},
		{Addr: a2, Link: "eth1", Carrier: true, Deprecated: true, Priority: deprecatedPriority, Proof: "CGA", KeyID: "host"},
	}
	for i := range l.locators {
		if params := l.locators[i].Params; (len(params) > 0) != (want[i].Proof != "") {
			t.Errorf("%v has %d octets of parameters", want[i].Addr, len(params))
		}
		l.locators[i].Params = nil
	}
	if d := cmp.Diff(want, l.locators, addrs); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if len(l.told) != 3 || l.told[0].KeyID != "host" || len(l.told[0].PDS) == 0 || l.told[1].PDS != nil || l.told[2].Addr != a2 {
		t.Errorf("told %+v", l.told)
	}
	for i, want := range []uint8{0, 0, deprecatedPriority} {
		if l.told[i].Priority != want {
			t.Errorf("%v has priority %d, want %d", l.told[i].Addr, l.told[i].Priority, want)
		}
	}
	// Lifetimes that change are no news.
	h.addrs[0].Valid = time.Hour
	l.refresh()
	if n := len(h.journal.lines(t, "locators changed")); n != 1 {
		t.Errorf("told %d times, want once", n)
	}
	// Whether an address is deprecated is.
	h.addrs[0].Deprecated = false
	l.refresh()
	if l.told[0].Addr != a2 || l.told[0].Priority != 0 {
		t.Errorf("told %+v", l.told[0])
	}
	h.addrs[0].Deprecated = true
	l.refresh()
	h.addrs = h.addrs[1:]
	l.refresh()
	if lines := h.journal.lines(t, "locators changed"); len(lines) != 4 || lines[3]["count"] != 2.0 {
		t.Errorf("told %v", lines)
	}
}

func TestAddressesThatCannotBeReadStay(t *testing.T) {
	h, l := still(t)
	l.refresh()
	l.ports.Addresses = func() ([]rtnl.Address, error) { return nil, errors.New("netlink is gone") }
	l.refresh()
	if len(l.locators) != 2 || len(h.journal.lines(t, "local addresses not read")) != 1 {
		t.Errorf("locators %+v", l.locators)
	}
}

func TestNoLocatorsAreToldOnce(t *testing.T) {
	h, l := still(t)
	h.addrs = nil
	l.refresh()
	l.refresh()
	if n := len(h.journal.lines(t, "locators changed")); n != 1 {
		t.Errorf("told %d times, want once", n)
	}
}

// A loss of the carrier is the fastest sign of a failure there is (RFC 5534 section 3.3 leaves such signs to the host).
func TestLostCarrierStartsAnExploration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := establishedPair(t)
		p.wires.setCut(p.a1, p.b1, true)
		p.wires.setCut(p.a1, p.b2, true)
		down := slices.Clone(p.a.addrs)
		down[0].Carrier = false
		p.a.setAddresses(down...)
		time.Sleep(10 * time.Second)
		if got := p.a.module.only(t).Paths[0]; got.Local != p.a2 {
			t.Errorf("the path is %v", got)
		}
		if n := len(p.a.journal.lines(t, "locator lost")); n != 1 {
			t.Errorf("told %d times, want once", n)
		}
		// Its return and another loss of what is not used any more change nothing.
		probes := len(p.a.journal.lines(t, "probe sent"))
		down[0].Carrier = true
		p.a.setAddresses(slices.Clone(down)...)
		time.Sleep(time.Second)
		down[0].Carrier = false
		p.a.setAddresses(down...)
		time.Sleep(time.Second)
		if n := len(p.a.journal.lines(t, "probe sent")); n != probes {
			t.Errorf("%d more probes", n-probes)
		}
	})
}

func TestLostAddressStartsAnExploration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := establishedPair(t)
		p.a.setAddresses(p.a.addrs[1])
		time.Sleep(10 * time.Second)
		if got := p.a.module.only(t).Paths[0]; got.Local != p.a2 {
			t.Errorf("the path is %v", got)
		}
	})
}

// RFC 5533 section 1.5: a context ends with the valid lifetime of its ULID, wherever the address is by then. One that has no end
// goes on, as a host that moves needs it.
func TestExpiredULIDEndsContexts(t *testing.T) {
	for name, tt := range map[string]struct {
		valid time.Duration
		after time.Duration
		want  int
	}{"expired": {time.Hour, time.Hour + time.Second, 0}, "not yet": {time.Hour, 59 * time.Minute, 1}, "static": {rtnl.Forever, 48 * time.Hour, 1}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPair(t)
				p.a.addrs[0].Valid = tt.valid
				p.a.cfg.Teardown, p.b.cfg.Teardown = 0, 0
				p.run(t)
				defer p.stop()
				p.establish(t)
				p.a.setAddresses(p.a.addrs[1])
				time.Sleep(tt.after)
				if got := p.a.contexts(t); len(got) != tt.want {
					t.Errorf("%d contexts, want %d", len(got), tt.want)
				}
			})
		})
	}
}

// counting counts how often the keys are read.
type counting struct {
	n   int
	err error
}

func (c *counting) load(string) (Keys, error) {
	c.n++
	return none{}, c.err
}

type none struct{}

func (none) ParamsFor(netip.Addr) (*cga.Params, string, bool) { return nil, "", false }
func (none) Key(string) cga.Signer                            { return nil }

func TestKeysAreReadWhenTheyChange(t *testing.T) {
	h, l := still(t)
	c := new(counting)
	l.ports.LoadKeys, l.keys = c.load, nil
	old := time.Date(2029, 1, 1, 0, 0, 0, 0, time.UTC)
	set := func(at time.Time) {
		if err := os.Chtimes(h.cfg.Keys, at, at); err != nil {
			t.Fatal(err)
		}
	}
	step := func(what string, want int) {
		t.Helper()
		l.loadKeys()
		if c.n != want {
			t.Errorf("%s: the keys were read %d times, want %d", what, c.n, want)
		}
	}
	set(old)
	step("at first", 1)
	step("without a change", 1)
	set(old.Add(time.Second))
	step("after a change", 2)
	set(l.now.Add(-time.Second))
	step("just changed", 3)
	step("perhaps changing still", 4)
	set(old)
	c.err = errors.New("bad.pem")
	step("with an error", 5)
	step("after an error", 6)
	if n := len(h.journal.lines(t, "not every key can be used")); n != 1 {
		t.Errorf("the same error was logged %d times", n)
	}
	c.err = nil
	step("mended", 7)
	step("without a change again", 7)
	if err := os.Remove(h.cfg.Keys); err != nil {
		t.Fatal(err)
	}
	step("without a directory", 8)
}

func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		p.a.run(t, p.wires)
		defer p.a.stop()
		c := new(counting)
		p.a.loop.call(t.Context(), func() { p.a.loop.ports.LoadKeys = c.load })
		p.a.loop.Reload()
		p.a.loop.Reload()
		synctest.Wait()
		list, err := p.a.loop.Backend().Locators(t.Context())
		if err != nil || c.n == 0 || len(list) != 2 || list[0].Proof != "" {
			t.Errorf("locators %+v, %v after %d loads", list, err, c.n)
		}
	})
}

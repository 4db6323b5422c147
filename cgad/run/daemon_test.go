// SPDX-License-Identifier: MIT

package run

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"shim6/cgad/autoconf"
	"shim6/cgad/config"
	"shim6/cgad/netlab"
	"shim6/internal/cga"
)

const prefixA, prefixB, prefixC = "2001:db8:a:1::/64", "2001:db8:b:1::/64", "2001:db8:c:1::/64"

func advertisement(lifetime uint16, prefixes ...string) netlab.Advertisement {
	a := netlab.Advertisement{Lifetime: lifetime}
	for _, p := range prefixes {
		a.Prefixes = append(a.Prefixes, netlab.Prefix{Prefix: p, Valid: 86400, Preferred: 14400})
	}
	return a
}

// proved gives the addresses on a link once there are n of them, and checks that the keys prove each.
func (r *running) proved(t *testing.T, w world, link, n int) []string {
	t.Helper()
	var list []string
	netlab.Wait(t, "addresses", func() bool { list = w.addresses(t, link); return len(list) == n })
	store, err := cga.LoadDir(r.config.Keys)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list {
		addr := netip.MustParseAddr(strings.TrimSuffix(s, " deprecated"))
		if _, keyID, ok := store.ParamsFor(addr); !ok || keyID != "default" {
			t.Errorf("no key proves %v: %v, %q", addr, ok, keyID)
		}
	}
	return list
}

func wantRouting(t *testing.T, w world, want ...string) {
	t.Helper()
	slices.Sort(want)
	var got []string
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if got = w.routing(t); slices.Equal(got, want) {
			return
		}
	}
	t.Fatalf("routing is %q, want %q", got, want)
}

// A host that knows nothing, not even a key, and two providers: addresses that the key proves, each routed to its
// provider, within seconds; nothing but the addresses is left at the end.
func TestFromNothing(t *testing.T) {
	both(t, func(t *testing.T, w world, one, two int) {
		r := start(t, w, 2, nil)
		w.advertise(t, one, "fe80::1", advertisement(1800, prefixA))
		w.advertise(t, two, "fe80::2", advertisement(1800, prefixB))
		first, second := r.proved(t, w, one, 1), r.proved(t, w, two, 1)
		wantRouting(t, w, prefixA, "0 ::/0 via fe80::1", prefixB, "1 ::/0 via fe80::2")
		netlab.Wait(t, "a status with all that", func() bool {
			s, err := r.Status(t.Context())
			return err == nil && len(s.Links) == 2 && len(s.Rules) == 2 && s.Links[0].Addresses[0].State == autoconf.Ready
		})
		// A provider says goodbye: its routes are gone within a second.
		before := time.Now()
		w.advertise(t, one, "fe80::1", advertisement(0, prefixA))
		wantRouting(t, w, prefixB, "1 ::/0 via fe80::2")
		if d := time.Since(before); d > time.Second {
			t.Errorf("that took %v", d)
		}
		r.stop()
		wantRouting(t, w)
		if !slices.Equal(w.addresses(t, one), first) || !slices.Equal(w.addresses(t, two), second) {
			t.Error("the addresses went")
		}
	})
}

// RFC 4862 section 5.5.3 e: the provider renumbers. The old address is deprecated at once and keeps its way out.
func TestRenumbering(t *testing.T) {
	both(t, func(t *testing.T, w world, one, _ int) {
		r := start(t, w, 2, func(c *config.Config) { c.OnStop = config.RemoveAddresses })
		w.advertise(t, one, "fe80::1", advertisement(1800, prefixA))
		old := r.proved(t, w, one, 1)[0]
		a := advertisement(1800, prefixC)
		a.Prefixes = append(a.Prefixes, netlab.Prefix{Prefix: prefixA})
		w.advertise(t, one, "fe80::1", a)
		list := r.proved(t, w, one, 2)
		netlab.Wait(t, "deprecation", func() bool { list = w.addresses(t, one); return slices.Contains(list, old+" deprecated") })
		if len(list) != 2 || strings.Contains(list[1], "deprecated") {
			t.Errorf("addresses are %q", list)
		}
		wantRouting(t, w, prefixA, "0 ::/0 via fe80::1", prefixC, "1 ::/0 via fe80::1")
		r.stop()
		if list := w.addresses(t, one); len(list) != 0 {
			t.Errorf("left behind: %q", list)
		}
	})
}

// RFC 3972 section 4 step 8: the collision count rises and the keys prove the next address.
func TestCollision(t *testing.T) {
	both(t, func(t *testing.T, w world, one, _ int) {
		r := start(t, w, 2, nil)
		w.taken(t, one, 1)
		w.advertise(t, one, "fe80::1", advertisement(1800, prefixA))
		r.proved(t, w, one, 1)
		netlab.Wait(t, "a status with collision count 1", func() bool {
			s, err := r.Status(t.Context())
			a := s.Links[0].Addresses[0]
			return err == nil && a.CollisionCount == 1 && a.State == autoconf.Ready
		})
	})
}

// RFC 3972 section 4 step 8: after three collisions, stop and report the error. Row 33: nothing is left of them, and
// another provider is served all the same.
func TestThreeCollisions(t *testing.T) {
	both(t, func(t *testing.T, w world, one, two int) {
		r := start(t, w, 2, nil)
		w.taken(t, one, 3)
		w.advertise(t, one, "fe80::1", advertisement(1800, prefixA))
		w.advertise(t, two, "fe80::2", advertisement(1800, prefixB))
		netlab.Wait(t, "the address to be given up", func() bool {
			s, err := r.Status(t.Context())
			a := s.Links[0].Addresses
			return err == nil && len(a) == 1 && a[0].State == autoconf.Failed && a[0].CollisionCount == 3 && !a[0].Addr.IsValid()
		})
		r.proved(t, w, two, 1)
		if list := w.addresses(t, one); len(list) != 0 {
			t.Errorf("left behind: %q", list)
		}
	})
}

// RFC 5535 section 6 step 6.4: a collision of one member of a set raises the collision count of all, on whatever interface,
// and replaces those that are ready already. Row 34.
func TestCollisionInSet(t *testing.T) {
	both(t, func(t *testing.T, w world, one, two int) {
		r := start(t, w, 2, func(c *config.Config) {
			c.Sets = []config.Set{{Name: "site", Prefixes: []netip.Prefix{netip.MustParsePrefix(prefixA), netip.MustParsePrefix(prefixB)}}}
		})
		w.advertise(t, one, "fe80::1", advertisement(1800, prefixA))
		var first []string
		netlab.Wait(t, "the first member", func() bool { first = w.addresses(t, one); return len(first) == 1 })
		w.taken(t, two, 1)
		w.advertise(t, two, "fe80::2", advertisement(1800, prefixB))
		netlab.Wait(t, "both members with collision count 1", func() bool {
			s, err := r.Status(t.Context())
			for _, l := range s.Links {
				if len(l.Addresses) != 1 || l.Addresses[0].Method != "HBA" || l.Addresses[0].CollisionCount != 1 || l.Addresses[0].State != autoconf.Ready {
					return false
				}
			}
			return err == nil
		})
		if next := w.addresses(t, one); len(next) != 1 || next[0] == first[0] {
			t.Errorf("the first member was %q and is %q", first, next)
		}
	})
}

// Row 35: addresses and routes come back with the link.
func TestLinkDownAndUp(t *testing.T) {
	both(t, func(t *testing.T, w world, one, _ int) {
		r := start(t, w, 2, nil)
		w.advertise(t, one, "fe80::1", advertisement(1800, prefixA))
		before := r.proved(t, w, one, 1)
		w.setUp(t, one, false)
		wantRouting(t, w)
		w.setUp(t, one, true)
		if after := r.proved(t, w, one, 1); !slices.Equal(after, before) {
			t.Errorf("addresses were %q and are %q", before, after)
		}
		wantRouting(t, w, prefixA, "0 ::/0 via fe80::1")
	})
}

// What a spoofer or a broken router sends changes nothing. Rows 1 to 6 are told apart in package ra.
func TestInvalidAdvertisements(t *testing.T) {
	both(t, func(t *testing.T, w world, one, _ int) {
		r := start(t, w, 2, nil)
		w.advertise(t, one, "2001:db8::1", advertisement(1800, prefixA))
		zero := advertisement(1800, prefixA)
		zero.Options = make([]byte, 8)
		w.advertise(t, one, "fe80::1", zero)
		w.advertise(t, one, "fe80::2", advertisement(1800, prefixB))
		r.proved(t, w, one, 1)
		wantRouting(t, w, prefixB, "0 ::/0 via fe80::2")
		if s, err := r.Status(t.Context()); err != nil || s.Counters[invalid] != 2 {
			t.Errorf("counters are %v, %v", s.Counters, err)
		}
	})
}

// A flood of 10^4 routers with 10^5 prefixes makes neither memory nor addresses grow, and does not keep the real providers
// from being served.
func TestFlood(t *testing.T) {
	both(t, func(t *testing.T, w world, one, two int) {
		r := start(t, w, 2, nil)
		w.advertise(t, one, "fe80::1", advertisement(1800, prefixA))
		real := r.proved(t, w, one, 1)[0]
		if _, ok := w.(*realWorld); ok {
			netlab.Sysctl(t, "h0", "accept_ra_defrtr", "0") // the kernel takes seconds for 10^4 default routes of its own
		}
		before := heap()
		for i := range 10000 {
			var prefixes []string
			for j := range 10 {
				prefixes = append(prefixes, netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0xff, byte(j), byte(i >> 8), byte(i)}), 64).String())
			}
			w.advertise(t, one, netip.AddrFrom16([16]byte{0xfe, 0x80, 13: 0xbd, 14: byte(i >> 8), 15: byte(i)}).String(), advertisement(1800, prefixes...))
		}
		w.advertise(t, two, "fe80::2", advertisement(1800, prefixB))
		r.proved(t, w, two, 1)
		if grown := int64(heap()) - int64(before); grown > 4<<20 {
			t.Errorf("the heap grew by %d octets", grown)
		} else {
			t.Logf("the heap grew by %d octets", grown)
		}
		s, err := r.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n := s.Counters["too many advertisements"] + s.Counters["too many routers"]; n < 5000 {
			t.Errorf("only %d were refused: %v", n, s.Counters)
		}
		limits := config.Default().Limits
		if list := w.addresses(t, one); !slices.Contains(list, real) || len(list) > limits.Routers*limits.Prefixes {
			t.Errorf("%d addresses: %q", len(list), list)
		}
	})
}

// heap gives the octets that are in use.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A reload applies what differs; one that cannot be read changes nothing.
func TestReload(t *testing.T) {
	both(t, func(t *testing.T, w world, one, two int) {
		r := start(t, w, 2, nil)
		w.advertise(t, one, "fe80::1", advertisement(1800, prefixA))
		w.advertise(t, two, "fe80::2", advertisement(1800, prefixB))
		first := r.proved(t, w, one, 1)
		r.proved(t, w, two, 1)
		next := *r.config
		next.Interfaces = []string{"h0"}
		r.config = &next
		if err := r.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantRouting(t, w, prefixA, "0 ::/0 via fe80::1")
		netlab.Wait(t, "the address to go", func() bool { return len(w.addresses(t, two)) == 0 })
		if got := w.addresses(t, one); !slices.Equal(got, first) {
			t.Errorf("the address that stays changed from %q to %q", first, got)
		}
	})
}

func TestStatusSocket(t *testing.T) {
	f := newFake()
	f.link("h0")
	r := start(t, f, 1, nil)
	path := filepath.Join(t.TempDir(), "run", "cgad.sock")
	if _, err := Ask(t.Context(), path); err == nil {
		t.Error("an answer from nobody")
	}
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if err := r.Serve(t.Context(), l); err != nil {
			t.Error(err)
		}
	}()
	s, err := Ask(t.Context(), path)
	if err != nil || s.PID != os.Getpid() || len(s.Links) != 1 || s.Links[0].Name != "h0" || s.Version == "" {
		t.Errorf("status is %+v, %v", s, err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("socket: %v, %v", st, err)
	}
	if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), "another process listens") {
		t.Errorf("a second server: %v", err)
	}
	// A reload over the socket, with what becomes of it.
	if err := AskReload(t.Context(), path); err != nil {
		t.Error(err)
	}
	wrong := errors.New("cgad.yaml: line 7: unknown key")
	r.Load = func() (*config.Config, error) { return nil, wrong }
	if err := AskReload(t.Context(), path); !errors.Is(err, ErrReload) || !strings.Contains(err.Error(), wrong.Error()) {
		t.Errorf("a wrong configuration: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(file); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("a file in the place of the socket: %v", err)
	}
}

// Row 38: the next daemon takes over the addresses that the last one left, with their collision count and without a new
// duplicate address detection.
func TestRestart(t *testing.T) {
	both(t, func(t *testing.T, w world, one, _ int) {
		keys := filepath.Join(t.TempDir(), "keys")
		same := func(c *config.Config) { c.Keys = keys }
		r := start(t, w, 2, same)
		w.taken(t, one, 1)
		w.advertise(t, one, "fe80::1", advertisement(1800, prefixA))
		before := r.proved(t, w, one, 1)
		r.stop()
		r = start(t, again(w), 2, same)
		w.advertise(t, one, "fe80::1", advertisement(1800, prefixA))
		wantRouting(t, w, prefixA, "0 ::/0 via fe80::1")
		netlab.Wait(t, "the address to be taken over", func() bool {
			s, err := r.Status(t.Context())
			a := s.Links[0].Addresses
			return err == nil && len(a) == 1 && a[0].State == autoconf.Ready && a[0].CollisionCount == 1
		})
		if after := w.addresses(t, one); !slices.Equal(after, before) {
			t.Errorf("addresses were %q and are %q", before, after)
		}
	})
}

// What takes long, such as parameters with Sec 2, holds up nothing else: another key's addresses are made meanwhile, routes
// follow, and the daemon answers and ends.
func TestGenerationHoldsNothingUp(t *testing.T) {
	both(t, func(t *testing.T, w world, one, two int) {
		begun, ended := make(chan struct{}), make(chan struct{})
		r := startWith(t, w, 2, func(o *Options) {
			generate := o.Generate
			o.Config.Sets = []config.Set{{Name: "slow", Prefixes: []netip.Prefix{netip.MustParsePrefix(prefixA)}}}
			o.Generate = func(ctx context.Context, c *config.Config, name string) (*cga.Params, error) {
				if name != "set/slow" {
					return generate(ctx, c, name)
				}
				close(begun)
				<-ctx.Done()
				close(ended)
				return nil, ctx.Err()
			}
		})
		w.advertise(t, one, "fe80::1", advertisement(1800, prefixA))
		select {
		case <-begun:
		case <-time.After(10 * time.Second):
			t.Fatal("nobody generates")
		}
		w.advertise(t, two, "fe80::2", advertisement(1800, prefixB))
		r.proved(t, w, two, 1)
		wantRouting(t, w, prefixA, "0 ::/0 via fe80::1", prefixB, "1 ::/0 via fe80::2")
		s, err := r.Status(t.Context())
		if err != nil || s.Links[0].Addresses[0].State != autoconf.Waiting {
			t.Errorf("status is %+v, %v", s.Links, err)
		}
		r.stop()
		<-ended
	})
}

// SPDX-License-Identifier: MIT

package kernel

import (
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"shim6/cgad/autoconf"
	"shim6/cgad/netlab"
	"shim6/cgad/ra"
)

func sh(t *testing.T, command string) string {
	t.Helper()
	ip, err := exec.LookPath("ip")
	if err != nil {
		t.Fatalf("this test needs iproute2: %v", err)
	}
	// A busybox shell would take its own, which knows less.
	out, err := exec.Command("sh", "-ec", fmt.Sprintf("ip() { %s \"$@\"; }\n%s", ip, command)).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return string(out)
}

// everything is all that can be seen of rules and routes, but for what comes and goes with time.
func everything(t *testing.T) string {
	t.Helper()
	return sh(t, "ip -6 rule; ip -6 route show table all | sed 's/expires [0-9]*sec//' | sort")
}

func defaultRoute(table uint32, via string, link int) autoconf.Route {
	return autoconf.Route{Table: table, Destination: netip.PrefixFrom(netip.IPv6Unspecified(), 0), Gateway: netip.MustParseAddr(via), Link: link, Metric: 512}
}

func rule(prefix string, table uint32, p ra.Preference) autoconf.Rule {
	return autoconf.Rule{Prefix: netip.MustParsePrefix(prefix), Table: table, Preference: p}
}

const table1, table2 = 0x53360000, 0x53360001

// What was there before is there afterwards, and nothing else: after each change is undone, after Close, and after a crash.
func TestNothingIsLeftBehind(t *testing.T) {
	index := netlab.NewLink(t, "h0", "r0").Host.Attrs().Index
	sh(t, `ip -6 rule add from 2001:db8:1::/64 table 77 pref 100
		ip -6 rule add from all table main suppress_prefixlength 0 pref 200
		ip -6 route add 2001:db8:f::/48 via fe80::9 dev h0
		ip -6 route add default via fe80::9 dev h0 table 77
		ip -6 route add default via fe80::9 dev h0 table 1396047872`)
	t.Cleanup(func() { sh(t, "ip -6 rule del pref 100; ip -6 rule del pref 200") })
	before := everything(t)
	r1, r2, r3 := defaultRoute(table1, "fe80::1", index), defaultRoute(table1, "fe80::2", index), defaultRoute(table2, "fe80::2", index)
	specific := autoconf.Route{Table: table2, Destination: netip.MustParsePrefix("2001:db8:e::/48"), Gateway: r3.Gateway, Link: index, Metric: 256}
	u1, u2 := rule("2001:db8:1::/64", table1, ra.Medium), rule("2001:db8:2::/64", table2, ra.Low)

	k := open(t)
	add := []autoconf.Action{autoconf.AddRoute{Route: r1}, autoconf.AddRoute{Route: r2}, autoconf.AddRoute{Route: r3}, autoconf.AddRoute{Route: specific},
		autoconf.AddRule{}, autoconf.AddRule{Rule: u1}, autoconf.AddRule{Rule: u2}}
	apply(t, k, add...)
	apply(t, k, add...)
	all := everything(t)
	for _, want := range []string{
		"lookup main suppress_prefixlength 0 proto 140", "from 2001:db8:1::/64 lookup 1396047872 proto 140",
		"2001:db8:e::/48 via fe80::2 dev h0 table 1396047873 proto 140 metric 256",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in\n%s", want, all)
		}
	}
	if gone, err := k.missing(); err != nil || len(gone) > 0 {
		t.Errorf("missing are %+v, %v", gone, err)
	}
	remove := []autoconf.Action{autoconf.DeleteRule{Rule: u2}, autoconf.DeleteRule{Rule: u1}, autoconf.DeleteRule{},
		autoconf.DeleteRoute{Route: specific}, autoconf.DeleteRoute{Route: r3}, autoconf.DeleteRoute{Route: r2}, autoconf.DeleteRoute{Route: r1}}
	apply(t, k, remove...)
	apply(t, k, remove...)
	if after := everything(t); after != before {
		t.Errorf("after each was undone:\n%s\nbefore:\n%s", after, before)
	}

	apply(t, k, add...)
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	if after := everything(t); after != before {
		t.Errorf("after the end:\n%s\nbefore:\n%s", after, before)
	}
	apply(t, k, add...)
	open(t)
	if after := everything(t); after != before {
		t.Errorf("after a crash and a new start:\n%s\nbefore:\n%s", after, before)
	}
}

// The rule for the main table may be there already, made by another: that one stays.
func TestRuleOfAnotherStays(t *testing.T) {
	sh(t, "ip -6 rule add from all table main suppress_prefixlength 0 pref 32762")
	before := everything(t)
	k := open(t)
	apply(t, k, autoconf.AddRule{}, autoconf.DeleteRule{})
	if after := everything(t); after != before {
		t.Errorf("after:\n%s\nbefore:\n%s", after, before)
	}
	sh(t, "ip -6 rule del pref 32762")
}

// The rules of a VPN come first, whether they were made before ours or after.
func TestRulesComeAfterThoseOfOthers(t *testing.T) {
	order := func() string {
		var prefs []string
		for _, line := range strings.Split(sh(t, "ip -6 rule"), "\n") {
			switch {
			case strings.Contains(line, "proto 140") && strings.Contains(line, "suppress"):
				prefs = append(prefs, "main")
			case strings.Contains(line, "proto 140"):
				prefs = append(prefs, strings.Fields(line)[2])
			case strings.Contains(line, "51820"):
				prefs = append(prefs, "vpn")
			}
		}
		return strings.Join(prefs, " ")
	}
	add := []autoconf.Action{autoconf.AddRule{}, autoconf.AddRule{Rule: rule("2001:db8:1::/64", table1, ra.Low)}, autoconf.AddRule{Rule: rule("2001:db8:2::/64", table2, ra.High)}}
	vpn := "ip -6 rule add not fwmark 51820 table 51820"
	k := open(t)
	apply(t, k, add...)
	sh(t, vpn)
	if got := order(); got != "vpn main 2001:db8:2::/64 2001:db8:1::/64" {
		t.Errorf("order is %s", got)
	}
	sh(t, "ip -6 rule del not fwmark 51820 table 51820")
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	sh(t, vpn)
	k = open(t)
	apply(t, k, add...)
	if got := order(); !strings.HasPrefix(got, "vpn main 2001:db8:") {
		t.Errorf("order is %s", got)
	}
	sh(t, "ip -6 rule del not fwmark 51820 table 51820")
}

// What others remove is told.
func TestWatchTellsLostRoutesAndRules(t *testing.T) {
	l := netlab.NewLink(t, "h0", "r0")
	r, u := defaultRoute(table1, "fe80::1", l.Host.Attrs().Index), rule("2001:db8:1::/64", table1, ra.Medium)
	k := open(t)
	w := watch(t, k)
	gone := func(want autoconf.Event) func(autoconf.Event) bool {
		return func(ev autoconf.Event) bool { return ev == want }
	}
	apply(t, k, autoconf.AddRoute{Route: r}, autoconf.AddRule{Rule: u})
	sh(t, "ip -6 route flush table 1396047872")
	w.until(t, "the route to be missed", gone(autoconf.RouteGone{Route: r}))
	sh(t, "ip -6 rule del from 2001:db8:1::/64")
	w.until(t, "the rule to be missed", gone(autoconf.RuleGone{Rule: u}))
	apply(t, k, autoconf.AddRoute{Route: r})
	if err := netlink.LinkSetDown(l.Host); err != nil {
		t.Fatal(err)
	}
	w.until(t, "the route to go with its interface", gone(autoconf.RouteGone{Route: r}))
}

// providers is a host with an address of each of two providers, either on two links or on one, and routers that are known.
func providers(t *testing.T, k *Kernel, one, two *netlab.Link) {
	t.Helper()
	for i, l := range []*netlab.Link{one, two} {
		addr := netip.MustParseAddr(fmt.Sprintf("2001:db8:%d::2", i+1))
		apply(t, k, autoconf.AddAddress{Link: l.Host.Attrs().Index, Addr: addr, Valid: time.Hour, Preferred: time.Hour})
		sh(t, fmt.Sprintf("ip -6 neigh replace fe80::%d lladdr 02:00:00:00:00:0%d dev %s nud permanent", i+1, i+1, l.Host.Attrs().Name))
		netlab.Wait(t, "the address", func() bool {
			a, ok := find(t, l.Host, addr.String())
			return ok && a.Flags&unix.IFA_F_TENTATIVE == 0
		})
	}
	// As the kernel has it from the advertisements: both routers in the main table, and no source is looked at.
	sh(t, fmt.Sprintf("ip -6 route add default via fe80::1 dev %s metric 1024", one.Host.Attrs().Name))
	sh(t, fmt.Sprintf("ip -6 route append default via fe80::2 dev %s metric 1025", two.Host.Attrs().Name))
}

// send sends a datagram, from an address if there is one, and gives the source and the destination link-layer address's
// last digit, which is the number of the router.
func send(t *testing.T, from, to string, captures ...*netlab.Capture) (source string, router byte) {
	t.Helper()
	var local *net.UDPAddr
	if from != "" {
		local = &net.UDPAddr{IP: net.ParseIP(from)}
	}
	c, err := net.DialUDP("udp6", local, &net.UDPAddr{IP: net.ParseIP(to), Port: 9})
	if err != nil {
		t.Fatalf("from %q: %v", from, err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("shim6")); err != nil {
		t.Fatalf("from %q: %v", from, err)
	}
	netlab.Wait(t, "the datagram", func() bool {
		for _, capture := range captures {
			for p, ok := capture.Read(); ok; p, ok = capture.Read() {
				if p.Next == unix.IPPROTO_UDP && p.Destination == to {
					source, router = p.Source, p.LinkLayer[5]
					return true
				}
			}
		}
		return false
	})
	return source, router
}

// RFC 8028 section 3.1 and RFC 6724 section 5 rule 5.5, on two links and on one: a packet from a provider's address leaves
// through its router, and one whose source is still open gets a source and a router that belong together.
func TestProviderCorrectRouting(t *testing.T) {
	for _, links := range []int{2, 1} {
		t.Run(fmt.Sprintf("%d links", links), func(t *testing.T) {
			one := netlab.NewLink(t, "h0", "r0")
			two := one
			captures := []*netlab.Capture{one.Capture(t)}
			if links == 2 {
				two = netlab.NewLink(t, "h1", "r1")
				captures = append(captures, two.Capture(t))
			}
			k := open(t)
			providers(t, k, one, two)
			const far = "2001:db8:ffff::1"
			// Without the rules the second provider's packets leave through the first one's router.
			if _, router := send(t, "2001:db8:2::2", far, captures...); router != 1 {
				t.Errorf("without rules through router %d", router)
			}
			apply(t, k, autoconf.AddRoute{Route: defaultRoute(table1, "fe80::1", one.Host.Attrs().Index)},
				autoconf.AddRoute{Route: defaultRoute(table2, "fe80::2", two.Host.Attrs().Index)},
				autoconf.AddRule{}, autoconf.AddRule{Rule: rule("2001:db8:1::/64", table1, ra.Medium)}, autoconf.AddRule{Rule: rule("2001:db8:2::/64", table2, ra.Medium)})
			for i := range 2 {
				from := fmt.Sprintf("2001:db8:%d::2", i+1)
				if source, router := send(t, from, far, captures...); source != from || router != byte(i+1) {
					t.Errorf("bound to %s: from %s through router %d", from, source, router)
				}
			}
			// The destination is nearer to one or the other provider, and so is the source that Linux prefers.
			for _, to := range []string{far, "2001:db8:1:9::1", "2001:db8:2:9::1", "2001:db8:3:9::1", "2001:470::1"} {
				source, router := send(t, "", to, captures...)
				if want := fmt.Sprintf("2001:db8:%d::2", router); source != want {
					t.Errorf("to %s: from %s through router %d", to, source, router)
				}
			}
			// A deprecated address is no source for something new: its provider is left.
			apply(t, k, autoconf.SetLifetimes{Link: one.Host.Attrs().Index, Addr: netip.MustParseAddr("2001:db8:1::2"), Valid: time.Hour})
			if source, router := send(t, "", far, captures...); source != "2001:db8:2::2" || router != 2 {
				t.Errorf("after deprecation from %s through router %d", source, router)
			}
			if source, router := send(t, "2001:db8:1::2", far, captures...); source != "2001:db8:1::2" || router != 1 {
				t.Errorf("what goes on: from %s through router %d", source, router)
			}
			// A more specific route of the administrator wins.
			sh(t, fmt.Sprintf("ip -6 route add 2001:db8:eeee::/48 via fe80::2 dev %s", two.Host.Attrs().Name))
			if _, router := send(t, "2001:db8:1::2", "2001:db8:eeee::1", captures...); router != 2 {
				t.Errorf("against a more specific route through router %d", router)
			}
		})
	}
}

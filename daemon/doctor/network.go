// SPDX-License-Identifier: MIT

package doctor

import (
	"context"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"shim6/daemon/config"
	"shim6/internal/rtnl"
)

// An address is one that may be a locator, with where what is sent from it leaves.
type address struct {
	rtnl.Address
	route  rtnl.Route
	routed bool
}

// farAway is in the block of global unicast addresses and nobody's, so that its route is the default route.
var farAway = netip.MustParseAddr("2001:db8:ffff:ffff::1")

// leastMTU is that of IPv6 (RFC 8200 section 5) and the Payload Extension Header (RFC 5533 section 5.1).
const leastMTU = 1280 + 8

func (x *examination) sysctl(key string) string {
	b, err := os.ReadFile(filepath.Join(x.Proc, "sys/net/ipv6", key))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// sysctls looks for settings that work against a host with several providers.
func (x *examination) sysctls(context.Context) {
	before := len(x.found)
	if v := x.sysctl("conf/all/disable_ipv6"); v != "0" {
		hint := "sysctl net.ipv6.conf.all.disable_ipv6=0"
		if v == "" {
			hint = "boot a kernel with IPv6, without ipv6.disable=1"
		}
		x.say(Fail, CodeIPv6Off, hint, "IPv6 is off")
		return
	}
	list, err := rtnl.List()
	if err != nil {
		x.say(Unknown, CodeNotLookedAt, "", "%v", err)
		return
	}
	var links []string
	for _, a := range list {
		if a.MayBeSource() && x.included(a.Link) && !slices.Contains(links, a.Link) {
			links = append(links, a.Link)
		}
	}
	for _, link := range links {
		if x.sysctl("conf/"+link+"/use_tempaddr") == "2" {
			x.say(Warn, CodeTemporaryAddresses, "sysctl net.ipv6.conf."+link+".use_tempaddr=1",
				"%s prefers temporary addresses as sources, and nothing proves these", link)
		}
		if x.sysctl("conf/"+link+"/forwarding") == "1" && x.sysctl("conf/"+link+"/accept_ra") == "1" {
			x.say(Warn, CodeForwardingNoRA, "sysctl net.ipv6.conf."+link+".accept_ra=2", "%s forwards, and so ignores Router Advertisements", link)
		}
	}
	if len(x.found) == before {
		x.say(OK, CodeSysctlsGood, "", "nothing stands in the way on %d interfaces", len(links))
	}
}

func (x *examination) included(link string) bool {
	c := config.Config{Interfaces: x.links}
	return c.Includes(path.Base(link))
}

func (x *examination) addresses(context.Context) {
	list, err := rtnl.List()
	if err != nil {
		x.say(Unknown, CodeNotLookedAt, "", "%v", err)
		return
	}
	prefixes := make(map[netip.Prefix]bool)
	for _, a := range list {
		if !a.MayBeSource() || !x.included(a.Link) {
			continue
		}
		r, ok, err := rtnl.RouteTo(a.Prefix.Addr(), farAway)
		if err != nil {
			x.say(Unknown, CodeNotLookedAt, "", "%v", err)
			return
		}
		x.local = append(x.local, address{a, r, ok})
		prefixes[netip.PrefixFrom(a.Prefix.Addr(), 64).Masked()] = true
	}
	switch len(prefixes) {
	case 0:
		x.say(Fail, CodeNoAddress, "is there a Router Advertisement, or a configured address?", "no global IPv6 address")
	case 1:
		x.say(Warn, CodeOneProvider, "only a peer with two providers can be failed over to", "all %d addresses are of one prefix", len(x.local))
	default:
		x.say(OK, CodeProviders, "", "%d addresses in %d prefixes", len(x.local), len(prefixes))
	}
}

// rules looks whether what is sent from an address leaves by the interface that has it (RFC 8028).
func (x *examination) rules(context.Context) {
	wrong := 0
	for _, a := range x.local {
		addr := a.Prefix.Addr()
		switch {
		case !a.routed:
			wrong++
			x.say(Warn, CodeSourceRoutingBroken, "ip -6 route show table all; cgad makes routes and rules", "nothing leads out from %v", addr)
		case a.route.Link != a.Link:
			wrong++
			x.say(Warn, CodeSourceRoutingBroken, "ip -6 rule add from "+addr.String()+" lookup TABLE; cgad makes routes and rules",
				"what is sent from %v, an address of %s, leaves by %s", addr, a.Link, a.route.Link)
		}
	}
	if wrong == 0 {
		x.say(OK, CodeSourceRouting, "", "what is sent from each of %d addresses leaves by its own interface", len(x.local))
	}
}

func (x *examination) mtu(context.Context) {
	small := 0
	for _, a := range x.local {
		if a.routed && a.route.MTU < leastMTU {
			small++
			x.say(Warn, CodeMTUSmall, "ip link set "+a.route.Link+" mtu 1500, if the link can",
				"%s takes packets of %d octets: payload on another path than its own needs %d", a.route.Link, a.route.MTU, leastMTU)
		}
	}
	if small == 0 {
		x.say(OK, CodeMTUGood, "", "every link takes the Payload Extension Header")
	}
}

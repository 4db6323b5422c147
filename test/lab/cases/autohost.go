// SPDX-License-Identifier: MIT

package cases

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"shim6/test/lab/cgad"
	"shim6/test/lab/daemon"
	"shim6/test/lab/radvd"
	"shim6/test/lab/report"
	"shim6/test/lab/topo"
)

// madeKeys is the folder of keys that cgad makes, in report.KeyDir.
const madeKeys = "made"

// An autohost is the network with a host a that knew nothing and configures itself from what radvd says on both providers'
// routers, by cgad.
type autohost struct {
	*peers
	cgad    *cgad.Daemon
	routers [2]*radvd.Router
	rules   string // of host a before cgad came
}

// lifetimes of a prefix that a provider gives for good.
func lasting(p netip.Prefix) radvd.Prefix {
	return radvd.Prefix{Prefix: p, Valid: 24 * time.Hour, Preferred: 4 * time.Hour}
}

// Provider 1 wants to be preferred: without rules everything would leave by it.
var (
	provider1Says = radvd.Advertisement{Preference: "high", Prefixes: []radvd.Prefix{lasting(topo.PrefixA1)}}
	provider2Says = radvd.Advertisement{Prefixes: []radvd.Prefix{lasting(topo.PrefixA2)}}
)

// startAutohost builds the network and starts the daemons, then the routers, and waits until host a has its addresses and
// shim6d knows them.
func (e *Env) startAutohost() (*autohost, error) {
	net, err := topo.BuildUnconfigured(e.B1, e.RTT)
	if err != nil {
		return nil, err
	}
	e.Later(func() { e.Works("the network goes away", net.Delete()) })
	h := new(autohost)
	if h.rules, err = net.A.Output("ip", "-6", "rule"); err != nil {
		return nil, err
	}
	if h.cgad, err = cgad.New(net.A, e.Path("a-cgad.log"), filepath.Join(report.KeyDir, madeKeys)); err != nil {
		return nil, err
	}
	made, err := h.cgad.Init()
	if !e.Check("cgad init makes a key and its parameters", err == nil && strings.Count(made, "made ") == 2, "%q %s", made, errText(err)) {
		return nil, errors.New("there are no keys")
	}
	if err := h.cgad.Start(); err != nil {
		return nil, err
	}
	e.Later(h.stopCgad)
	if h.peers, err = e.startPeersWithKeys(net, madeKeys, "default"); err != nil {
		return nil, err
	}
	e.Later(h.remove)
	list, err := h.a.Locators()
	e.Check("shim6d of a starts without a locator", err == nil && len(list) == 0, "%v %s", list, errText(err))
	start := time.Now()
	if h.routers[0], err = radvd.Start(net.R1, "cust", e.Path("r1-radvd.log"), provider1Says); err != nil {
		return nil, err
	}
	e.Later(func() { e.Works("radvd of r1 stops", h.routers[0].Stop()) })
	if h.routers[1], err = radvd.Start(net.R2, "cust", e.Path("r2-radvd.log"), provider2Says); err != nil {
		return nil, err
	}
	e.Later(func() { e.Works("radvd of r2 stops", h.routers[1].Stop()) })
	return h, h.configured(start)
}

// configured waits for the addresses in both providers' prefixes.
func (h *autohost) configured(start time.Time) error {
	const limit = 30 * time.Second
	for _, x := range []struct {
		prefix netip.Prefix
		addr   *netip.Addr
	}{{topo.PrefixA1, &h.net.A1}, {topo.PrefixA2, &h.net.A2}} {
		a, err := h.cgad.Ready(x.prefix, limit)
		if !h.e.Works(fmt.Sprintf("cgad makes an address in %v", x.prefix), err) {
			return err
		}
		*x.addr = a.Addr
	}
	took := time.Since(start)
	h.e.Say("addresses after %v: %v", took.Round(time.Millisecond), h.net.Addresses)
	return h.knows(topo.PrefixA1, topo.PrefixA2)
}

// knows waits until the locators of shim6d in host a are in those prefixes, one each, and all proved.
func (h *autohost) knows(prefixes ...netip.Prefix) error {
	const limit = 5 * time.Second
	name := fmt.Sprintf("shim6d of a has a CGA in each of %v as a locator, and no others", prefixes)
	var list []daemon.LocalLocator
	var err error
	for start := time.Now(); time.Since(start) < limit; time.Sleep(50 * time.Millisecond) {
		if list, err = h.a.Locators(); err == nil && inEach(list, prefixes) {
			h.e.Check(name, true, "after %v: %v", time.Since(start).Round(time.Millisecond), list)
			return nil
		}
	}
	h.e.Check(name, false, "%v %s", list, errText(err))
	return errors.New("shim6d has other locators")
}

func inEach(list []daemon.LocalLocator, prefixes []netip.Prefix) bool {
	for _, p := range prefixes {
		found := false
		for _, l := range list {
			found = found || p.Contains(l.Addr) && l.Proof == "CGA"
		}
		if !found {
			return false
		}
	}
	return len(list) == len(prefixes)
}

// checkWay checks by which device host a sends what comes from an address to host b.
func (h *autohost) checkWay(what string, from netip.Addr, device string) {
	out, err := h.net.A.Output("ip", "-6", "route", "get", h.net.B1.String(), "from", from.String())
	h.e.Check(what, err == nil && strings.Contains(out, " dev "+device+" "), "%s %s", strings.TrimSpace(out), errText(err))
}

// stopCgad checks that nothing of cgad's is left but the addresses.
func (h *autohost) stopCgad() {
	e := h.e
	e.Works("cgad stops", h.cgad.Stop())
	rules, err := h.net.A.Output("ip", "-6", "rule")
	e.Check("the rules are those from before cgad", err == nil && rules == h.rules, "%q %s", rules, errText(err))
	routes, err := h.net.A.Output("ip", "-6", "route", "show", "table", "all", "proto", "140")
	e.Check("no routes of cgad are left", err == nil && routes == "", "%q %s", routes, errText(err))
}

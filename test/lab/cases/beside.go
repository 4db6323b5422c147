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
	"shim6/test/lab/manager"
	"shim6/test/lab/node"
	"shim6/test/lab/radvd"
	"shim6/test/lab/report"
	"shim6/test/lab/topo"
)

// beside is a case that runs cgad on a host whose network another program manages, with the settings that cgad(8) names.
func beside(name, program string, steps func(*besideHost) (besideManager, error)) Case {
	return Case{
		Name:     name,
		About:    "cgad beside " + program + ", with the settings of cgad(8): its addresses alone, and routes by provider, whatever the other does",
		FastTime: true,
		Daemons:  true,
		Managers: true,
		Without:  debugKernels("cgad alone: the module is not loaded"),
		Limit:    10 * time.Minute,
		Run:      func(e *Env) error { return runBeside(e, steps) },
	}
}

var (
	besideNetworkd       = beside("beside-networkd", "systemd-networkd", networkd)
	besideNetworkManager = beside("beside-networkmanager", "NetworkManager", networkManager)
	besideIfupdown       = beside("beside-ifupdown", "ifupdown", ifupdown)
)

// A besideManager is how a network manager is started, and what it may do later.
type besideManager struct {
	start func() error
	makes bool // addresses are made without cgad: by the kernel
	later []besideStep
}

// A besideStep is something that an administrator does with the manager while cgad runs.
type besideStep struct {
	what string
	do   func() error
}

// A besideHost is host a.
type besideHost struct {
	*manager.System
	e    *Env
	net  *topo.Network
	cgad *cgad.Daemon
}

// moreAdvertisements is time for two of each router.
const moreAdvertisements = 20 * time.Second

var uplinks = []struct {
	device string
	prefix netip.Prefix
}{{"p1", topo.PrefixA1}, {"p2", topo.PrefixA2}}

func runBeside(e *Env, steps func(*besideHost) (besideManager, error)) error {
	net, err := topo.BuildUnconfigured(e.B1, e.RTT)
	if err != nil {
		return err
	}
	e.Later(func() { e.Works("the network goes away", net.Delete()) })
	h := &besideHost{e: e, net: net}
	if h.System, err = manager.New(net.A, e.Path); err != nil {
		return err
	}
	m, err := steps(h)
	if err != nil {
		return err
	}
	if err := m.start(); !e.Works("it starts", err) {
		return err
	}
	for i, r := range []*node.Node{net.R1, net.R2} {
		x, err := radvd.Start(r, "cust", e.Path(r.Name+"-radvd.log"), []radvd.Advertisement{provider1Says, provider2Says}[i])
		if err != nil {
			return err
		}
		e.Later(func() { e.Works("radvd of "+r.Name+" stops", x.Stop()) })
	}
	time.Sleep(moreAdvertisements)
	without := h.addresses()
	for _, u := range uplinks {
		made := strings.Contains(without, strings.TrimSuffix(u.prefix.Addr().String(), ":"))
		e.Check(fmt.Sprintf("without cgad there is an address in %v: %v", u.prefix, m.makes), made == m.makes, "%s", without)
	}
	rules, err := net.A.Output("ip", "-6", "rule")
	if err != nil {
		return err
	}
	autoconf, err := h.autoconf()
	if err != nil {
		return err
	}
	if h.cgad, err = cgad.New(net.A, e.Path("a-cgad.log"), filepath.Join(report.KeyDir, "a")); err != nil {
		return err
	}
	if err := errors.Join(h.cgad.Configure("on_stop: remove-addresses\n"), h.cgad.Start()); err != nil {
		return err
	}
	h.settled("cgad starts")
	for _, step := range m.later {
		if err := step.do(); !e.Works(step.what, err) {
			return err
		}
		h.settled(step.what)
	}
	e.Works("cgad stops", h.cgad.Stop())
	after, err := net.A.Output("ip", "-6", "rule")
	e.Check("the rules are those from before cgad", err == nil && after == rules, "%q %s", after, errText(err))
	now, err := h.autoconf()
	e.Check("so are the settings of the kernel", err == nil && now == autoconf, "%s, before %s %s", now, autoconf, errText(err))
	return nil
}

// settled waits until both uplinks have an address of cgad's and no other for new communications, and until what comes from
// each leaves by its provider; and that it stays so.
func (h *besideHost) settled(when string) {
	const limit = 15 * time.Second
	start := time.Now()
	var err error
	for time.Since(start) < limit {
		if err = h.good(); err == nil {
			break
		}
		time.Sleep(200 * time.Millisecond)
	}
	took := time.Since(start)
	if h.e.Check(when+": the addresses and the routing are cgad's", err == nil, "after %v %s", took.Round(10*time.Millisecond), errText(err)) {
		time.Sleep(moreAdvertisements)
		err := h.good()
		h.e.Check(when+": and so they are after more advertisements", err == nil, "%s %s", h.addresses(), errText(err))
	}
	now, err := h.autoconf()
	h.e.Check(when+": the kernel makes no addresses", err == nil && strings.Count(now, "autoconf = 0\n") == len(uplinks), "%q %s", now, errText(err))
}

func (h *besideHost) good() error {
	s, err := h.cgad.Status()
	if err != nil {
		return err
	}
	for _, u := range uplinks {
		ours := s.In(u.prefix)
		if ours == nil || ours.State != "ready" {
			return fmt.Errorf("cgad has %+v in %v", ours, u.prefix)
		}
		out, err := h.net.A.Output("ip", "-6", "-o", "address", "show", "dev", u.device, "scope", "global", "-deprecated")
		if err != nil {
			return err
		}
		if lines := strings.Split(strings.TrimSpace(out), "\n"); len(lines) != 1 || !strings.Contains(lines[0], " "+ours.Addr.String()+"/64 ") {
			return fmt.Errorf("%s has %q, cgad made %v", u.device, out, ours.Addr)
		}
		out, err = h.net.A.Output("ip", "-6", "route", "get", h.net.B1.String(), "from", ours.Addr.String())
		if err != nil || !strings.Contains(out, " dev "+u.device+" ") {
			return fmt.Errorf("what comes from %v goes %q: %w", ours.Addr, out, err)
		}
	}
	out, err := h.net.A.Output("ip", "-6", "route", "show", "default")
	if err != nil || !strings.Contains(out, "default") {
		return fmt.Errorf("the main table has no default route: %w", err)
	}
	return nil
}

func (h *besideHost) addresses() string {
	out, err := h.net.A.Output("ip", "-6", "-o", "address", "show", "scope", "global")
	return strings.Join(strings.Fields(out), " ") + errText(err)
}

func (h *besideHost) autoconf() (string, error) {
	return h.net.A.Output("sysctl", "net.ipv6.conf.p1.autoconf", "net.ipv6.conf.p2.autoconf", "net.ipv6.conf.p1.accept_ra", "net.ipv6.conf.p2.accept_ra")
}

// later stops a process when the case is over.
func (h *besideHost) later(p **node.Process) {
	h.e.Later(func() {
		if *p != nil {
			_ = (*p).Stop() // however it ends
		}
	})
}

func networkd(h *besideHost) (besideManager, error) {
	var bus, daemon *node.Process
	h.later(&bus)
	h.later(&daemon)
	err := h.Write("/etc/systemd/network/uplinks.network", "[Match]\nName=p1 p2\n[Network]\nIPv6AcceptRA=yes\nKeepConfiguration=yes\n[IPv6AcceptRA]\nUseAutonomousPrefix=no\n")
	configured := func() error {
		for _, u := range uplinks {
			if out, err := h.Run("/usr/bin/networkctl", "status", u.device); err != nil || !strings.Contains(out, "(configured)") {
				return fmt.Errorf("%s: %q %w", u.device, out, err)
			}
		}
		return nil
	}
	start := func() (err error) {
		if daemon, err = h.Daemon("/lib/systemd/systemd-networkd"); err != nil {
			return err
		}
		return h.Await("networkd", configured)
	}
	control := func(args ...string) func() error {
		return func() error {
			_, err := h.Run("/usr/bin/networkctl", args...)
			return errors.Join(err, h.Await("networkd", configured))
		}
	}
	return besideManager{
		start: func() (err error) {
			if bus, err = h.Bus(); err != nil {
				return err
			}
			return start()
		},
		later: []besideStep{
			{"networkctl reload", control("reload")},
			{"networkctl reconfigure", control("reconfigure", "p1", "p2")},
			{"networkd restarts", func() error { return errors.Join(daemon.Stop(), start()) }},
		},
	}, err
}

func networkManager(h *besideHost) (besideManager, error) {
	var bus, daemon *node.Process
	h.later(&bus)
	h.later(&daemon)
	err := h.Write("/etc/NetworkManager/NetworkManager.conf", "[main]\nplugins=keyfile\nauth-polkit=false\n")
	for i, u := range uplinks {
		err = errors.Join(err, h.Write("/etc/NetworkManager/system-connections/"+u.device+".nmconnection", fmt.Sprintf(
			"[connection]\nid=%s\nuuid=0000000%d-1111-2222-3333-444444444444\ntype=ethernet\ninterface-name=%s\n[ipv4]\nmethod=disabled\n[ipv6]\nmethod=ignore\n",
			u.device, i, u.device)))
	}
	connected := func() error {
		out, err := h.Run("/usr/bin/nmcli", "-t", "-f", "DEVICE,STATE", "device")
		for _, u := range uplinks {
			if err == nil && !strings.Contains(out, u.device+":connected\n") {
				err = fmt.Errorf("devices are %q", out)
			}
		}
		return err
	}
	start := func() (err error) {
		if daemon, err = h.Daemon("/usr/sbin/NetworkManager", "--no-daemon"); err != nil {
			return err
		}
		return h.Await("NetworkManager", connected)
	}
	return besideManager{
		start: func() (err error) {
			if bus, err = h.Bus(); err != nil {
				return err
			}
			return start()
		},
		makes: true,
		later: []besideStep{
			{"nmcli connection up", func() error {
				_, err := h.Run("/usr/bin/nmcli", "connection", "up", "p1")
				return errors.Join(err, h.Await("NetworkManager", connected))
			}},
			{"nmcli device reapply", func() error { _, err := h.Run("/usr/bin/nmcli", "device", "reapply", "p2"); return err }},
			{"NetworkManager restarts", func() error { return errors.Join(daemon.Stop(), start()) }},
		},
	}, err
}

func ifupdown(h *besideHost) (besideManager, error) {
	err := h.Write("/etc/network/interfaces", "auto p1 p2\niface p1 inet6 auto\niface p2 inet6 auto\n")
	run := func(name string, args ...string) func() error {
		return func() error { _, err := h.Run(name, args...); return err }
	}
	return besideManager{
		start: run("/sbin/ifup", "-a"),
		makes: true,
		later: []besideStep{
			{"ifdown and ifup", func() error { return errors.Join(run("/sbin/ifdown", "p1")(), run("/sbin/ifup", "p1")()) }},
			{"ifup once more", run("/sbin/ifup", "--force", "p2")},
		},
	}, err
}

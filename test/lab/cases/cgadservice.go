// SPDX-License-Identifier: MIT

package cases

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"shim6/test/lab/manager"
	"shim6/test/lab/node"
	"shim6/test/lab/radvd"
	"shim6/test/lab/report"
	"shim6/test/lab/topo"
)

var cgadService = Case{
	Name:     "cgad-service",
	About:    "the shipped units under systemd without a configuration: readiness, few capabilities, keys, journal, reload, crash, hang, stop",
	FastTime: true,
	Without:  debugKernels("cgad alone: the module is not loaded"),
	Daemons:  true,
	Managers: true,
	Limit:    10 * time.Minute,
	Run:      runCgadService,
}

const (
	restartPause   = 2 * time.Second  // RestartSec of the units
	watchdog       = 60 * time.Second // WatchdogSec of the units
	killAfterAbort = 90 * time.Second // systemd's default; a process that is stopped does not hear SIGABRT
)

// A serviced is host a, whose daemons are services.
type serviced struct {
	*manager.Services
	e   *Env
	net *topo.Network
}

func runCgadService(e *Env) error {
	net, err := topo.BuildUnconfigured(e.B1, e.RTT)
	if err != nil {
		return err
	}
	e.Later(func() { e.Works("the network goes away", net.Delete()) })
	system, err := manager.New(net.A, e.Path)
	if err != nil {
		return err
	}
	for i, r := range []*node.Node{net.R1, net.R2} {
		x, err := radvd.Start(r, "cust", e.Path(r.Name+"-radvd.log"), []radvd.Advertisement{provider1Says, provider2Says}[i])
		if err != nil {
			return err
		}
		e.Later(func() { e.Works("radvd of "+r.Name+" stops", x.Stop()) })
	}
	before, err := net.A.Output("ip", "-6", "rule")
	if err != nil {
		return err
	}
	if err := errors.Join(installDaemons(), e.loadUnderTest()); err != nil {
		return err
	}
	e.Later(e.unloadUnderTest)
	s := &serviced{e: e, net: net}
	if s.Services, err = system.Services("cgad", "shim6d"); err != nil {
		return err
	}
	e.Later(s.Stop)
	e.Later(func() {
		text, err := s.Run("/usr/bin/journalctl", "--no-pager", "--output=short-precise")
		_ = errors.Join(err, e.Save("journal.txt", []byte(text))) // for people alone
	})
	if !s.is("shim6d", "the other service is ready", "ActiveState=active", "SubState=running", "Type=notify", "Result=success") {
		return errors.New("shim6d is no running service")
	}
	if !s.is("cgad", "the service is ready", "ActiveState=active", "SubState=running", "Type=notify", "Result=success") {
		return errors.New("cgad is no running service")
	}
	a1, a2 := s.address(topo.PrefixA1), s.address(topo.PrefixA2)
	e.Check("without a configuration both providers give an address", a1.IsValid() && a2.IsValid(), "%v, %v", a1, a2)
	s.privileges()
	s.secrets()
	s.signs(a1, a2)
	s.journal(a1, a2)
	s.reload()
	s.comesBack("it is killed: it starts again", a1, a2, "1", "KILL", restartPause)
	s.comesBack("it hangs: the watchdog has it start again", a1, a2, "2", "STOP", watchdog+killAfterAbort+restartPause)
	s.hangs()
	_, err = s.Run("/usr/bin/systemctl", "stop", "shim6d")
	e.Works("systemctl stop shim6d", err)
	s.is("shim6d", "it is stopped without a failure", "ActiveState=inactive", "Result=success")
	_, err = s.Run("/usr/bin/systemctl", "stop", "cgad")
	e.Works("systemctl stop", err)
	s.is("cgad", "it is stopped without a failure", "ActiveState=inactive", "Result=success")
	after, err := net.A.Output("ip", "-6", "rule")
	e.Check("the rules are those from before", err == nil && after == before, "%q %s", after, errText(err))
	autoconf, err := net.A.Output("sysctl", "-n", "net.ipv6.conf.p1.autoconf", "net.ipv6.conf.p2.autoconf")
	e.Check("so is the kernel's own configuration", err == nil && autoconf == "1\n1\n", "%q %s", autoconf, errText(err))
	return nil
}

// installDaemons puts the programs and host a's key where a package puts them.
func installDaemons() error {
	keys := filepath.Join(report.ManagerDir, "/etc/shim6/keys")
	for _, f := range []struct {
		to, from string
		mode     os.FileMode
	}{
		{"/usr/sbin/cgad", "/bin/cgad", 0o755},
		{"/usr/sbin/shim6d", "/bin/shim6d", 0o755},
		{"/usr/bin/shim6ctl", "/bin/shim6ctl", 0o755},
		{"/usr/libexec/shim6-signer", "/bin/shim6-signer", 0o755},
		{"/etc/shim6/keys/default.pem", filepath.Join(report.KeyDir, "a", "host.pem"), 0o600},
		{"/etc/shim6/keys/default.pds", filepath.Join(report.KeyDir, "a", "host.pds"), 0o644},
	} {
		raw, err := os.ReadFile(f.from)
		if err != nil {
			return err
		}
		to := filepath.Join(report.ManagerDir, f.to)
		if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, raw, f.mode)); err != nil {
			return err
		}
	}
	return errors.Join(os.Chown(keys, 0, manager.DaemonUser), os.Chmod(keys, 0o770|os.ModeSticky))
}

// is waits until a service has the properties.
func (s *serviced) is(service, what string, properties ...string) bool {
	var names []string
	for _, p := range properties {
		name, _, _ := strings.Cut(p, "=")
		names = append(names, name)
	}
	var out string
	var err error
	for start := time.Now(); time.Since(start) < 20*time.Second; time.Sleep(250 * time.Millisecond) {
		out, err = s.Show(service, names...)
		missing := 0
		for _, p := range properties {
			if !strings.Contains("\n"+out, "\n"+p+"\n") {
				missing++
			}
		}
		if err == nil && missing == 0 {
			return s.e.Check(what, true, "after %v", time.Since(start).Round(10*time.Millisecond))
		}
	}
	return s.e.Check(what, false, "%q %s", out, errText(err))
}

// address waits for the address in a prefix.
func (s *serviced) address(prefix netip.Prefix) netip.Addr {
	for start := time.Now(); time.Since(start) < 30*time.Second; time.Sleep(200 * time.Millisecond) {
		text, err := s.net.A.Output("ip", "-6", "-o", "address", "show", "scope", "global", "-deprecated", "-tentative")
		if err != nil {
			continue
		}
		for _, word := range strings.Fields(text) {
			// The kernel may have been first, with an address that has the ff:fe of its link-layer address.
			if p, err := netip.ParsePrefix(word); err == nil && prefix.Contains(p.Addr()) && !strings.Contains(word, "ff:fe") {
				return p.Addr()
			}
		}
	}
	return netip.Addr{}
}

func (s *serviced) privileges() {
	user := fmt.Sprint(manager.DaemonUser)
	for service, caps := range map[string][3]string{ // effective and permitted, inheritable, ambient
		"cgad":   {"0000000000001000", "0000000000000000", "0000000000000000"}, // CAP_NET_ADMIN
		"shim6d": {"0000000000003000", "0000000000003000", "0000000000003000"}, // and CAP_NET_RAW
	} {
		text, err := s.Run("/bin/sh", "-c", "cat /proc/$(systemctl show "+service+" --property=MainPID --value)/status")
		for name, want := range map[string]string{
			"Uid": user + "\t" + user + "\t" + user + "\t" + user, "CapEff": caps[0], "CapPrm": caps[0], "CapInh": caps[1], "CapAmb": caps[2],
			"CapBnd": "0000000000003000", "NoNewPrivs": "1", "Seccomp": "2",
		} {
			s.e.Check(fmt.Sprintf("privileges of %s: %s is %s", service, name, want), err == nil && strings.Contains(text, "\n"+name+":\t"+want+"\n"), "%s", errText(err))
		}
	}
}

// signs checks that shim6d has the key of its addresses, which it cannot read, from the signer.
func (s *serviced) signs(addrs ...netip.Addr) {
	var text string
	var err error
	for start := time.Now(); time.Since(start) < 10*time.Second; time.Sleep(250 * time.Millisecond) {
		text, err = s.Run("/usr/bin/shim6ctl", "locators", "--json")
		if strings.Count(text, `"key_id": "default"`) == len(addrs) {
			break
		}
	}
	s.e.Check("shim6d knows the key of both addresses", err == nil && strings.Count(text, `"key_id": "default"`) == len(addrs), "%s %s", text, errText(err))
}

// hangs stops shim6d, which does not feed the watchdog then.
func (s *serviced) hangs() {
	_, err := s.Run("/bin/sh", "-c", "kill -STOP $(systemctl show shim6d --property=MainPID --value)")
	s.e.Works("shim6d hangs: done", err)
	time.Sleep(watchdog + killAfterAbort + restartPause)
	s.is("shim6d", "shim6d hangs: the watchdog has it start again", "ActiveState=active", "SubState=running", "NRestarts=1")
	text, err := s.Run("/usr/bin/shim6ctl", "status")
	s.e.Check("and it answers", err == nil, "%s %s", text, errText(err))
}

// secrets tries to get at the private key as the daemon's user could.
func (s *serviced) secrets() {
	const key = "/etc/shim6/keys/default.pem"
	for what, command := range map[string]string{
		"read the private key": "cat " + key, "write to it": "echo x >>" + key, "remove it": "/usr/bin/busybox rm -f " + key, "rename it": "/usr/bin/busybox mv " + key + " /etc/shim6/keys/x.pem",
	} {
		out, err := s.Run("/usr/bin/busybox", "su", "-s", "/bin/sh", "shim6", "-c", command)
		s.e.Check("the daemon's user cannot "+what, err != nil && strings.Contains(out, "ermission denied") || strings.Contains(out, "not permitted"), "%q %s", out, errText(err))
	}
	out, err := s.Run("/bin/sh", "-c", "ls -n "+key)
	s.e.Check("the key is still root's", err == nil && strings.HasPrefix(out, "-rw-------    1 0        0 "), "%q %s", out, errText(err))
}

// journal looks for events by field.
func (s *serviced) journal(addrs ...netip.Addr) {
	for _, a := range addrs {
		text, err := s.Run("/usr/bin/journalctl", "--no-pager", "--output=json", "CGAD_EVENT=address_ready", "CGAD_ADDR="+a.String())
		s.e.Check(fmt.Sprintf("the journal has the event that %v is ready, with its fields", s.net.Short(a.String())), err == nil &&
			strings.Contains(text, `"CGAD_PREFIX":"`) && strings.Contains(text, `"CGAD_NAME":"p`) && strings.Contains(text, `"PRIORITY":"6"`), "%.300s %s", text, errText(err))
	}
}

func (s *serviced) reload() {
	_, err := s.Run("/usr/bin/systemctl", "reload", "cgad")
	s.e.Works("systemctl reload", err)
	yaml := filepath.Join(report.ManagerDir, "/etc/shim6/cgad.yaml")
	if err := os.WriteFile(yaml, []byte("keyz: x\n"), 0o644); err != nil {
		s.e.Works("a configuration that is wrong", err)
		return
	}
	text, err := s.Run("/usr/sbin/cgad", "reload", "--socket", "/run/shim6/cgad.sock")
	s.e.Check("cgad reload tells what is wrong", err != nil && strings.Contains(text, `cgad.yaml: line 1: unknown key "keyz"`), "%q", text)
	s.is("cgad", "and it goes on", "ActiveState=active", "SubState=running")
	s.e.Works("the configuration goes", os.Remove(yaml))
}

// comesBack sends the process a signal and waits for the next one, which takes over what the last one left.
func (s *serviced) comesBack(what string, a1, a2 netip.Addr, restarts, signal string, after time.Duration) {
	_, err := s.Run("/bin/sh", "-c", "kill -"+signal+" $(systemctl show cgad --property=MainPID --value)")
	s.e.Works(what+": done", err)
	time.Sleep(after)
	s.is("cgad", what, "ActiveState=active", "SubState=running", "NRestarts="+restarts)
	for i, a := range []netip.Addr{a1, a2} {
		want := fmt.Sprintf(" dev p%d ", i+1)
		var out string
		for start := time.Now(); time.Since(start) < 15*time.Second && !strings.Contains(out, want); time.Sleep(200 * time.Millisecond) {
			out, err = s.net.A.Output("ip", "-6", "route", "get", s.net.B1.String(), "from", a.String())
		}
		s.e.Check(fmt.Sprintf("%s: what comes from %v leaves by its provider", what, a), err == nil && strings.Contains(out, want), "%s %s", out, errText(err))
	}
}

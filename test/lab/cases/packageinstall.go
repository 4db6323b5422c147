// SPDX-License-Identifier: MIT

package cases

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"shim6/test/lab/daemon"
	"shim6/test/lab/fault"
	"shim6/test/lab/machine"
	"shim6/test/lab/node"
	"shim6/test/lab/radvd"
	"shim6/test/lab/report"
	"shim6/test/lab/topo"
	"shim6/test/lab/traffic"
)

var packageInstall = Case{
	Name:   "package-install",
	About:  "a machine with Debian 12: apt installs the packages, DKMS builds, a flow outlives its provider unconfigured; upgrade, kernel upgrade, purge",
	Debian: true,
	// What is compiled, and the archive of the lab.
	MemoryMB: 3072,
	Limit:    3 * time.Hour, // on a machine that does other things, too
	Run:      runPackageInstall,
}

// An installed machine is host a.
type installed struct {
	*machine.Machine
	e      *Env
	net    *topo.Network
	b      *daemon.Daemon
	shim6d *daemon.Daemon // the machine's own
	beat   *traffic.Beat
	before machine.Inventory
	faults [2]*fault.Switch // of the providers
}

const (
	// defaultSendTimeout is that of the daemon's defaults.
	defaultSendTimeout = 15 * time.Second
	beatInterval       = 200 * time.Millisecond
	beatPort           = 5001
)

func runPackageInstall(e *Env) error {
	m, err := machine.New("a")
	if err != nil {
		return err
	}
	x := &installed{Machine: m, e: e}
	defer x.saveLogs()
	if err := x.connect(); err != nil {
		return err
	}
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"install", x.install},
		{"protect", x.protect},
		{"confinement", x.confined},
		{"upgrade", x.upgrade},
		{"kernel upgrade", x.upgradeKernel},
		{"purge", x.purge},
	} {
		start := time.Now()
		e.Say("%s begins", step.name)
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		e.Say("%s took %v of the guest's time", step.name, time.Since(start).Round(time.Second))
	}
	return nil
}

// connect builds the network around the machine and waits until the kernel has addresses of both providers.
func (x *installed) connect() error {
	e := x.e
	err := x.started()
	if err != nil {
		return err
	}
	if x.net, err = topo.BuildAround(x.Node, e.B1, e.RTT); err != nil {
		return err
	}
	for i, r := range []*node.Node{x.net.R1, x.net.R2} {
		p, err := radvd.Start(r, "cust", e.Path(r.Name+"-radvd.log"), []radvd.Advertisement{provider1Says, provider2Says}[i])
		if err != nil {
			return err
		}
		e.Later(func() { e.Works("radvd of "+r.Name+" stops", p.Stop()) })
	}
	for start := time.Now(); ; time.Sleep(time.Second) {
		out, err := x.Output("ip", "-6", "-o", "address", "show", "scope", "global", "-tentative")
		if err == nil && strings.Count(out, "2001:db8:") == 2 {
			break
		}
		if time.Since(start) > time.Minute {
			return fmt.Errorf("the kernel has no addresses of both providers: %q %w", out, err)
		}
	}
	for i, r := range []*node.Node{x.net.R1, x.net.R2} {
		if x.faults[i], err = fault.Install(r); err != nil {
			return err
		}
	}
	// Listing loads modules of the kernel, so the second list counts.
	_, err1 := x.Inventory()
	x.before, err = x.Inventory()
	return errors.Join(err1, err)
}

// started waits until Debian has started everything.
func (x *installed) started() error {
	const limit = 3 * time.Minute
	for start := time.Now(); ; time.Sleep(time.Second) {
		out, err := x.Run("systemctl", "is-system-running")
		if err == nil {
			return nil
		}
		if time.Since(start) > limit {
			failed, _ := x.Run("systemctl", "--failed", "--no-legend", "--plain")
			jobs, _ := x.Run("systemctl", "list-jobs", "--no-legend")
			return fmt.Errorf("after %v the system is %s: failed %q, starting %q", limit, strings.TrimSpace(out), failed, jobs)
		}
	}
}

// apt runs apt-get, whose word is in a file afterwards.
func (x *installed) apt(log string, args ...string) error {
	out, err := x.Run("apt-get", append([]string{"--yes", "--quiet"}, args...)...)
	return errors.Join(err, x.e.Save("apt-"+log+".txt", []byte(out)))
}

func packages(dir string) []string {
	var list []string
	for _, name := range []string{"shim6", "shim6-dkms", "cgatool"} {
		list = append(list, filepath.Join(report.DebianRoot, report.PackageDir, dir, name+".deb"))
	}
	return list
}

func (x *installed) install() error {
	e := x.e
	if !e.Works("apt-get install of the files, and of nothing else", x.apt("install", append([]string{"install"}, packages("old")...)...)) {
		return errors.New("the packages are not installed")
	}
	x.built("DKMS builds for the running kernel", e.Versions[0], x.release())
	x.loaded()
	mode, err := x.Shell("", "stat -c '%a %U %F' /etc/shim6/keys/default.pem")
	e.Check("a key is made that only root reads", err == nil && mode == "600 root regular file\n", "%q %s", mode, errText(err))
	x.running(e.Versions[0])
	return nil
}

// release is that of the running kernel.
func (x *installed) release() string { return x.e.Release }

// built checks that DKMS has the modules of a version, and of no other, in place for a kernel.
func (x *installed) built(what, version, release string) {
	status, err := x.Run("dkms", "status", "-k", release)
	want := fmt.Sprintf("shim6/%s, %s, x86_64: installed", version, release)
	lines := strings.Split(strings.TrimSpace(status), "\n")
	ours := slices.DeleteFunc(lines, func(l string) bool { return !strings.HasPrefix(l, "shim6/") })
	files, listErr := filepath.Glob(filepath.Join(machine.Root, "/lib/modules", release, "updates/dkms/shim6*.ko*"))
	x.e.Check(what, err == nil && listErr == nil && slices.Equal(ours, []string{want}) && len(files) == 4, "%q, %d modules %s", ours, len(files), errText(err))
}

// compareIDs compares the build IDs of what runs and what DKMS put in place.
const compareIDs = `cd /tmp; for m in shim6 shim6_heur_default; do f=$(modinfo -F filename $m); echo $f
case $f in *.xz) xz -dc $f ;; *) cat $f ;; esac >m.ko && objcopy -O binary --only-section=.note.gnu.build-id m.ko m.id &&
cmp m.id /sys/module/$m/notes/.note.gnu.build-id || exit 1; rm m.ko m.id; done`

// loaded checks that the modules that run are those of DKMS.
func (x *installed) loaded() {
	out, err := x.Shell("", compareIDs)
	x.e.Check("the modules are loaded, and are those that DKMS built", err == nil && strings.Count(out, "/updates/dkms/shim6") == 2, "%q %s", out, errText(err))
}

// running waits until the services have said that they are ready and the daemon is of a version.
func (x *installed) running(version string) {
	const limit = 30 * time.Second
	var out string
	var err error
	for start := time.Now(); time.Since(start) < limit; time.Sleep(time.Second) {
		if out, err = x.Run("systemctl", "is-active", "cgad", "shim6d"); err == nil && out == "active\nactive\n" {
			break
		}
	}
	x.e.Check("both services are active", err == nil && out == "active\nactive\n", "%q %s", out, errText(err))
	types, err := x.Run("systemctl", "show", "--value", "--property=Type", "cgad", "shim6d")
	x.e.Check("and have said so themselves", err == nil && types == "notify\n\nnotify\n", "%q %s", types, errText(err))
	status, err := x.Run("shim6ctl", "status", "--json")
	x.e.Check("shim6ctl reaches a shim6d of version "+version, err == nil && strings.Contains(status, fmt.Sprintf("%q", version)), "%.200s %s", status, errText(err))
}

// protect has a flow that begins at whatever address the kernel chooses outlive the death of its provider. Nothing was configured.
func (x *installed) protect() error {
	e := x.e
	changed, err := x.Run("dpkg", "--verify", "shim6")
	e.Check("no file of the package was changed, be it a configuration", err == nil && changed == "", "%q %s", changed, errText(err))
	x.shim6d = daemon.At(x.Node, machine.Root+"/run/shim6/shim6.sock")
	if x.net.A1, err = x.locator(topo.PrefixA1); err != nil {
		return err
	}
	if x.net.A2, err = x.locator(topo.PrefixA2); err != nil {
		return err
	}
	if x.b, err = daemon.New(x.net.B, e.Path(report.DaemonLog("b")), daemon.Config{Keys: "b", SendTimeout: defaultSendTimeout, Heuristic: "none"}); err != nil {
		return err
	}
	if err := x.b.Start(); err != nil {
		return err
	}
	if x.beat, err = traffic.StartBeat(traffic.TCP, x.net.A, x.net.B, netip.AddrPortFrom(x.net.A1, beatPort), netip.AddrPortFrom(x.net.B1, beatPort), beatInterval); err != nil {
		return err
	}
	if _, err := x.shim6d.Established(x.net.A1, x.net.B1, time.Minute); !e.Works("the flow gets a context", err) {
		return err
	}
	return x.outlive("the flow outlives the silent death of its provider", x.faults[0], x.net.A2, 0)
}

// locator waits for a proved locator in a prefix.
func (x *installed) locator(in netip.Prefix) (netip.Addr, error) {
	const limit = time.Minute
	var list []daemon.LocalLocator
	var err error
	for start := time.Now(); time.Since(start) < limit; time.Sleep(time.Second) {
		list, err = x.shim6d.Locators()
		for _, l := range list {
			if in.Contains(l.Addr) && l.Proof == "CGA" {
				return l.Addr, nil
			}
		}
	}
	return netip.Addr{}, fmt.Errorf("no locator in %v: %v %w", in, list, err)
}

// outlive cuts a provider and checks that the flow goes on by an address of the other one, in time, and lets it live again. So many
// probes may meet the dead provider.
func (x *installed) outlive(what string, provider *fault.Switch, by netip.Addr, missed int) error {
	e := x.e
	before, err := x.shim6d.Established(x.net.A1, x.net.B1, time.Second)
	if err != nil {
		return err
	}
	x.beat.Mark()
	if err := provider.Cut(); err != nil {
		return err
	}
	var gap traffic.Silence
	var since int
	for start := time.Now(); time.Since(start) < 2*defaultSendTimeout; time.Sleep(time.Second) {
		if gap, since, err = x.beat.Longest(); gap.Length() > defaultSendTimeout/2 && since > 10 {
			break
		}
	}
	// The first probes come half a second apart, more or less a fifth (RFC 5534 section 7).
	limit := defaultSendTimeout + time.Duration(missed)*600*time.Millisecond + slack
	e.Check(what, err == nil && since > 10 && gap.Length() > 0 && gap.Length() <= limit, "silent for %v, %d arrivals since %s", gap.Length(), since, errText(err))
	after, err := x.shim6d.Established(x.net.A1, x.net.B1, time.Second)
	e.Check(what+": by the other provider, in the same context", err == nil && after.Tag == before.Tag && netip.PrefixFrom(by, 64).Masked().Contains(after.Current.Local),
		"%v %s", after, errText(err))
	return provider.Heal()
}

func (x *installed) upgrade() error {
	e := x.e
	before, err := x.shim6d.Established(x.net.A1, x.net.B1, time.Second)
	if err != nil {
		return err
	}
	x.beat.Mark()
	if !e.Works("apt-get install of a later version", x.apt("upgrade", append([]string{"install"}, packages("new")...)...)) {
		return errors.New("the packages are not upgraded")
	}
	gap, since, err := x.beat.Longest()
	// Nothing that carries the flow was touched; while the guest compiles, its only processor is shared.
	e.Check("the flow does not notice the upgrade", err == nil && since > 10 && gap.Length() < 2*time.Second, "silent for %v, %d arrivals since %s", gap.Length(), since, errText(err))
	x.built("DKMS has the new version alone", e.Versions[1], x.release())
	x.running(e.Versions[1])
	after, err := x.shim6d.Established(x.net.A1, x.net.B1, 20*time.Second)
	e.Check("the new daemon has the context of the old one", err == nil && after.Tag == before.Tag && after.TagPeer == before.TagPeer, "%v, %v %s", before, after, errText(err))
	if err != nil {
		return err
	}
	// The host may have come back to provider 1 while its peer still sends by provider 2. Of four pairs only the last that is tried
	// then need work both ways.
	return x.outlive("after the upgrade the flow outlives the death of the other provider", x.faults[1], x.net.A1, 3)
}

// upgradeKernel does what the packages of a kernel do last: they run what is in /etc/kernel/postinst.d.
func (x *installed) upgradeKernel() error {
	out, err := x.Run("/etc/kernel/postinst.d/dkms", x.e.Other)
	x.e.Works("the hook of a new kernel", errors.Join(err, x.e.Save("kernel-upgrade.txt", []byte(out))))
	x.built("DKMS builds for the new kernel", x.e.Versions[1], x.e.Other)
	x.built("and keeps what is for the running one", x.e.Versions[1], x.release())
	return nil
}

func (x *installed) purge() error {
	e := x.e
	x.beat.End()
	e.Works("shim6d of b stops", errors.Join(x.b.Flush(), x.b.Stop()))
	if !e.Works("apt-get purge", x.apt("purge", "purge", "shim6", "shim6-dkms", "cgatool")) {
		return errors.New("the packages are not purged")
	}
	// The kernel takes routes from advertisements again, from the next one on.
	const limit = 30 * time.Second
	var left map[string][]string
	for start := time.Now(); ; time.Sleep(time.Second) {
		after, err := x.Inventory()
		if err != nil {
			return err
		}
		if left = after.Left(x.before); len(left) == 0 || time.Since(start) > limit {
			break
		}
	}
	for _, kind := range machine.Kinds() {
		e.Check("purge leaves the machine as it was: every "+kind, len(left[kind]) == 0, "%d different: %.2000s", len(left[kind]), strings.Join(left[kind], " | "))
	}
	return nil
}

// saveLogs keeps what people would look at.
func (x *installed) saveLogs() {
	journal, _ := x.Run("journalctl", "--no-pager", "--boot")
	_ = x.e.Save("journal.txt", []byte(journal))
	logs, _ := filepath.Glob(machine.Root + "/var/lib/dkms/shim6/*/*/*/log/make.log")
	more, _ := filepath.Glob(machine.Root + "/var/lib/dkms/shim6/*/build/make.log")
	for i, log := range append(logs, more...) {
		raw, _ := os.ReadFile(log)
		_ = x.e.Save(fmt.Sprintf("make-%d.log", i), raw)
	}
}

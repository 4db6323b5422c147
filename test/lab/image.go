// SPDX-License-Identifier: MIT

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"shim6/test/lab/cases"
	"shim6/test/lab/initramfs"
	"shim6/test/lab/kernel"
	"shim6/test/lab/report"
)

// kernelModules are the kernel's own modules that the cases need.
var kernelModules = []string{"veth", "sch_netem", "nf_tables", "xfrm_user"}

// shareModules are what the share needs, which user-mode Linux has of its own.
var shareModules = []string{"virtio_pci", "9pnet_virtio", "9p"}

// A hostProgram is taken from this machine, unmodified. The Debian package is what it is in.
type hostProgram struct{ name, pkg string }

// hostPrograms are those that every case has.
var hostPrograms = []hostProgram{
	{"ip", "iproute2"},
	{"iperf3", "iperf3"},
	{"radvd", "radvd"},
}

// casePrograms are those that only some cases have.
var casePrograms = []hostProgram{
	{"nft", "nftables"},
	{"wg", "wireguard-tools"},
}

// ownPrograms are ours, in the build folder.
var ownPrograms = []string{"shim6d", "shim6-signer", "shim6ctl", "cgad", "cgatool"}

// vectorDir has the right messages that wrong ones are made from.
const vectorDir = "daemon/wire/testdata"

// makeImage writes the guest's file system for a job.
func makeImage(to string, s *settings, k *kernel.Kernel, job *report.Job, c cases.Case) error {
	a := new(initramfs.Archive)
	if err := a.Copy("/init", filepath.Join(s.build, "bin", "labagent")); err != nil {
		return fmt.Errorf("the agent is not built, run make: %w", err)
	}
	if err := addPrograms(a, c.Programs); err != nil {
		return err
	}
	if c.Daemons {
		if err := addDaemons(a, s, job); err != nil {
			return err
		}
	}
	for _, name := range c.Examples {
		if err := a.Copy("/bin/"+name, filepath.Join(s.build, "bin", name)); err != nil {
			return fmt.Errorf("%s is not built, run make: %w", name, err)
		}
	}
	if c.Managers {
		if err := addManagers(a); err != nil {
			return err
		}
	}
	for name, from := range s.files {
		to := path.Join(report.DataDir, name)
		if strings.HasPrefix(name, "bin/") {
			to = "/" + name
		}
		if err := a.Copy(to, from); err != nil {
			return err
		}
	}
	names, lacks, err := k.Sort(c.Modules)
	if err != nil {
		return err
	}
	job.Lacks = lacks
	if !k.UserMode() {
		names = append(names, shareModules...)
	}
	mods, err := k.Modules(append(names, kernelModules...))
	if err != nil {
		return err
	}
	for _, m := range mods {
		raw, err := m.Load(filepath.Join(s.build, "lab", "modules", k.Release))
		if err != nil {
			return err
		}
		file := m.Name + ".ko"
		a.File(path.Join(report.ModuleDir, file), 0o644, raw)
		job.Modules = append(job.Modules, report.JobModule{File: file, Optional: m.Optional})
	}
	if err := addUnderTest(a, filepath.Join(s.build, "kmod", k.Series)); err != nil {
		return err
	}
	if k.Debug() {
		if err := a.Copy(path.Join(report.BugDir, "lab_bugs.ko"), filepath.Join(s.build, "bugs", k.Series, "lab_bugs.ko")); err != nil {
			return fmt.Errorf("the module with planted bugs is not built, run make kmod-%s: %w", k.Series, err)
		}
	}
	raw, err := json.Marshal(job)
	if err != nil {
		return err
	}
	a.File(report.JobPath, 0o644, raw)
	return a.Write(to)
}

func addPrograms(a *initramfs.Archive, more []string) error {
	programs := slices.Clone(hostPrograms)
	for _, name := range more {
		i := slices.IndexFunc(casePrograms, func(p hostProgram) bool { return p.name == name })
		if i < 0 {
			return fmt.Errorf("a case wants program %s, of which the lab knows no package", name)
		}
		programs = append(programs, casePrograms[i])
	}
	for _, p := range programs {
		found, err := lookProgram(p.name)
		if err != nil {
			return fmt.Errorf("%s is missing: apt-get install %s", p.name, p.pkg)
		}
		if err := a.Program("/bin/"+p.name, found); err != nil {
			return err
		}
	}
	busybox, err := lookProgram("busybox")
	if err != nil {
		return fmt.Errorf("busybox is missing: apt-get install busybox-static")
	}
	if err := a.Program("/bin/busybox", busybox); err != nil {
		return err
	}
	for _, applet := range []string{"sh", "ls", "cat", "ping", "ping6", "dmesg", "ps", "kill", "grep", "less", "vi", "sleep", "head", "tail", "lsmod", "rmmod", "insmod", "nc", "sysctl"} {
		a.Symlink("/bin/"+applet, "busybox")
	}
	return nil
}

// addDaemons adds our programs and the keys of the hosts.
func addDaemons(a *initramfs.Archive, s *settings, job *report.Job) error {
	for _, name := range ownPrograms {
		from := filepath.Join(s.build, "bin", name)
		if _, err := os.Stat(from); err != nil {
			return fmt.Errorf("%s is not built, run make: %w", name, err)
		}
		if err := a.Copy("/bin/"+name, from); err != nil {
			return err
		}
	}
	vectors, err := filepath.Glob(filepath.Join(vectorDir, "*.hex"))
	if err != nil {
		return err
	}
	if len(vectors) == 0 {
		return fmt.Errorf("no messages in %s, start the lab in the root of the repository", vectorDir)
	}
	for _, v := range vectors {
		if err := a.Copy(path.Join(report.VectorDir, filepath.Base(v)), v); err != nil {
			return err
		}
	}
	return addKeys(a, s, job)
}

// addUnderTest adds the modules that make kmod built for the series.
func addUnderTest(a *initramfs.Archive, dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*", "*.ko"))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("no module in %s, run make kmod", dir)
	}
	for _, f := range files {
		if err := a.Copy(path.Join(report.KmodDir, filepath.Base(f)), f); err != nil {
			return err
		}
	}
	return nil
}

// lookProgram finds a program, also where only root's PATH leads.
func lookProgram(name string) (string, error) {
	if found, err := exec.LookPath(name); err == nil {
		return found, nil
	}
	return exec.LookPath("/usr/sbin/" + name)
}

// SPDX-License-Identifier: MIT

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"shim6/test/lab/initramfs"
	"shim6/test/lab/kernel"
	"shim6/test/lab/report"
)

// managerPrograms are those of Debian's network managers, with what they and their scripts run.
var managerPrograms = []string{
	"/lib/systemd/systemd-networkd", "/usr/bin/networkctl",
	"/usr/sbin/NetworkManager", "/usr/bin/nmcli", "/usr/bin/dbus-daemon",
	"/sbin/ifup", "/sbin/sysctl", "/bin/ip",
	"/lib/systemd/systemd", "/lib/systemd/systemd-journald", "/usr/bin/systemctl", "/usr/bin/journalctl",
}

// serviceUnits are those that a service needs to be started and logged. Nothing else of systemd's is.
var serviceUnits = []string{
	"sysinit.target", "basic.target", "sockets.target", "slices.target", "paths.target", "timers.target", "shutdown.target", "umount.target",
	"local-fs.target", "network-pre.target", "network.target", "systemd-journald.service", "systemd-journald.socket",
	"systemd-journald-dev-log.socket",
}

// unitDir is where Debian keeps units.
const unitDir = "/usr/lib/systemd/system"

// shippedUnits are the daemons', and what has their keys.
var shippedUnits = []string{"cgad.service", "shim6d.service", "shim6-signer.socket", "shim6-signer@.service"}

// managerDirs are the folders whose files they read.
var managerDirs = []string{"/usr/share/dbus-1", "/etc/dbus-1", "/usr/lib/ifupdown"}

// addManagers adds the network managers, below a root of their own: they bring their libraries with them.
func addManagers(a *initramfs.Archive) error {
	cache, err := kernel.CacheDir()
	if err != nil {
		return err
	}
	root := filepath.Join(cache, "managers", "root")
	if _, err := os.Stat(filepath.Join(root, managerPrograms[0])); err != nil {
		return fmt.Errorf("the network managers are missing, run make setup-managers: %w", err)
	}
	for _, name := range managerPrograms {
		if err := a.ProgramOf(root, report.ManagerDir, name); err != nil {
			return err
		}
	}
	for _, dir := range managerDirs {
		if err := addFiles(a, root, dir); err != nil {
			return err
		}
	}
	for _, dir := range []string{"bin", "sbin", "lib", "lib64"} {
		a.Symlink(filepath.Join(report.ManagerDir, dir), "usr/"+dir)
	}
	a.Symlink(report.ManagerDir+"/usr/sbin/ifdown", "ifup")
	for _, unit := range serviceUnits {
		if err := a.Copy(filepath.Join(report.ManagerDir, unitDir, unit), filepath.Join(root, unitDir, unit)); err != nil {
			return err
		}
	}
	for _, unit := range shippedUnits {
		if err := a.Copy(filepath.Join(report.ManagerDir, unitDir, unit), filepath.Join("configs", unit)); err != nil {
			return fmt.Errorf("start the lab in the root of the repository: %w", err)
		}
	}
	busybox, err := lookProgram("busybox")
	if err != nil {
		return err // told when the other programs were added
	}
	if err := a.Copy(report.ManagerDir+"/usr/bin/busybox", busybox); err != nil {
		return err
	}
	for _, applet := range []string{"sh", "sleep", "run-parts", "grep", "cat", "ls", "seq", "mount", "kill"} {
		a.Symlink(report.ManagerDir+"/usr/bin/"+applet, "busybox")
	}
	return nil
}

func addFiles(a *initramfs.Archive, root, dir string) error {
	return filepath.WalkDir(filepath.Join(root, dir)+"/", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return errors.Join(err)
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		return a.Copy(filepath.Join(report.ManagerDir, name), path)
	})
}

// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"shim6/test/lab/module"
	"shim6/test/lab/report"
)

// mountSystem makes the folders that programs expect and connects the standard streams to the console.
func mountSystem() error {
	mounts := []struct {
		kind, at string
		flags    uintptr
		data     string
	}{
		{"devtmpfs", "/dev", unix.MS_NOSUID, "mode=0755"},
		{"proc", "/proc", 0, ""},
		{"sysfs", "/sys", 0, ""},
		{"debugfs", "/sys/kernel/debug", 0, ""},
		{"tmpfs", "/tmp", 0, "mode=1777"},
		{"tmpfs", "/run", 0, "mode=0755"},
		{"tmpfs", report.OutDir, 0, "mode=0755"},
	}
	for _, m := range mounts {
		if err := os.MkdirAll(m.at, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.kind, m.at, m.kind, m.flags, m.data); err != nil {
			return fmt.Errorf("mount %s: %w", m.at, err)
		}
	}
	// There is no /dev/console before /dev is mounted, so the kernel gave us no open files.
	console, err := os.OpenFile("/dev/console", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	for fd := range 3 {
		if err := unix.Dup3(int(console.Fd()), fd, 0); err != nil && int(console.Fd()) != fd {
			return fmt.Errorf("console: %w", err)
		}
	}
	return os.Setenv("PATH", "/bin:/sbin:/usr/bin:/usr/sbin")
}

func loadModules(list []report.JobModule) error {
	for _, m := range list {
		err := module.Load(report.ModuleDir + "/" + m.File)
		if err != nil && !m.Optional {
			return err
		}
	}
	return nil
}

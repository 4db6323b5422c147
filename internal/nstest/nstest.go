// SPDX-License-Identifier: MIT

// Package nstest runs the tests of a package in a network namespace of their own.
package nstest

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// Main is for TestMain: it runs the test program once more in a new network namespace and gives the status to exit with.
// Root needs no more than that; others get a new user namespace around it, which containers often forbid.
func Main(m *testing.M) int {
	const inside = "NSTEST_INSIDE"
	if os.Getenv(inside) != "" {
		return m.Run()
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	if err := cmd.Run(); err != nil {
		if cmd.ProcessState == nil {
			fmt.Fprintf(os.Stderr, "these tests have to run as root or where user namespaces are allowed: %v\n", err)
		}
		return 1
	}
	return 0
}

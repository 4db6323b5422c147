// SPDX-License-Identifier: MIT

package manager

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// boot mounts what a container has of its own and becomes systemd, with a target that starts the services alone.
// What it mounts for services, such as credentials, it mounts in a namespace apart and lets propagate.
const boot = `mount -t proc proc /proc && mount -t cgroup2 cgroup2 /sys/fs/cgroup && mount --make-rshared / &&
exec /lib/systemd/systemd --unit=lab.target --log-target=console --log-level=warning --show-status=no
`

// A Services is systemd, as the first process of a container that shares the network of a node.
type Services struct {
	system *System
	cmd    *exec.Cmd
	ended  chan struct{}
}

// Services starts systemd, which starts the services.
func (s *System) Services(names ...string) (*Services, error) {
	var list strings.Builder
	for _, name := range append([]string{"systemd-journald"}, names...) {
		fmt.Fprintf(&list, "Wants=%s.service\n", name)
	}
	err := errors.Join(
		s.Write("/etc/systemd/system/lab.target", "[Unit]\n"+list.String()),
		s.Write("/boot.sh", boot),
	)
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(s.log("systemd.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	x := &Services{system: s, ended: make(chan struct{})}
	x.cmd = exec.Command("/bin/sh", "/boot.sh")
	x.cmd.Env = []string{"container=lab", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	x.cmd.Stdout, x.cmd.Stderr = log, log
	x.cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWCGROUP}
	if err := s.Start(x.cmd); err != nil {
		return nil, fmt.Errorf("start systemd: %w", err)
	}
	go func() {
		_ = x.cmd.Wait() // it is killed
		close(x.ended)
	}()
	return x, nil
}

// Run runs a program in the container to its end.
func (x *Services) Run(name string, args ...string) (string, error) {
	pid := strconv.Itoa(x.cmd.Process.Pid)
	return x.system.Output("/bin/busybox", append([]string{"nsenter", "-t", pid, "-m", "-p", "-r", "--", name}, args...)...)
}

// Show gives properties of a service, one NAME=VALUE a line.
func (x *Services) Show(service string, properties ...string) (string, error) {
	return x.Run("/usr/bin/systemctl", "show", service, "--property="+strings.Join(properties, ","))
}

// Stop ends the container and all that runs in it.
func (x *Services) Stop() {
	_ = x.cmd.Process.Kill()
	<-x.ended
}

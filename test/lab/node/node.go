// SPDX-License-Identifier: MIT

// Package node makes network namespaces that play hosts and routers.
package node

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// A Node is a network namespace with a name.
type Node struct {
	Name   string
	handle netns.NsHandle
	home   bool // the machine itself
	*netlink.Handle
}

// New makes a namespace in which addresses are usable at once: a router whose link-local address is still tentative cannot
// ask for a neighbour, and everything sent until then is lost.
func New(name string) (*Node, error) {
	n := &Node{Name: name, handle: netns.None()}
	err := apart(func() (err error) {
		n.handle, err = netns.NewNamed(name)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make namespace %s: %w", name, err)
	}
	if n.Handle, err = netlink.NewHandleAt(n.handle); err != nil {
		return nil, fmt.Errorf("namespace %s: %w", name, err)
	}
	for _, key := range []string{
		"net/ipv6/conf/all/accept_dad", "net/ipv6/conf/default/accept_dad", "net/ipv6/conf/default/dad_transmits",
		"net/ipv6/conf/default/accept_ra",
	} {
		if err := n.Sysctl(key, "0"); err != nil {
			return nil, err
		}
	}
	lo, err := n.LinkByName("lo")
	if err != nil {
		return nil, fmt.Errorf("namespace %s: %w", name, err)
	}
	return n, n.LinkSetUp(lo)
}

// Home returns the namespace that the machine started with, as it is.
func Home(name string) (*Node, error) {
	n := &Node{Name: name, home: true}
	var err error
	if n.handle, err = netns.GetFromPid(1); err != nil {
		return nil, fmt.Errorf("namespace of process 1: %w", err)
	}
	if n.Handle, err = netlink.NewHandleAt(n.handle); err != nil {
		return nil, fmt.Errorf("namespace %s: %w", name, err)
	}
	return n, nil
}

// KernelDefaults gives interfaces that come from now on the settings of a host that has just booted: duplicate address
// detection, and addresses and routes from advertisements.
func (n *Node) KernelDefaults() error {
	for _, key := range []string{"accept_dad", "dad_transmits", "accept_ra"} {
		if err := n.Sysctl("net/ipv6/conf/default/"+key, "1"); err != nil {
			return err
		}
	}
	return nil
}

// FD returns the descriptor of the namespace.
func (n *Node) FD() int { return int(n.handle) }

// Do calls f in the namespace. What f starts stays in it.
func (n *Node) Do(f func() error) error {
	return apart(func() error {
		if err := netns.Set(n.handle); err != nil {
			return fmt.Errorf("enter namespace %s: %w", n.Name, err)
		}
		return f()
	})
}

// Start starts a program in the namespace.
func (n *Node) Start(cmd *exec.Cmd) error {
	return n.Do(cmd.Start)
}

// Output runs a program in the namespace and returns what it printed on both streams.
func (n *Node) Output(name string, args ...string) (string, error) {
	return n.OutputIn("", name, args...)
}

// OutputIn does so with another folder as the root of the file system, unless that is empty.
func (n *Node) OutputIn(root, name string, args ...string) (string, error) {
	var out strings.Builder
	cmd := exec.Command(name, args...)
	within(cmd, root)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := n.Start(cmd); err != nil {
		return "", fmt.Errorf("%s: start %s: %w", n.Name, name, err)
	}
	if err := cmd.Wait(); err != nil {
		return out.String(), fmt.Errorf("%s: %s %s: %w: %s", n.Name, name, strings.Join(args, " "), err, strings.TrimSpace(out.String()))
	}
	return out.String(), nil
}

// within gives a program another root of the file system, and a current folder in it.
func within(cmd *exec.Cmd, root string) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	if root != "" {
		cmd.Dir = "/"
	}
}

// Sysctl writes a value below /proc/sys.
func (n *Node) Sysctl(key, value string) error {
	return n.Do(func() error { return os.WriteFile("/proc/sys/"+key, []byte(value), 0) })
}

// CarrierChanges returns how often a device has lost or gained its carrier.
func (n *Node) CarrierChanges(device string) (int, error) {
	var raw []byte
	// /sys shows the network namespace of whoever mounted it.
	err := n.Do(func() error {
		dir, err := os.MkdirTemp("", "sys")
		if err != nil {
			return err
		}
		defer os.Remove(dir)
		if err := unix.Mount("sysfs", dir, "sysfs", 0, ""); err != nil {
			return fmt.Errorf("mount sysfs: %w", err)
		}
		defer unix.Unmount(dir, 0)
		raw, err = os.ReadFile(dir + "/class/net/" + device + "/carrier_changes")
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("%s of %s: %w", device, n.Name, err)
	}
	return strconv.Atoi(strings.TrimSpace(string(raw)))
}

// Delete removes the namespace's name, if we gave it one, and our hold on it. It ends when nothing else uses it.
func (n *Node) Delete() error {
	n.Handle.Close()
	if err := n.handle.Close(); err != nil {
		return err
	}
	if n.home {
		return nil
	}
	if err := netns.DeleteNamed(n.Name); err != nil {
		return fmt.Errorf("delete namespace %s: %w", n.Name, err)
	}
	return nil
}

// apart calls f on a thread that ends afterwards, so that whatever namespace f enters is left with it.
func apart(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		home, err := netns.Get()
		if err != nil {
			done <- err
			return
		}
		defer home.Close()
		err = f()
		// Unlocked threads are used again; a thread that cannot go home is left locked and ends with this goroutine.
		if netns.Set(home) == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

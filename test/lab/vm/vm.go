// SPDX-License-Identifier: MIT

// Package vm starts a guest in QEMU without hardware help.
package vm

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"shim6/test/lab/report"
)

// Options say how a guest runs.
type Options struct {
	Image, Initramfs string
	Share            string // folder of this machine that the guest can mount
	MemoryMB         int
	CPUs             int // 0 is 1
	// FastTime counts instructions for a clock (one each nanosecond) and skips idle time, on one processor. Equal seeds then
	// give equal runs, whatever else this machine does.
	FastTime bool
	Seed     uint64
	Console  io.Writer // the kernel's console; ignored when Interactive
	// Interactive connects the console to this terminal.
	Interactive bool
}

// A VM is a running guest.
type VM struct {
	cmd   *exec.Cmd
	lines chan []byte
	ended chan struct{}
	err   error
}

// Start starts a guest. It is killed when ctx ends.
func Start(ctx context.Context, o Options) (*VM, error) {
	portRead, portWrite, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer portWrite.Close()
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", arguments(o)...)
	cmd.ExtraFiles = []*os.File{portWrite} // descriptor 3
	cmd.WaitDelay = 5 * time.Second
	// A guest must not outlive a runner that was killed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = os.Stderr
	if o.Interactive {
		cmd.Stdin, cmd.Stdout = os.Stdin, os.Stdout
	} else {
		cmd.Stdout = o.Console
		cmd.Stderr = o.Console
	}
	if err := cmd.Start(); err != nil {
		portRead.Close()
		return nil, fmt.Errorf("start qemu-system-x86_64: %w", err)
	}
	v := &VM{cmd: cmd, lines: make(chan []byte, 64), ended: make(chan struct{})}
	go v.read(portRead)
	go func() {
		v.err = cmd.Wait()
		close(v.ended)
	}()
	return v, nil
}

func (v *VM) read(port *os.File) {
	defer port.Close()
	defer close(v.lines)
	in := bufio.NewScanner(port)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		v.lines <- append([]byte(nil), in.Bytes()...)
	}
}

// Lines delivers what the guest writes to its second serial port, and is closed when the guest ends.
func (v *VM) Lines() <-chan []byte { return v.lines }

// Kill ends the guest at once.
func (v *VM) Kill() { _ = v.cmd.Process.Kill() }

// Wait waits for the guest's end.
func (v *VM) Wait() error {
	<-v.ended
	return v.err
}

func arguments(o Options) []string {
	// A panic ends QEMU: the kernel reboots at once and -no-reboot turns that into an exit.
	command := "panic=-1 oops=panic nokaslr random.trust_bootloader=on console=ttyS0 "
	console := "stdio"
	if o.Interactive {
		command += "loglevel=3"
		console = "mon:stdio"
	} else {
		command += "loglevel=5"
	}
	args := []string{
		"-machine", "pc", "-cpu", "Nehalem", "-smp", strconv.Itoa(max(1, o.CPUs)), "-m", strconv.Itoa(o.MemoryMB),
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-kernel", o.Image, "-initrd", o.Initramfs, "-append", command,
		"-serial", console,
		"-chardev", "file,id=port,path=/dev/fd/3", "-serial", "chardev:port",
		"-fsdev", "local,id=share,path=" + o.Share + ",security_model=none",
		"-device", "virtio-9p-pci,fsdev=share,mount_tag=" + report.ShareTag,
	}
	if o.FastTime {
		args = append(args, "-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off",
			"-seed", strconv.FormatUint(o.Seed, 10), "-rtc", "base=2026-01-01T00:00:00,clock=vm")
	} else {
		args = append(args, "-accel", "tcg", "-rtc", "base=utc")
	}
	return args
}

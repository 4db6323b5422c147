// SPDX-License-Identifier: MIT

// Package vm starts a guest: in QEMU without hardware help, or a kernel that is a program itself.
package vm

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Options say how a guest runs.
type Options struct {
	Image, Initramfs string
	// UserMode says that the image is user-mode Linux. It has one processor and no instruction clock.
	UserMode bool
	Debug    bool   // the console shows all that the kernel says, and a stalled guest is given more time
	Share    string // folder of this machine that the guest can mount
	// Root is a disk with a root file system, which stays as it is whatever the guest writes, and Files an archive as another
	// disk. Both are empty for a guest that has everything in its initramfs.
	Root, Files string
	MemoryMB    int
	CPUs        int // 0 is 1
	// Emulator is a QEMU that knows a processor of today, which the guest then gets; empty for this machine's QEMU and one of 2008.
	Emulator string
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
	program, args := "qemu-system-x86_64", qemuArguments(o)
	switch {
	case o.UserMode:
		program, args = o.Image, umlArguments(o)
	case o.Emulator != "":
		program = o.Emulator
	}
	cmd := exec.CommandContext(ctx, program, args...)
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
		return nil, fmt.Errorf("start the guest: %w", err)
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

// SPDX-License-Identifier: MIT

// Package kcov tells which parts of the modules under test a system call of this thread ran through. Only they are built with
// coverage.
package kcov

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// From Linux' include/uapi/linux/kcov.h.
const (
	initTrace = 0x80086301 // _IOR('c', 1, unsigned long)
	enable    = 0x6364     // _IO('c', 100)
	disable   = 0x6365     // _IO('c', 101)
	tracePC   = 0
)

const file = "/sys/kernel/debug/kcov"

// A Trace collects the addresses that the kernel passes on behalf of one thread.
type Trace struct {
	fd   int
	area []byte
	pcs  []uint64 // the first is how many follow
}

// Start collects up to size addresses of the calling thread, to which the goroutine is bound until Stop.
func Start(size int) (*Trace, error) {
	fd, err := unix.Open(file, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	t := &Trace{fd: fd}
	if err := unix.IoctlSetInt(fd, initTrace, size); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("kcov: %w", err)
	}
	if t.area, err = unix.Mmap(fd, 0, size*8, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("kcov: %w", err)
	}
	t.pcs = unsafe.Slice((*uint64)(unsafe.Pointer(&t.area[0])), size)
	runtime.LockOSThread()
	if err := unix.IoctlSetInt(fd, enable, tracePC); err != nil {
		runtime.UnlockOSThread()
		unix.Munmap(t.area)
		unix.Close(fd)
		return nil, fmt.Errorf("kcov: %w", err)
	}
	return t, nil
}

// Reset forgets what was collected.
func (t *Trace) Reset() { atomic.StoreUint64(&t.pcs[0], 0) }

// PCs returns what was collected since Reset, in the order of running. The slice is valid until Reset.
func (t *Trace) PCs() []uint64 {
	return t.pcs[1 : 1+min(atomic.LoadUint64(&t.pcs[0]), uint64(len(t.pcs)-1))]
}

// Stop ends the trace.
func (t *Trace) Stop() error {
	defer runtime.UnlockOSThread()
	err := unix.IoctlSetInt(t.fd, disable, 0)
	unix.Munmap(t.area)
	unix.Close(t.fd)
	if err != nil {
		return fmt.Errorf("kcov: %w", err)
	}
	return nil
}

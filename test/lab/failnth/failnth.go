// SPDX-License-Identifier: MIT

// Package failnth makes the kernel refuse one allocation of a thread.
package failnth

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// settings of /sys/kernel/debug/failslab: allocations that may wait are refused, too, without a word in the log.
var settings = map[string]string{"ignore-gfp-wait": "N", "verbose": "0"}

// An Injector is for one thread, to which the goroutine is bound until Close.
type Injector struct{ fd int }

// Open makes the calling thread's.
func Open() (*Injector, error) {
	for name, value := range settings {
		if err := os.WriteFile(filepath.Join("/sys/kernel/debug/failslab", name), []byte(value), 0); err != nil {
			return nil, fmt.Errorf("failslab: %w", err)
		}
	}
	runtime.LockOSThread()
	fd, err := unix.Open("/proc/thread-self/fail-nth", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		runtime.UnlockOSThread()
		return nil, fmt.Errorf("fail-nth: %w", err)
	}
	return &Injector{fd}, nil
}

// Close lets the thread be.
func (i *Injector) Close() {
	unix.Close(i.fd)
	runtime.UnlockOSThread()
}

// Call calls f, whose n-th allocation, from 1 on, is refused. It tells whether f had so many. What f does besides the system
// call that is meant counts, too.
func (i *Injector) Call(n int, f func() error) (refused bool, err error) {
	made, err := i.Count(n, f)
	return made == n, err
}

// Count calls f likewise, and returns how many allocations it tried, up to n.
func (i *Injector) Count(n int, f func() error) (made int, err error) {
	if errno := i.write(strconv.Itoa(n)); errno != 0 {
		return 0, fmt.Errorf("fail-nth: %w", errno)
	}
	err = f()
	var left [16]byte
	got, _, errno := unix.RawSyscall6(unix.SYS_PREAD64, uintptr(i.fd), uintptr(unsafe.Pointer(&left[0])), uintptr(len(left)), 0, 0, 0)
	if errno != 0 {
		return 0, fmt.Errorf("fail-nth: %w", errno)
	}
	if errno := i.write("0"); errno != 0 {
		return 0, fmt.Errorf("fail-nth: %w", errno)
	}
	rest, parseErr := strconv.Atoi(strings.TrimSpace(string(left[:got])))
	if parseErr != nil {
		return 0, fmt.Errorf("fail-nth: %w", parseErr)
	}
	return n - rest, err
}

// write does not tell Go's scheduler, which might do something else on this thread then.
func (i *Injector) write(text string) unix.Errno {
	b := []byte(text)
	_, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(i.fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	return errno
}

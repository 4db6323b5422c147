// SPDX-License-Identifier: MIT

package genl

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// rawWrite writes without a word to Go's scheduler.
func rawWrite(fd int, b []byte) (uintptr, uintptr, unix.Errno) {
	return unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
}

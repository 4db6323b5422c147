// SPDX-License-Identifier: MIT

package node

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Ethtool sets what a device does for the stack; command is one of unix.ETHTOOL_S*, such as ETHTOOL_STXCSUM, value 0 or 1.
func (n *Node) Ethtool(device string, command, value uint32) error {
	err := n.Do(func() error {
		s, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(s)
		// struct ethtool_value in struct ifreq.
		set := [2]uint32{command, value}
		var request struct {
			name [unix.IFNAMSIZ]byte
			data unsafe.Pointer
			_    [16]byte
		}
		copy(request.name[:], device)
		request.data = unsafe.Pointer(&set)
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(s), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request))); errno != 0 {
			return errno
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s of %s: ethtool command %#x: %w", device, n.Name, command, err)
	}
	return nil
}

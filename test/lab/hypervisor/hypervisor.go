// SPDX-License-Identifier: MIT

// Package hypervisor plays the machine below two guests: their network devices are TUN devices with the header of virtio-net,
// and what one sends the other receives, as the kernel of a machine without the shim6 module would hand it on.
package hypervisor

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"shim6/test/lab/node"
	"shim6/test/lab/packet"
)

// What becomes of a checksum that a guest left to its device.
const (
	Complete = iota // it is computed; the receiver has to look at it
	Missing         // it is left to the receiver, which knows that it never was on a wire
)

// A Host has the two guests.
type Host struct {
	files [2]*os.File
	done  sync.WaitGroup
	sums  atomic.Int32
	every atomic.Int64 // which packet is damaged, of those with data; zero for none

	// Dropped counts whole packets, to be segmented, with a header that this kernel does not know; Damaged those that have
	// another octet than when they were sent.
	Dropped, Damaged atomic.Int64
}

// Header of virtio-net (Virtual I/O Device specification 1.1, section 5.1.6).
const (
	headerLen = 10
	needsSum  = 1
)

// Connect makes a device of this name, with an address, in each guest.
func Connect(device string, guests [2]*node.Node, addrs [2]netip.Prefix) (*Host, error) {
	h := new(Host)
	for i, g := range guests {
		err := g.Do(func() (err error) {
			h.files[i], err = open(device)
			return err
		})
		if err == nil {
			err = configure(g, device, addrs[i])
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s of %s: %w", device, g.Name, err), h.Close())
		}
	}
	h.done.Go(func() { h.forward(h.files[0], h.files[1]) })
	h.done.Go(func() { h.forward(h.files[1], h.files[0]) })
	return h, nil
}

func open(device string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("/dev/net/tun: %w", err)
	}
	request, err := unix.NewIfreq(device)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err == nil {
		err = unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, unix.TUN_F_CSUM|unix.TUN_F_TSO4|unix.TUN_F_TSO6)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), device), nil
}

func configure(n *node.Node, device string, addr netip.Prefix) error {
	_, err1 := n.Output("ip", "addr", "add", addr.String(), "dev", device, "nodad")
	_, err2 := n.Output("ip", "link", "set", device, "up")
	return errors.Join(err1, err2)
}

// Tell sets what becomes of checksums, and damages one in so many packets with data, none for zero.
func (h *Host) Tell(sums int, every int) {
	h.sums.Store(int32(sums))
	h.every.Store(int64(every))
}

// Close takes the devices away.
func (h *Host) Close() error {
	var errs []error
	for _, f := range h.files {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	h.done.Wait()
	return errors.Join(errs...)
}

func (h *Host) forward(from, to *os.File) {
	buffer := make([]byte, headerLen+1<<16)
	var count int64
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		frame := buffer[:n]
		p, err := packet.Parse(frame[headerLen:])
		if err != nil {
			continue
		}
		whole := frame[1] != 0
		if whole && p.Has(packet.Shim6) {
			h.Dropped.Add(1)
			continue
		}
		if h.sums.Load() == Complete && !whole {
			complete(frame)
		}
		const tcpHeaders = 100
		if every := h.every.Load(); every > 0 && n > headerLen+40+8+tcpHeaders {
			if count++; count%every == 0 {
				frame[n-1] ^= 0x55
				h.Damaged.Add(1)
			}
		}
		// What a guest has no room for is lost, as on any link.
		_, _ = to.Write(frame)
	}
}

// complete computes the checksum that the guest left to its device: over everything from a place on, the pseudo-header's sum
// being where the checksum goes.
func complete(frame []byte) {
	if frame[0]&needsSum == 0 {
		return
	}
	frame[0] &^= needsSum
	start := headerLen + int(binary.NativeEndian.Uint16(frame[6:]))
	at := start + int(binary.NativeEndian.Uint16(frame[8:]))
	if at+2 > len(frame) {
		return
	}
	var sum uint32
	for i := start; i < len(frame); i += 2 {
		sum += uint32(frame[i]) << 8
		if i+1 < len(frame) {
			sum += uint32(frame[i+1])
		}
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	binary.BigEndian.PutUint16(frame[at:], ^uint16(sum))
	clear(frame[6:headerLen])
}

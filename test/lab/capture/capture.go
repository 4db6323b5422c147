// SPDX-License-Identifier: MIT

// Package capture writes what passes an interface to a pcap file.
package capture

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
	"unsafe"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"golang.org/x/sys/unix"

	"shim6/test/lab/node"
)

// drainInterval is how often packets are fetched. The kernel stamps each packet as it passes, so a pause costs no accuracy,
// and waking for every packet would cost the guest more than the packets do.
const drainInterval = 50 * time.Millisecond

// A Capture runs until Stop.
type Capture struct {
	socket int
	file   *os.File
	buf    *bufio.Writer
	out    *pcapgo.Writer
	quit   chan struct{}
	done   chan error
}

// Start captures what passes a device, both ways: control messages of shim6 whole, of the rest the headers.
func Start(n *node.Node, device, path string) (*Capture, error) {
	c := &Capture{quit: make(chan struct{}), done: make(chan error, 1)}
	if err := n.Do(func() error { return c.open(device) }); err != nil {
		return nil, fmt.Errorf("capture at %s of %s: %w", device, n.Name, err)
	}
	var err error
	if c.file, err = os.Create(path); err != nil {
		unix.Close(c.socket)
		return nil, err
	}
	c.buf = bufio.NewWriterSize(c.file, 1<<18)
	c.out = pcapgo.NewWriterNanos(c.buf)
	if err := c.out.WriteFileHeader(maxPacket, layers.LinkTypeEthernet); err != nil {
		return nil, err
	}
	go c.run()
	return c, nil
}

// Stop writes the rest and closes the file. A packet that was lost is an error.
func (c *Capture) Stop() error {
	close(c.quit)
	err := <-c.done
	stats, statErr := unix.GetsockoptTpacketStats(c.socket, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if statErr == nil && stats.Drops > 0 {
		err = errors.Join(err, fmt.Errorf("%d packets were lost", stats.Drops))
	}
	err = errors.Join(err, statErr, unix.Close(c.socket), c.buf.Flush(), c.file.Close())
	if err != nil {
		return fmt.Errorf("capture %s: %w", c.file.Name(), err)
	}
	return nil
}

func (c *Capture) open(device string) error {
	dev, err := net.InterfaceByName(device)
	if err != nil {
		return err
	}
	// Protocol 0 receives nothing until bind names a protocol: the filter is in place by then.
	c.socket, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	filter := snapFilter()
	for _, set := range []func() error{
		func() error {
			return unix.SetsockoptSockFprog(c.socket, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, filter)
		},
		func() error { return unix.SetsockoptInt(c.socket, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20) },
		func() error { return unix.SetsockoptInt(c.socket, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1) },
		func() error { return unix.SetsockoptInt(c.socket, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1) },
		func() error {
			all := uint16(unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8)
			return unix.Bind(c.socket, &unix.SockaddrLinklayer{Protocol: all, Ifindex: dev.Index})
		},
	} {
		if err := set(); err != nil {
			unix.Close(c.socket)
			return err
		}
	}
	return nil
}

func (c *Capture) run() {
	tick := time.NewTicker(drainInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := c.drain(); err != nil {
				c.done <- err
				return
			}
		case <-c.quit:
			c.done <- c.drain()
			return
		}
	}
}

func (c *Capture) drain() error {
	var packet [maxPacket]byte
	var control [256]byte
	for {
		n, controlLen, _, _, err := unix.Recvmsg(c.socket, packet[:], control[:], 0)
		if errors.Is(err, unix.EAGAIN) {
			return nil
		}
		if err != nil {
			return err
		}
		info, err := describe(control[:controlLen], n)
		if err != nil {
			return err
		}
		if err := c.out.WritePacket(info, packet[:n]); err != nil {
			return err
		}
	}
}

// describe reads the time and the length before the cut to size from a packet's control messages.
func describe(control []byte, n int) (gopacket.CaptureInfo, error) {
	info := gopacket.CaptureInfo{CaptureLength: n, Length: n}
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return info, err
	}
	for _, m := range messages {
		switch {
		case m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SCM_TIMESTAMPNS:
			ts := (*unix.Timespec)(unsafe.Pointer(&m.Data[0]))
			info.Timestamp = time.Unix(ts.Unix())
		case m.Header.Level == unix.SOL_PACKET && m.Header.Type == unix.PACKET_AUXDATA:
			// struct tpacket_auxdata: status, length, captured length, ...
			info.Length = int(*(*uint32)(unsafe.Pointer(&m.Data[4])))
		}
	}
	if info.Timestamp.IsZero() {
		return info, errors.New("a packet without a time stamp")
	}
	return info, nil
}

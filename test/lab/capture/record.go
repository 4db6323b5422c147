// SPDX-License-Identifier: MIT

package capture

import (
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"

	"shim6/test/lab/node"
	"shim6/test/lab/packet"
)

// recordRoom is what a Recorder keeps in the kernel until it is asked.
const recordRoom = 64 << 20

// A Recorder keeps the IPv6 packets that pass an interface, both ways and whole.
type Recorder struct {
	socket int
	at     string
}

// Record starts to record what passes a device.
func Record(n *node.Node, device string) (*Recorder, error) {
	r := &Recorder{at: device + " of " + n.Name}
	err := n.Do(func() error { return r.open(device) })
	if err != nil {
		return nil, fmt.Errorf("record at %s: %w", r.at, err)
	}
	return r, nil
}

func (r *Recorder) open(device string) error {
	dev, err := net.InterfaceByName(device)
	if err != nil {
		return err
	}
	if r.socket, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		return err
	}
	all := uint16(unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8)
	err = errors.Join(
		unix.SetsockoptInt(r.socket, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, recordRoom),
		unix.Bind(r.socket, &unix.SockaddrLinklayer{Protocol: all, Ifindex: dev.Index}),
	)
	if err != nil {
		unix.Close(r.socket)
	}
	return err
}

// Take returns what has passed since the last Take, without neighbour discovery. A packet that was lost, or that is no right
// IPv6 packet, is an error.
func (r *Recorder) Take() ([]*packet.Packet, error) {
	var list []*packet.Packet
	buffer := make([]byte, 1<<17)
	for {
		n, _, err := unix.Recvfrom(r.socket, buffer, 0)
		if errors.Is(err, unix.EAGAIN) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("record at %s: %w", r.at, err)
		}
		if buffer[0]>>4 != 6 {
			continue
		}
		p, err := packet.Parse(append([]byte(nil), buffer[:n]...))
		if err != nil {
			return nil, fmt.Errorf("record at %s: %w", r.at, err)
		}
		if !p.IsND() {
			list = append(list, p)
		}
	}
	stats, err := unix.GetsockoptTpacketStats(r.socket, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err == nil && stats.Drops > 0 {
		err = fmt.Errorf("record at %s: %d packets were lost", r.at, stats.Drops)
	}
	return list, err
}

// Close ends the record.
func (r *Recorder) Close() { unix.Close(r.socket) }

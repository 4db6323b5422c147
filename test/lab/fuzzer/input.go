// SPDX-License-Identifier: MIT

// Package fuzzer tries mutated input on the modules under test, in the guest: packets on their way in and out, and requests.
// What runs through new parts of the modules is kept and mutated further.
package fuzzer

import (
	"bytes"
	"fmt"
)

// A Kind is the way that an input takes into the kernel.
type Kind uint8

const (
	// Frame is an IPv6 packet received by an Ethernet device.
	Frame Kind = iota
	// Offloaded is a packet received by a point-to-point device, behind a struct virtio_net_hdr that can make it a checksum to
	// be completed or a train of segments. Connection tracking reassembles and forwarding is on where it arrives.
	Offloaded
	// Merged is a packet received by a device that merges what belongs together (GRO).
	Merged
	// Raw is a packet sent as it is.
	Raw
	// Datagram is data sent by a socket: which socket, and how many octets in two.
	Datagram
	// Request is a generic netlink message.
	Request
	kinds
)

var kindNames = [kinds]string{"frame", "offloaded", "merged", "raw", "datagram", "request"}

func (k Kind) String() string { return kindNames[k] }

// An Input is one thing to try.
type Input struct {
	Kind   Kind
	Octets []byte
}

func (in Input) clone() Input { return Input{in.Kind, bytes.Clone(in.Octets)} }

// Journal writes inputs as text, one a line.
func Journal(list []Input) []byte {
	var b bytes.Buffer
	for _, in := range list {
		fmt.Fprintf(&b, "%v %x\n", in.Kind, in.Octets)
	}
	return b.Bytes()
}

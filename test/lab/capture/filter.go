// SPDX-License-Identifier: MIT

package capture

import (
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

const (
	// headerOctets hold Ethernet, IPv6, the Payload Extension Header and TCP with every option.
	headerOctets = 14 + 40 + 8 + 60 + 6
	// maxPacket holds the longest control message in its frame.
	maxPacket = 2048

	offsetNextHeader = 14 + 6
	offsetPBit       = 14 + 40 + 2
	protocolShim6    = 140
	pBit             = 0x80
)

// snapFilter keeps every packet, control messages whole and of others the headers.
func snapFilter() *unix.SockFprog {
	program := []bpf.Instruction{
		bpf.LoadAbsolute{Off: 12, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.ETH_P_IPV6, SkipTrue: 5},
		bpf.LoadAbsolute{Off: offsetNextHeader, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: protocolShim6, SkipTrue: 3},
		bpf.LoadAbsolute{Off: offsetPBit, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: pBit, SkipTrue: 1},
		bpf.RetConstant{Val: maxPacket},
		bpf.RetConstant{Val: headerOctets},
	}
	raw, err := bpf.Assemble(program)
	if err != nil {
		panic(err) // the program is a constant
	}
	filter := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		filter[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	return &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
}

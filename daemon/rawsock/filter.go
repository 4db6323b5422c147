// SPDX-License-Identifier: MIT

package rawsock

import (
	"fmt"

	"golang.org/x/net/bpf"
)

// controlOnly passes packets whose P bit is 0 (RFC 5533 section 5.1); those too short to have one are dropped. An IPv6 raw
// socket's filter sees the packet from its own header on.
var controlOnly = assemble([]bpf.Instruction{
	bpf.LoadAbsolute{Off: 2, Size: 1},
	bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 0x80, SkipTrue: 1},
	bpf.RetConstant{Val: 1 << 16},
	bpf.RetConstant{Val: 0},
})

func assemble(prog []bpf.Instruction) []bpf.RawInstruction {
	raw, err := bpf.Assemble(prog)
	if err != nil {
		panic(fmt.Sprintf("control message filter: %v", err))
	}
	return raw
}

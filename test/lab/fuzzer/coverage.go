// SPDX-License-Identifier: MIT

package fuzzer

import "math/bits"

const edgeBits = 16

// Coverage is what inputs have run through: blocks of code, and steps from one to the next by how often they were taken.
type Coverage struct {
	Blocks map[uint64]struct{} // by address
	// taken has a bit for each class of how often: once, twice, up to 4, 8, 16, 32, 64, and more.
	taken [1 << edgeBits]uint8
	count [1 << edgeBits]uint8
}

// NewCoverage has seen nothing.
func NewCoverage() *Coverage { return &Coverage{Blocks: map[uint64]struct{}{}} }

// Add notes the blocks of one run in their order and tells whether any step of it, or the number of times it was taken, is new.
func (c *Coverage) Add(pcs []uint64) bool {
	fresh := false
	last := uint64(0)
	for _, pc := range pcs {
		if c.count[edge(last, pc)] < 255 {
			c.count[edge(last, pc)]++
		}
		last = pc
	}
	last = 0
	for _, pc := range pcs {
		e := edge(last, pc)
		last = pc
		if c.count[e] == 0 {
			continue // judged already
		}
		class := uint8(1) << min(7, bits.Len8(c.count[e]-1))
		c.count[e] = 0
		if c.taken[e]&class == 0 {
			c.taken[e] |= class
			c.Blocks[pc] = struct{}{}
			fresh = true
		}
	}
	return fresh
}

func edge(from, to uint64) uint64 {
	return (from>>1*0x9e3779b97f4a7c15 ^ to*0xff51afd7ed558ccd) >> (64 - edgeBits)
}

// SPDX-License-Identifier: MIT

package main

import "math/bits"

const rounds = 80

var roundConstants = [4]uint32{0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6}

// varying tells which words of the message schedule depend on one word of the block. The schedule is linear over GF(2), so
// they are those that depend on one of its bits.
func varying(word int) (v [rounds]bool) {
	for bit := range 32 {
		var w [rounds]uint32
		w[word] = 1 << bit
		for t := 16; t < rounds; t++ {
			w[t] = bits.RotateLeft32(w[t-3]^w[t-8]^w[t-14]^w[t-16], 1)
		}
		for t := range w {
			v[t] = v[t] || w[t] != 0
		}
	}
	return v
}

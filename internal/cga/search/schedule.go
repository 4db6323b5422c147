// SPDX-License-Identifier: MIT

package search

import (
	"encoding/binary"
	"math/bits"
)

const (
	blockSize = 64
	rounds    = 80
)

var (
	initial        = [5]uint32{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0}
	roundConstants = [4]uint32{0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6}
)

// A schedule is the message schedule of one block.
type schedule [rounds]uint32

// pad gives the blocks of a message, with the padding of SHA-1.
func pad(message []byte) []byte {
	n := len(message)
	b := make([]byte, (n+8)/blockSize*blockSize+blockSize)
	copy(b, message)
	b[n] = 0x80
	binary.BigEndian.PutUint64(b[len(b)-8:], uint64(n)*8)
	return b
}

// expand sets the schedule of a block.
func (w *schedule) expand(block []byte) {
	for t := range 16 {
		w[t] = binary.BigEndian.Uint32(block[4*t:])
	}
	w.extend()
}

func (w *schedule) extend() {
	for t := 16; t < rounds; t++ {
		w[t] = bits.RotateLeft32(w[t-3]^w[t-8]^w[t-14]^w[t-16], 1)
	}
}

// mix is the function of round t.
func mix(t int, b, c, d uint32) uint32 {
	switch t / 20 {
	case 0:
		return b&c | ^b&d
	case 2:
		return b&c | b&d | c&d
	}
	return b ^ c ^ d
}

// run makes the rounds from first to before last.
func (w *schedule) run(s [5]uint32, first, last int) [5]uint32 {
	a, b, c, d, e := s[0], s[1], s[2], s[3], s[4]
	for t := first; t < last; t++ {
		next := bits.RotateLeft32(a, 5) + mix(t, b, c, d) + e + roundConstants[t/20] + w[t]
		a, b, c, d, e = next, a, bits.RotateLeft32(b, 30), c, d
	}
	return [5]uint32{a, b, c, d, e}
}

// chain gives the chaining value behind some blocks.
func chain(blocks []byte) [5]uint32 {
	h := initial
	var w schedule
	for ; len(blocks) > 0; blocks = blocks[blockSize:] {
		w.expand(blocks)
		for i, v := range w.run(h, 0, rounds) {
			h[i] += v
		}
	}
	return h
}

// deltas tell how the schedule changes with each bit of one word: schedule(x^y) is schedule(x) xor the deltas of the bits
// of y. The row behind the last is zero.
type deltas [33]schedule

func newDeltas(word int) *deltas {
	d := new(deltas)
	for bit := range 32 {
		d[bit][word] = 1 << bit
		d[bit].extend()
	}
	return d
}

// add changes a schedule by the bits of y.
func (d *deltas) add(w *schedule, y uint32) {
	for ; y != 0; y &= y - 1 {
		row := &d[bits.TrailingZeros32(y)]
		for t := range w {
			w[t] ^= row[t]
		}
	}
}

// varies tells whether word t of the schedule changes at all.
func (d *deltas) varies(t int) bool {
	for bit := range 32 {
		if d[bit][t] != 0 {
			return true
		}
	}
	return false
}

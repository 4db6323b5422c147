// SPDX-License-Identifier: MIT

package search

import "math/bits"

func avx2Word3(c, lane, delta, kw, start, save *uint32, blocks uint64, mask uint32, step, end uint64) (next, hits uint64)
func avx2Word3Spread(c, lane, delta, kw, start, save *uint32, blocks uint64, mask uint32, step, end uint64) (next, hits uint64)
func avx2Word13Spread(c, lane, delta, kw, start, save *uint32, blocks uint64, mask uint32, step, end uint64) (next, hits uint64)
func avx512Word3(c, lane, delta, kw, start, save *uint32, blocks uint64, mask uint32, step, end uint64) (next, hits uint64)
func avx512Word3Spread(c, lane, delta, kw, start, save *uint32, blocks uint64, mask uint32, step, end uint64) (next, hits uint64)
func avx512Word13Spread(c, lane, delta, kw, start, save *uint32, blocks uint64, mask uint32, step, end uint64) (next, hits uint64)

// A vector is an instruction set whose registers hold one word in each lane, with the kernel of each word.
type vector struct {
	lanes   uint // logarithm of the words in a register
	streams uint // logarithm of the streams
	kernels map[kernelKey]kernel
}

var (
	avx2 = vector{lanes: 3, streams: 1, kernels: map[kernelKey]kernel{
		{3, false}: avx2Word3,
		{3, true}:  avx2Word3Spread,
		{13, true}: avx2Word13Spread,
	}}
	avx512 = vector{lanes: 4, streams: 2, kernels: map[kernelKey]kernel{
		{3, false}: avx512Word3,
		{3, true}:  avx512Word3Spread,
		{13, true}: avx512Word13Spread,
	}}
)

func (v vector) scanner(p *plan) scanner {
	d := tables[p.word]()
	lanes, streams := 1<<v.lanes, 1<<v.streams
	s := &wordScanner{plan: p, lanes: v.lanes, streams: v.streams, kernel: v.kernels[p.kernelKey()]}
	s.c = aligned(streams * rounds)
	s.start = aligned(streams * startSize)
	s.scratch = aligned(streams * 5 * lanes)
	s.delta = aligned(len(d) * rounds)
	for row := range d {
		copy(s.delta[row*rounds:], d[row][:])
	}
	s.lane = aligned(rounds * lanes)
	for lane := range lanes {
		var w schedule
		d.add(&w, uint32(lane)<<p.shift)
		for t := range w {
			s.lane[t*lanes+lane] = w[t]
		}
	}
	s.kw = aligned((p.tail + 1) * rounds)
	blocks := pad(p.Input)[(p.block+1)*blockSize:]
	for i := range p.tail {
		var w schedule
		w.expand(blocks[i*blockSize:])
		for t := range w {
			s.kw[i*rounds+t] = w[t] + roundConstants[t/20]
		}
	}
	var varies [rounds]bool
	for t := range varies {
		varies[t] = d.varies(t)
	}
	s.prepare = func(w *schedule, h [][5]uint32) {
		for i := range h {
			enter(s.start[i*startSize:], p.word, w, &varies, h[i])
		}
		for stream := range streams {
			x := *w
			if p.spread() == 0 {
				d.add(&x, uint32(stream)<<(v.lanes+p.shift))
			}
			c := s.c[stream*rounds:][:rounds]
			for t := range c {
				c[t] = x[t]
				if !varies[t] {
					c[t] += roundConstants[t/20]
				}
			}
		}
	}
	return s
}

// enter sums up the five rounds from that of the word on, as far as every lane has the same there: what each adds to the
// parts that differ, then the first two words of the state turned by 30, the chaining value, and the round constants.
func enter(start []uint32, word int, w *schedule, varies *[rounds]bool, h [5]uint32) {
	s := w.run(h, 0, word)
	a, b, c, d, e := s[0], s[1], s[2], s[3], s[4]
	a30, b30 := bits.RotateLeft32(a, 30), bits.RotateLeft32(b, 30)
	sum := [5]uint32{
		bits.RotateLeft32(a, 5) + mix(word, b, c, d) + e,
		mix(word+1, a, b30, c) + d,
		c,
		b30,
		a30,
	}
	for i := range sum {
		t := word + i
		start[i] = sum[i] + roundConstants[t/20]
		if !varies[t] {
			start[i] += w[t]
		}
	}
	start[5], start[6] = a30, b30
	copy(start[7:], h[:])
	copy(start[12:], roundConstants[:])
}

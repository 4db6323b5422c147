// SPDX-License-Identifier: MIT

package search

import "math/bits"

// avx512Lanes is the logarithm of the candidates in one step: 4 streams of 16 lanes.
const avx512Lanes = 6

const (
	avx512Streams = 4
	zmmWords      = 16
)

func avx512Word3(c, lane, delta, kw, start, save *uint32, blocks uint64, mask uint32, step, end uint64) (next, hits uint64)
func avx512Word13(c, lane, delta, kw, start, save *uint32, blocks uint64, mask uint32, step, end uint64) (next, hits uint64)

func newAVX512(p *plan) scanner {
	d := tables[p.word]()
	s := &wordScanner{plan: p, lanes: avx512Lanes, kernel: avx512Word3}
	if p.word == 13 {
		s.kernel = avx512Word13
	}
	s.c = aligned(avx512Streams * rounds)
	s.start = aligned(12)
	s.scratch = aligned(avx512Streams * 5 * zmmWords)
	s.delta = aligned(len(d) * rounds)
	for row := range d {
		copy(s.delta[row*rounds:], d[row][:])
	}
	s.lane = aligned(rounds * zmmWords)
	for lane := range uint32(zmmWords) {
		var w schedule
		d.add(&w, lane<<p.shift)
		for t := range w {
			s.lane[t*zmmWords+int(lane)] = w[t]
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
	s.prepare = func(w *schedule, h [5]uint32) {
		for stream := range avx512Streams {
			c := s.c[stream*rounds:][:rounds]
			copy(c, w[:])
			if stream&1 != 0 {
				for t, x := range d[4+p.shift] {
					c[t] ^= x
				}
			}
			if stream&2 != 0 {
				for t, x := range d[5+p.shift] {
					c[t] ^= x
				}
			}
			for t := range c {
				if !varies[t] {
					c[t] += roundConstants[t/20]
				}
			}
		}
		avx512Start(s.start, p.word, w, &varies, h)
	}
	return s
}

// avx512Start sums up the five rounds from that of the word on, as far as every lane has the same there: what each adds to
// the parts that differ, then the first two words of the state turned by 30, then the chaining value.
func avx512Start(start []uint32, word int, w *schedule, varies *[rounds]bool, h [5]uint32) {
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
}

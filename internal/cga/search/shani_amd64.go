// SPDX-License-Identifier: MIT

package search

// shaniLanes is the logarithm of the candidates in one step: 4 streams.
const shaniLanes = 2

func cpuid(leaf, subleaf uint32) (eax, ebx uint32)
func shaniWord3(c, lane, delta, kw, start, save *uint32, blocks uint64, mask uint32, step, end uint64) (next, hits uint64)
func shaniWord13(c, lane, delta, kw, start, save *uint32, blocks uint64, mask uint32, step, end uint64) (next, hits uint64)

func newSHANI(p *plan) scanner {
	const streams = 1 << shaniLanes
	d := tables[p.word]()
	s := &wordScanner{plan: p, lanes: shaniLanes, kernel: shaniWord3}
	if p.word == 13 {
		s.kernel = shaniWord13
	}
	s.c = aligned(rounds)
	s.start = aligned(16)
	s.scratch = aligned(streams * 8)
	s.delta = aligned(len(d) * rounds)
	for row := range d {
		reverse(s.delta[row*rounds:], d[row][:])
	}
	s.lane = aligned(streams * rounds)
	for stream := range streams {
		var w schedule
		d.add(&w, uint32(stream)<<p.shift)
		reverse(s.lane[stream*rounds:], w[:])
	}
	s.kw = aligned((p.tail + 1) * rounds)
	blocks := pad(p.Input)[(p.block+1)*blockSize:]
	for i := range p.tail {
		var w schedule
		w.expand(blocks[i*blockSize:])
		reverse(s.kw[i*rounds:], w[:])
	}
	s.prepare = func(w *schedule, h [5]uint32) {
		reverse(s.c, w[:])
		state := w.run(h, 0, p.word/4*4)
		for i, v := range [][5]uint32{state, h} {
			reverse(s.start[8*i:], v[:4])
			s.start[8*i+7] = v[4]
		}
	}
	return s
}

// reverse copies words four by four, the first of four to the highest place: the order of the SHA instructions.
func reverse(to, from []uint32) {
	for i := range from {
		to[i^3] = from[i]
	}
}

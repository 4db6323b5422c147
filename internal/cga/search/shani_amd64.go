// SPDX-License-Identifier: MIT

package search

func cpuid(leaf, subleaf uint32) (eax, ebx uint32)
func shaniWord3(c, lane, delta, kw, start, save *uint32, blocks uint64, mask uint32, step, end uint64) (next, hits uint64)
func shaniWord3Spread(c, lane, delta, kw, start, save *uint32, blocks uint64, mask uint32, step, end uint64) (next, hits uint64)
func shaniWord13Spread(c, lane, delta, kw, start, save *uint32, blocks uint64, mask uint32, step, end uint64) (next, hits uint64)

var shaniKernels = map[kernelKey]kernel{
	{3, false}: shaniWord3,
	{3, true}:  shaniWord3Spread,
	{13, true}: shaniWord13Spread,
}

// newSHANI makes the scanner over the SHA instructions: four streams of one lane. Without a spread the lane table gives
// each stream its part of the schedule.
func newSHANI(p *plan) scanner {
	const streams = 4
	d := tables[p.word]()
	s := &wordScanner{plan: p, streams: 2, kernel: shaniKernels[p.kernelKey()]}
	s.c = aligned(rounds)
	s.start = aligned(streams * startSize)
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
	s.prepare = func(w *schedule, h [][5]uint32) {
		reverse(s.c, w[:])
		for i := range h {
			start := s.start[i*startSize:]
			for j, v := range [][5]uint32{w.run(h[i], 0, p.word/4*4), h[i]} {
				reverse(start[8*j:], v[:4])
				start[8*j+7] = v[4]
			}
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

// SPDX-License-Identifier: MIT

package search

import (
	"math/bits"
	"sync"
	"unsafe"

	"golang.org/x/sys/cpu"
)

// native gives the engines that the processor has instructions, and the system registers, for.
func native() []*engine {
	var all []*engine
	can := func(p *plan) bool { return avx512.kernels[p.kernelKey()] != nil }
	if cpu.X86.HasAVX512F {
		all = append(all, &engine{name: "avx512", largest: 18, can: can, scanner: avx512.scanner})
	}
	if cpu.X86.HasAVX2 {
		all = append(all, &engine{name: "avx2", largest: 16, can: can, scanner: avx2.scanner})
	}
	if hasSHA() {
		all = append(all, &engine{name: "shani", largest: 15, can: can, scanner: newSHANI})
	}
	return all
}

// hasSHA tells whether the processor has the SHA extensions. They use the registers of SSE, which every system saves.
func hasSHA() bool {
	if leaves, _ := cpuid(0, 0); leaves < 7 {
		return false
	}
	_, ebx := cpuid(7, 0)
	return ebx&(1<<29) != 0
}

// A kernel tries candidates from a step, numbered by Gray code, to before end. It stops behind a step with hits and gives
// the next one. c is the schedule, moved on to the Gray code of the next step; lane what each lane adds to it; delta what
// each bit of the code changes, from the lowest on; kw the schedules of the blocks behind, in number blocks; start the
// state before the word; save is scratch. All are aligned to 64 octets. Without a spread each stream has a schedule of its
// own and they share the start; with one it is the other way round.
type kernel func(c, lane, delta, kw, start, save *uint32, blocks uint64, mask uint32, step, end uint64) (next, hits uint64)

// startSize is the number of words that a stream has in start.
const startSize = 16

// A kernelKey says what a kernel is for.
type kernelKey struct {
	word   int
	spread bool
}

func (p *plan) kernelKey() kernelKey { return kernelKey{p.word, p.spread() > 0} }

// A wordScanner is a scanner over a kernel.
type wordScanner struct {
	*plan
	kernel
	lanes, streams                     uint // logarithms of their numbers
	c, lane, delta, kw, start, scratch []uint32
	chains                             [][5]uint32 // behind the blocks before that of the word, for each modifier
	// prepare sets c and start for the schedule of the block of the word, and chaining values for the streams.
	prepare func(w *schedule, h [][5]uint32)
}

func (s *wordScanner) scan(message []byte, unit uint, stop func() bool, emit func(uint32)) bool {
	spread := uint(s.spread())
	head := message[:s.block*blockSize]
	if s.chains == nil || !s.fixed() {
		s.chains = s.chains[:0]
		for low := range byte(1) << spread {
			message[modifierSize-1] |= low
			s.chains = append(s.chains, chain(head))
			message[modifierSize-1] &^= low
		}
	}
	var w schedule
	w.expand(message[len(head):])
	if spread == 0 {
		s.prepare(&w, s.chains)
		return s.steps(unit, s.lanes+s.streams, stop, func(code uint32, bit int) { emit(code<<(s.lanes+s.streams) | uint32(bit)) })
	}
	for first := 0; first < len(s.chains); first += 1 << s.streams {
		s.prepare(&w, s.chains[first:][:1<<s.streams])
		if !s.steps(unit, s.lanes+spread, stop, func(code uint32, bit int) {
			lane, stream := bit&(1<<s.lanes-1), bit>>s.lanes
			emit((code<<s.lanes|uint32(lane))<<spread | uint32(first+stream))
		}) {
			return false
		}
	}
	return true
}

// steps runs the kernel through a unit. low is the logarithm of the candidates that share a Gray code.
func (s *wordScanner) steps(unit, low uint, stop func() bool, visit func(code uint32, bit int)) bool {
	delta := &s.delta[(low-uint(s.spread())+s.shift)*rounds]
	steps := uint64(1) << (unit - low)
	for step := uint64(0); step < steps; {
		if stop() {
			return false
		}
		for end := min(step+s.chunk(), steps); step < end; {
			next, hits := s.kernel(&s.c[0], &s.lane[0], delta, &s.kw[0], &s.start[0], &s.scratch[0], uint64(s.tail), s.mask(), step, end)
			code := uint32(next - 1)
			for ; hits != 0; hits &= hits - 1 {
				visit(code^code>>1, bits.TrailingZeros64(hits))
			}
			step = next
		}
	}
	return true
}

// tables are the deltas of each word that has a kernel.
var tables = map[int]func() *deltas{
	3:  sync.OnceValue(func() *deltas { return newDeltas(3) }),
	13: sync.OnceValue(func() *deltas { return newDeltas(13) }),
}

// aligned makes a slice that begins on a cache line.
func aligned(n int) []uint32 {
	const line = 64
	s := make([]uint32, n+line/4)
	skip := -uintptr(unsafe.Pointer(&s[0])) % line / 4
	return s[skip : int(skip)+n]
}

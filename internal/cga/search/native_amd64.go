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
	words := []int{3, 13}
	if cpu.X86.HasAVX512F {
		all = append(all, &engine{name: "avx512", lanes: avx512.step(), largest: 18, words: words, scanner: avx512.scanner})
	}
	if cpu.X86.HasAVX2 {
		all = append(all, &engine{name: "avx2", lanes: avx2.step(), largest: 16, words: words, scanner: avx2.scanner})
	}
	if hasSHA() {
		all = append(all, &engine{name: "shani", lanes: shaniLanes, largest: 15, words: words, scanner: newSHANI})
	}
	return all
}

// hasSHA tells whether the processor has the SHA extensions. They use the registers of SSE, which every system saves.
func hasSHA() bool {
	if leaves, _ := cpuid(0, 0); leaves < 7 || !cpu.X86.HasSSSE3 || !cpu.X86.HasSSE41 {
		return false
	}
	_, ebx := cpuid(7, 0)
	return ebx&(1<<29) != 0
}

// A kernel tries candidates from a step, numbered by Gray code, to before end. It stops behind a step with hits and gives
// the next one. c is the schedule, for each stream its own or one for all, moved on to the Gray code of the next step;
// lane what each lane adds to it; delta what each bit of the code changes, from the lowest on; kw the schedules of the
// blocks behind, in number blocks; start the state before the word; save is scratch. All are aligned to 64 octets.
type kernel func(c, lane, delta, kw, start, save *uint32, blocks uint64, mask uint32, step, end uint64) (next, hits uint64)

// A wordScanner is a scanner over a kernel.
type wordScanner struct {
	*plan
	kernel
	lanes                              uint // logarithm of the candidates in one step
	c, lane, delta, kw, start, scratch []uint32
	chained                            bool
	chain                              [5]uint32 // behind the blocks before that of the word
	// prepare sets c and start for the schedule and the chaining value of the block of the word.
	prepare func(w *schedule, h [5]uint32)
}

func (s *wordScanner) scan(message []byte, unit uint, stop func() bool, emit func(uint32)) bool {
	head := message[:s.block*blockSize]
	if !s.chained || !s.fixed() {
		s.chain, s.chained = chain(head), true
	}
	var w schedule
	w.expand(message[len(head):])
	s.prepare(&w, s.chain)
	delta := &s.delta[(s.lanes+s.shift)*rounds]
	steps := uint64(1) << (unit - s.lanes)
	for step := uint64(0); step < steps; {
		if stop() {
			return false
		}
		for end := min(step+s.chunk(), steps); step < end; {
			next, hits := s.kernel(&s.c[0], &s.lane[0], delta, &s.kw[0], &s.start[0], &s.scratch[0], uint64(s.tail), s.mask(), step, end)
			code := uint32(next - 1)
			for ; hits != 0; hits &= hits - 1 {
				emit((code^code>>1)<<s.lanes | uint32(bits.TrailingZeros64(hits)))
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

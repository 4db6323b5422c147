// SPDX-License-Identifier: MIT

package main

import "fmt"

// avx2 gives the kernels that try 16 candidates in a step: 8 lanes of 2 streams.
func avx2() []byte {
	w := newWriter()
	for _, v := range variants {
		k := kernel{writer: w, vector: &ymm{writer: w}, variant: v, varying: varying(v.word)}
		k.emit(v.name("avx2"))
	}
	return w.Bytes()
}

// ymm is AVX2. Y0 to Y9 are the states of the streams, Y10 and Y11 their temporaries, Y12 and Y13 second temporaries that
// last for one operation, Y14 and Y15 the common words. Where these are done with, Y14 is a round constant and Y15 the
// shared schedule word.
type ymm struct {
	*writer
	round int // of the lane table, which is read from memory
}

func (ymm) streams() int               { return 2 }
func (ymm) bytes() int                 { return 32 }
func (ymm) state(stream, i int) string { return fmt.Sprintf("Y%d", 5*stream+i) }
func (ymm) temp(stream int) string     { return fmt.Sprintf("Y%d", 10+stream) }
func (ymm) short(stream int) string    { return fmt.Sprintf("Y%d", 12+stream) }
func (ymm) common(i int) string        { return fmt.Sprintf("Y%d", 14+i) }

func (y ymm) setup() {}

func (ymm) shared() string { return "Y15" }

func (y ymm) broadcast(mem, to string) { y.op("VPBROADCASTD %s, %s", mem, to) }

func (y *ymm) lanes(t int) { y.round = t }

func (y ymm) vary(column, to string) {
	y.op("VPBROADCASTD %s, %s", column, to)
	y.op("VPXOR %d(DI), %s, %s", y.bytes()*y.round, to, to)
}

func (y ymm) addK(phase int, reg string) {
	y.op("VPBROADCASTD %d(R10), Y14", startK+4*phase)
	y.op("VPADDD Y14, %s, %s", reg, reg)
}

func (y ymm) addWord(stream int, mem, a, to string) {
	y.op("VPBROADCASTD %s, %s", mem, y.short(stream))
	y.op("VPADDD %s, %s, %s", y.short(stream), a, to)
}

func (y ymm) add(a, b, to string) { y.op("VPADDD %s, %s, %s", a, b, to) }

func (y ymm) addMemory(mem, reg string) { y.op("VPADDD %s, %s, %s", mem, reg, reg) }

func (y ymm) store(reg, mem string) { y.op("VMOVDQU %s, %s", reg, mem) }

func (y ymm) rol(stream, n int, a, to string) {
	y.op("VPSLLD $%d, %s, %s", n, a, y.short(stream))
	y.op("VPSRLD $%d, %s, %s", 32-n, a, to)
	y.op("VPOR %s, %s, %s", y.short(stream), to, to)
}

func (y ymm) choose(stream, phase int, b, c, d string) {
	f, g := y.temp(stream), y.short(stream)
	switch phase {
	case 0: // d ^ b & (c ^ d)
		y.op("VPXOR %s, %s, %s", c, d, f)
		y.op("VPAND %s, %s, %s", b, f, f)
		y.op("VPXOR %s, %s, %s", d, f, f)
	case 2: // b & c | d & (b | c)
		y.op("VPOR %s, %s, %s", b, c, f)
		y.op("VPAND %s, %s, %s", b, c, g)
		y.op("VPAND %s, %s, %s", d, f, f)
		y.op("VPOR %s, %s, %s", g, f, f)
	default:
		y.op("VPXOR %s, %s, %s", c, d, f)
		y.op("VPXOR %s, %s, %s", b, f, f)
	}
}

func (y ymm) hits(regs []string) {
	y.load("mask", "AX")
	y.op("VMOVD AX, X14")
	y.op("VPBROADCASTD X14, Y14")
	y.op("VPXOR Y15, Y15, Y15")
	for s, r := range regs {
		y.op("VPAND Y14, %s, %s", r, y.temp(s))
		y.op("VPCMPEQD Y15, %s, %s", y.temp(s), y.temp(s))
	}
	y.op("VMOVMSKPS %s, BX", y.temp(1))
	y.op("VMOVMSKPS %s, AX", y.temp(0))
	y.op("SHLQ $8, BX")
	y.op("ORQ  AX, BX")
}

func (y ymm) xorMemory(mem string, columns []string) {
	y.op("VMOVDQU %s, Y15", mem)
	for s, c := range columns {
		y.op("VPXOR %s, Y15, %s", c, y.temp(s))
		y.op("VMOVDQU %s, %s", y.temp(s), c)
	}
}

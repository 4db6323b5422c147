// SPDX-License-Identifier: MIT

package main

import "fmt"

// avx512 gives the kernels that try 64 candidates in a step: 16 lanes of 4 streams.
func avx512() []byte {
	w := newWriter()
	for _, v := range variants {
		k := kernel{writer: w, vector: zmm{w}, variant: v, varying: varying(v.word)}
		k.emit(v.name("avx512"))
	}
	return w.Bytes()
}

// zmm is AVX-512F. Z0 to Z19 are the states of the streams, Z20 to Z23 their temporaries, Z24 the lane table or the shared
// schedule word, Z25 and Z26
// the common words, Z27 the mask, Z28 to Z31 the round constants.
type zmm struct{ *writer }

func (zmm) streams() int               { return 4 }
func (zmm) bytes() int                 { return 64 }
func (zmm) state(stream, i int) string { return fmt.Sprintf("Z%d", 5*stream+i) }
func (zmm) temp(stream int) string     { return fmt.Sprintf("Z%d", 20+stream) }
func (zmm) common(i int) string        { return fmt.Sprintf("Z%d", 25+i) }

func (z zmm) setup() {
	z.op("VPBROADCASTD AX, Z27")
	for i := range roundConstants {
		z.op("VPBROADCASTD %d(R10), Z%d", startK+4*i, 28+i)
	}
}

func (zmm) shared() string { return "Z24" }

func (z zmm) broadcast(mem, to string) { z.op("VPBROADCASTD %s, %s", mem, to) }

func (z zmm) lanes(t int) { z.op("VMOVDQU32 %d(DI), Z24", z.bytes()*t) }

func (z zmm) vary(column, to string) { z.op("VPXORD.BCST %s, Z24, %s", column, to) }

func (z zmm) addK(phase int, reg string) { z.op("VPADDD Z%d, %s, %s", 28+phase, reg, reg) }

func (z zmm) addWord(_ int, mem, a, to string) { z.op("VPADDD.BCST %s, %s, %s", mem, a, to) }

func (z zmm) add(a, b, to string) { z.op("VPADDD %s, %s, %s", a, b, to) }

func (z zmm) addMemory(mem, reg string) { z.op("VPADDD %s, %s, %s", mem, reg, reg) }

func (z zmm) store(reg, mem string) { z.op("VMOVDQU32 %s, %s", reg, mem) }

func (z zmm) rol(_, n int, a, to string) { z.op("VPROLD $%d, %s, %s", n, a, to) }

func (z zmm) choose(stream, phase int, b, c, d string) {
	truth := [4]int{0xca, 0x96, 0xe8, 0x96}
	z.op("VMOVDQA32 %s, %s", b, z.temp(stream))
	z.op("VPTERNLOGD $0x%02x, %s, %s, %s", truth[phase], d, c, z.temp(stream))
}

func (z zmm) hits(regs []string) {
	for s, r := range regs {
		z.op("VPTESTNMD Z27, %s, K%d", r, s+1)
	}
	z.op("KMOVW K4, BX")
	for _, k := range []string{"K3", "K2", "K1"} {
		z.op("SHLQ $16, BX")
		z.op("KMOVW %s, AX", k)
		z.op("ORQ  AX, BX")
	}
}

func (z zmm) xorMemory(mem string, columns []string) {
	z.op("VMOVDQU32 %s, Z24", mem)
	for s, c := range columns {
		z.op("VPXORD %s, Z24, %s", c, z.temp(s))
		z.op("VMOVDQU32 %s, %s", z.temp(s), c)
	}
}

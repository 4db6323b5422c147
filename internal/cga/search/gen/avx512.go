// SPDX-License-Identifier: MIT

package main

import "fmt"

// The registers of an AVX-512 kernel. Z0 to Z19 are the states of the streams and Z20 to Z23 one temporary for each.
const (
	streams   = 4
	lanes     = "Z24" // lane table entry of the round
	constA    = "Z25" // of the rounds whose state is still the same in every lane
	constB    = "Z26"
	mask      = "Z27"
	roundK    = 28 // and the next three
	rowBytes  = 4 * rounds
	zmmBytes  = 64
	startMid  = 28 // offset in start of the chaining value that the varying block begins with
	startRol  = 20 // offset in start of a and b turned by 30
	truthCh   = 0xca
	truthXor  = 0x96
	truthMaj  = 0xe8
	groupSize = 5 // rounds after which the names of the registers are back in place
)

var truth = [4]int{truthCh, truthXor, truthMaj, truthXor}

func state(stream, i int) string { return fmt.Sprintf("Z%d", 5*stream+i) }
func temp(stream int) string     { return fmt.Sprintf("Z%d", 20+stream) }

// avx512 gives the kernels that try 64 candidates in a step: 16 lanes of 4 streams.
func avx512() []byte {
	w := newWriter()
	for _, word := range words {
		k := kernel512{writer: w, word: word, varying: varying(word)}
		k.emit()
	}
	return w.Bytes()
}

// A kernel512 is written for one word. names[i] is the register, the same in every stream, that holds the state word i of
// a, b, c, d, e.
type kernel512 struct {
	*writer
	word    int
	varying [rounds]bool
	names   [5]int
}

func (k *kernel512) emit() {
	k.text(fmt.Sprintf("avx512Word%d", k.word))
	for _, p := range [][2]string{{"c", "SI"}, {"lane", "DI"}, {"delta", "R8"}, {"kw", "R9"}, {"start", "R10"},
		{"save", "R11"}, {"blocks", "R12"}, {"step", "R13"}, {"end", "R15"}} {
		k.load(p[0], p[1])
	}
	k.load("mask", "AX")
	k.op("VPBROADCASTD AX, %s", mask)
	for i, c := range roundConstants {
		k.op("MOVL $0x%08x, AX", c)
		k.op("VPBROADCASTD AX, Z%d", roundK+i)
	}
	k.op("PCALIGN $64")
	k.label("step")
	k.enter()
	k.names = [5]int{4, 3, 2, 1, 0}
	for t := k.word + 5; t < rounds; t++ {
		k.round(t)
	}
	k.op("TESTQ R12, R12")
	k.op("JZ    single")
	for i := range 5 {
		k.each(func(s int) {
			k.op("VPADDD.BCST %d(R10), %s, %s", startMid+4*i, k.reg(s, i), k.reg(s, i))
		})
	}
	k.constant()
	k.label("single")
	k.each(func(s int) { k.op("VPADDD.BCST %d(R10), %s, %s", startMid, k.reg(s, 0), k.reg(s, 0)) })
	k.label("test")
	k.test()
}

func (k *kernel512) each(f func(stream int)) {
	for s := range streams {
		f(s)
	}
}

// reg is the register of state word i of a stream.
func (k *kernel512) reg(stream, i int) string { return state(stream, k.names[i]) }

// column is the operand of schedule word t of a stream.
func column(stream, t int) string { return fmt.Sprintf("%d(SI)", rowBytes*stream+4*t) }

// enter writes the round of the varying word and the four after it. Part of the state is the same in every lane there, and
// the caller has summed it up: start[i] is what round word+i adds to the rest.
func (k *kernel512) enter() {
	k.op("VPBROADCASTD %d(R10), %s", startRol, constA)
	k.op("VPBROADCASTD %d(R10), %s", startRol+4, constB)
	k.op("VMOVDQU32 %d(DI), %s", zmmBytes*k.word, lanes)
	k.each(func(s int) { k.op("VPXORD.BCST %s, %s, %s", column(s, k.word), lanes, state(s, 0)) })
	k.each(func(s int) { k.op("VPADDD.BCST (R10), %s, %s", state(s, 0), state(s, 0)) })
	for i := 1; i < 5; i++ {
		t := k.word + i
		k.each(func(s int) { k.op("VPROLD $5, %s, %s", state(s, i-1), state(s, i)) })
		k.each(func(s int) { k.op("VPADDD.BCST %d(R10), %s, %s", 4*i, state(s, i), state(s, i)) })
		if k.varying[t] {
			k.op("VMOVDQU32 %d(DI), %s", zmmBytes*t, lanes)
			k.each(func(s int) { k.op("VPXORD.BCST %s, %s, %s", column(s, t), lanes, temp(s)) })
			k.each(func(s int) { k.op("VPADDD %s, %s, %s", temp(s), state(s, i), state(s, i)) })
		}
		if i == 1 {
			continue
		}
		k.each(func(s int) { k.op("VMOVDQA32 %s, %s", state(s, i-2), temp(s)) })
		k.each(func(s int) {
			third := [5]string{2: constA, 3: state(s, 0), 4: state(s, 1)}[i]
			fourth := [5]string{2: constB, 3: constA, 4: state(s, 0)}[i]
			k.op("VPTERNLOGD $0x%02x, %s, %s, %s", truth[t/20], fourth, third, temp(s))
		})
		k.each(func(s int) { k.op("VPADDD %s, %s, %s", temp(s), state(s, i), state(s, i)) })
		k.each(func(s int) { k.op("VPROLD $30, %s, %s", state(s, i-2), state(s, i-2)) })
	}
}

// round writes round t of the varying block. The round constant is part of the schedule word where that does not vary.
func (k *kernel512) round(t int) {
	if k.varying[t] {
		k.op("VMOVDQU32 %d(DI), %s", zmmBytes*t, lanes)
		k.each(func(s int) { k.op("VPXORD.BCST %s, %s, %s", column(s, t), lanes, temp(s)) })
		k.each(func(s int) { k.op("VPADDD Z%d, %s, %s", roundK+t/20, k.reg(s, 4), k.reg(s, 4)) })
		k.each(func(s int) { k.op("VPADDD %s, %s, %s", temp(s), k.reg(s, 4), k.reg(s, 4)) })
	} else {
		k.each(func(s int) { k.op("VPADDD.BCST %s, %s, %s", column(0, t), k.reg(s, 4), k.reg(s, 4)) })
	}
	k.mix(t / 20)
}

// mix writes what is left of a round when the schedule word is added.
func (k *kernel512) mix(phase int) {
	k.each(func(s int) { k.op("VMOVDQA32 %s, %s", k.reg(s, 1), temp(s)) })
	k.each(func(s int) { k.op("VPTERNLOGD $0x%02x, %s, %s, %s", truth[phase], k.reg(s, 3), k.reg(s, 2), temp(s)) })
	k.each(func(s int) { k.op("VPADDD %s, %s, %s", temp(s), k.reg(s, 4), k.reg(s, 4)) })
	k.each(func(s int) { k.op("VPROLD $5, %s, %s", k.reg(s, 0), temp(s)) })
	k.each(func(s int) { k.op("VPADDD %s, %s, %s", temp(s), k.reg(s, 4), k.reg(s, 4)) })
	k.each(func(s int) { k.op("VPROLD $30, %s, %s", k.reg(s, 1), k.reg(s, 1)) })
	n := k.names
	k.names = [5]int{n[4], n[0], n[1], n[2], n[3]}
}

// constant writes the loop over the blocks behind the varying one. Five rounds and a counter for each phase: unrolled, the
// two blocks would not fit the cache of decoded instructions.
func (k *kernel512) constant() {
	saved := func(s, i int) string { return fmt.Sprintf("%d(R11)", zmmBytes*(5*s+i)) }
	k.op("MOVQ R9, BX")
	k.op("MOVQ R12, DX")
	k.label("block")
	k.each(func(s int) {
		for i := range 5 {
			k.op("VMOVDQU32 %s, %s", k.reg(s, i), saved(s, i))
		}
	})
	for phase := range 4 {
		k.op("MOVQ $4, CX")
		k.op("PCALIGN $64")
		k.label(fmt.Sprintf("phase%d", phase))
		for i := range groupSize {
			k.each(func(s int) { k.op("VPADDD.BCST %d(BX), %s, %s", 4*i, k.reg(s, 4), k.reg(s, 4)) })
			k.mix(phase)
		}
		k.op("ADDQ $%d, BX", 4*groupSize)
		k.op("DECQ CX")
		k.op("JNZ  phase%d", phase)
	}
	k.op("DECQ DX")
	k.op("JZ   last")
	for i := range 5 {
		k.each(func(s int) { k.op("VPADDD %s, %s, %s", saved(s, i), k.reg(s, i), k.reg(s, i)) })
	}
	k.op("JMP  block")
	k.label("last")
	k.each(func(s int) { k.op("VPADDD %s, %s, %s", saved(s, 0), k.reg(s, 0), k.reg(s, 0)) })
	k.op("JMP test")
}

// test writes the end of a step: bit 16*stream+lane of hits is set where the first word of the hash has the wanted zeros,
// and the schedule moves on by one bit of the Gray code.
func (k *kernel512) test() {
	k.each(func(s int) { k.op("VPTESTNMD %s, %s, K%d", mask, k.reg(s, 0), s+1) })
	k.op("KMOVW K4, BX")
	for s := streams - 2; s >= 0; s-- {
		k.op("SHLQ $16, BX")
		k.op("KMOVW K%d, AX", s+1)
		k.op("ORQ  AX, BX")
	}
	k.op("INCQ R13")
	k.op("BSFQ R13, AX")
	k.op("IMULQ $%d, AX", rowBytes)
	k.op("ADDQ R8, AX")
	for i := range rowBytes / zmmBytes {
		k.op("VMOVDQU32 %d(AX), %s", zmmBytes*i, lanes)
		k.each(func(s int) { k.op("VPXORD %d(SI), %s, %s", rowBytes*s+zmmBytes*i, lanes, temp(s)) })
		k.each(func(s int) { k.op("VMOVDQU32 %s, %d(SI)", temp(s), rowBytes*s+zmmBytes*i) })
	}
	k.op("TESTQ BX, BX")
	k.op("JNZ  done")
	k.op("CMPQ R13, R15")
	k.op("JLT  step")
	k.label("done")
	k.result("R13", "next")
	k.result("BX", "hits")
	k.op("VZEROUPPER")
	k.op("RET")
}

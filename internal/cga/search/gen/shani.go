// SPDX-License-Identifier: MIT

package main

import "fmt"

const (
	streams  = 4
	groups   = rounds / 4 // of four rounds, what one instruction does
	xmmBytes = 16
	allLanes = "X12" // schedule words that the streams share
	maskX    = "X13"
	zeroX    = "X14"
)

// shani gives the kernels that try four candidates in a step, each in a stream of SHA instructions.
func shani() []byte {
	w := newWriter()
	w.cpuid()
	for _, v := range variants {
		k := kernelSHA{writer: w, variant: v, varying: varying(v.word)}
		k.emit(v.name("shani"))
	}
	return w.Bytes()
}

// cpuid writes the question whether the processor has these instructions.
func (w *writer) cpuid() {
	w.line("")
	w.line("// func cpuid(leaf, subleaf uint32) (eax, ebx uint32)")
	w.line("TEXT ·cpuid(SB), NOSPLIT, $0-16")
	w.op("MOVL leaf+0(FP), AX")
	w.op("MOVL subleaf+4(FP), CX")
	w.op("CPUID")
	w.op("MOVL AX, eax+8(FP)")
	w.op("MOVL BX, ebx+12(FP)")
	w.op("RET")
}

// A kernelSHA is written for a variant. The registers are X0 to X3 for a, b, c, d of each stream, and X4 to X11 for its e
// and a temporary, which change their roles after each group of rounds.
type kernelSHA struct {
	*writer
	variant
	varying [rounds]bool
	swapped bool
}

func (k *kernelSHA) abcd(s int) string { return fmt.Sprintf("X%d", s) }

func (k *kernelSHA) e(s int) string {
	if k.swapped {
		return fmt.Sprintf("X%d", 8+s)
	}
	return fmt.Sprintf("X%d", 4+s)
}

func (k *kernelSHA) tmp(s int) string {
	if k.swapped {
		return fmt.Sprintf("X%d", 4+s)
	}
	return fmt.Sprintf("X%d", 8+s)
}

// start is the operand of octets of the start of a stream.
func (k *kernelSHA) start(stream, offset int) string {
	if k.spread {
		offset += startBytes * stream
	}
	return fmt.Sprintf("%d(R10)", offset)
}

func (k *kernelSHA) each(f func(stream int)) { k.weave(streams, f) }

// varies tells whether a group of schedule words depends on the varying word.
func (k *kernelSHA) varies(group int) bool {
	v := k.varying[4*group : 4*group+4]
	return v[0] || v[1] || v[2] || v[3]
}

func (k *kernelSHA) emit(name string) {
	k.text(name)
	for _, p := range [][2]string{{"c", "SI"}, {"lane", "DI"}, {"delta", "R8"}, {"kw", "R9"}, {"start", "R10"},
		{"save", "R11"}, {"blocks", "R12"}, {"step", "R13"}, {"end", "R15"}} {
		k.load(p[0], p[1])
	}
	k.load("mask", "AX")
	k.op("MOVQ AX, %s", maskX)
	k.op("PSHUFD $0, %s, %s", maskX, maskX)
	k.op("PXOR %s, %s", zeroX, zeroX)
	k.op("PCALIGN $64")
	k.label("step")
	k.each(func(s int) {
		k.op("MOVOU %s, %s", k.start(s, 0), k.abcd(s))
		k.op("MOVOU %s, %s", k.start(s, 16), k.e(s))
	})
	first := k.word / 4
	for g := first; g < groups; g++ {
		k.group(g, g == first, func(s int) string {
			if k.spread || !k.varies(g) {
				return fmt.Sprintf("%d(SI)", xmmBytes*g)
			}
			k.op("MOVOU %d(SI), %s", xmmBytes*g, k.tmp(s))
			k.op("PXOR %d(DI), %s", rowBytes*s+xmmBytes*g, k.tmp(s))
			return k.tmp(s)
		})
	}
	k.op("TESTQ R12, R12")
	k.op("JZ single")
	k.each(func(s int) {
		k.op("PADDL %s, %s", k.start(s, 32), k.abcd(s))
		k.op("SHA1NEXTE %s, %s", k.start(s, 48), k.e(s))
	})
	// The groups of the varying block may be odd in number, and a constant block begins with the registers in place.
	if k.swapped {
		k.each(func(s int) { k.op("MOVO %s, %s", k.e(s), k.tmp(s)) })
		k.swapped = false
	}
	k.constant()
	k.label("single")
	k.each(func(s int) { k.op("PADDL %s, %s", k.start(s, 32), k.abcd(s)) })
	k.label("test")
	k.test()
}

// group writes four rounds. words gives the operand with the schedule words of a stream.
func (k *kernelSHA) group(g int, first bool, words func(stream int) string) {
	k.each(func(s int) {
		operand := words(s)
		if first {
			k.op("PADDL %s, %s", operand, k.e(s))
		} else {
			k.op("SHA1NEXTE %s, %s", operand, k.e(s))
		}
		k.op("MOVO %s, %s", k.abcd(s), k.tmp(s))
		k.op("SHA1RNDS4 $%d, %s, %s", g/5, k.e(s), k.abcd(s))
	})
	k.swapped = !k.swapped
}

// constant writes the loop over the blocks behind the varying one.
func (k *kernelSHA) constant() {
	saved := func(s, i int) string { return fmt.Sprintf("%d(R11)", xmmBytes*(2*s+i)) }
	k.op("MOVQ R9, BX")
	k.op("MOVQ R12, DX")
	k.op("PCALIGN $64")
	k.label("block")
	k.each(func(s int) {
		k.op("MOVOU %s, %s", k.abcd(s), saved(s, 0))
		k.op("MOVOU %s, %s", k.e(s), saved(s, 1))
	})
	for g := range groups {
		k.group(g, g == 0, func(int) string { return fmt.Sprintf("%d(BX)", xmmBytes*g) })
	}
	k.op("ADDQ $%d, BX", rowBytes)
	k.each(func(s int) { k.op("PADDL %s, %s", saved(s, 0), k.abcd(s)) })
	k.each(func(s int) { k.op("SHA1NEXTE %s, %s", saved(s, 1), k.e(s)) })
	k.op("DECQ DX")
	k.op("JNZ  block")
	k.op("JMP  test")
}

// test writes the end of a step: bit n of hits is set where the first word of the hash of stream n has the wanted zeros,
// and the schedule moves on by one bit of the Gray code.
func (k *kernelSHA) test() {
	k.op("PUNPCKHLQ X1, X0")
	k.op("PUNPCKHLQ X3, X2")
	k.op("PUNPCKHQDQ X2, X0")
	k.op("PAND %s, X0", maskX)
	k.op("PCMPEQL %s, X0", zeroX)
	k.op("MOVMSKPS X0, BX")
	k.op("INCQ R13")
	k.op("BSFQ R13, AX")
	k.op("IMULQ $%d, AX", rowBytes)
	k.op("ADDQ R8, AX")
	for g := range groups {
		if k.varies(g) {
			k.op("MOVOU %d(SI), %s", xmmBytes*g, allLanes)
			k.op("PXOR %d(AX), %s", xmmBytes*g, allLanes)
			k.op("MOVOU %s, %d(SI)", allLanes, xmmBytes*g)
		}
	}
	k.op("TESTQ BX, BX")
	k.op("JNZ  done")
	k.op("CMPQ R13, R15")
	k.op("JLT  step")
	k.label("done")
	k.result("R13", "next")
	k.result("BX", "hits")
	k.op("RET")
}

// SPDX-License-Identifier: MIT

package main

import "fmt"

const (
	rowBytes = 4 * rounds
	startRol = 20 // offset in start of a and b turned by 30
	startMid = 28 // offset in start of the chaining value that the varying block begins with
	startK   = 48 // offset in start of the round constants
	// startBytes is the size of start, for each stream where they have their own.
	startBytes = 64
)

// A vector is an instruction set that works on one 32-bit word in each lane. Its registers hold the states of some
// streams and temporaries of each.
type vector interface {
	streams() int
	bytes() int                       // of a register
	state(stream, i int) string       // register i, 0 to 4, of the state of a stream
	temp(stream int) string           // a temporary
	setup()                           // prepares what stays in registers
	common(i int) string              // registers, 0 and 1, of state words that every lane still has in common
	shared() string                   // register of a schedule word that the streams share
	broadcast(mem, to string)         // to = the word at mem in each lane
	lanes(t int)                      // prepares round t of the lane table
	vary(column, to string)           // to = the word of the schedule at column, in each lane its own
	addK(phase int, reg string)       // reg += round constant
	addWord(s int, mem, a, to string) // to = a + the word at mem; a and to are no temporary
	add(a, b, to string)
	addMemory(mem, reg string) // reg += the register at mem
	store(reg, mem string)
	rol(stream, n int, a, to string)
	// choose sets the temporary of a stream to the function of a phase.
	choose(stream, phase int, b, c, d string)
	// hits sets BX to a bit for each lane of each stream whose register has no bit of the mask.
	hits(regs []string)
	xorMemory(mem string, columns []string) // each of columns, at most one for each stream, ^= the register at mem
}

// A kernel is written for a variant. names[i] is the register, the same in every stream, that holds word i of
// the state a, b, c, d, e.
type kernel struct {
	*writer
	vector
	variant
	varying [rounds]bool
	names   [5]int
}

func (k *kernel) emit(name string) {
	k.text(name)
	for _, p := range [][2]string{{"c", "SI"}, {"lane", "DI"}, {"delta", "R8"}, {"kw", "R9"}, {"start", "R10"},
		{"save", "R11"}, {"blocks", "R12"}, {"step", "R13"}, {"end", "R15"}} {
		k.load(p[0], p[1])
	}
	k.load("mask", "AX")
	k.setup()
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
		k.each(func(s int) { k.addWord(s, k.start(s, startMid+4*i), k.reg(s, i), k.reg(s, i)) })
	}
	k.constant()
	k.label("single")
	k.each(func(s int) { k.addWord(s, k.start(s, startMid), k.reg(s, 0), k.reg(s, 0)) })
	k.label("test")
	k.test()
}

func (k *kernel) each(f func(stream int)) { k.weave(k.streams(), f) }

// reg is the register of state word i of a stream.
func (k *kernel) reg(stream, i int) string { return k.state(stream, k.names[i]) }

// column is the operand of octets of the schedule of a stream.
func column(stream, offset int) string { return fmt.Sprintf("%d(SI)", rowBytes*stream+offset) }

// start is the operand of a word of the start of a stream.
func (k *kernel) start(stream, offset int) string {
	if k.spread {
		offset += startBytes * stream
	}
	return fmt.Sprintf("%d(R10)", offset)
}

// schedule gives the register of each stream with its schedule word t, the round constant in it if so wanted.
func (k *kernel) schedule(t int, withK bool) func(stream int) string {
	k.lanes(t)
	if k.spread {
		k.vary(column(0, 4*t), k.shared())
		if withK {
			k.addK(t/20, k.shared())
		}
		return func(int) string { return k.shared() }
	}
	k.each(func(s int) { k.vary(column(s, 4*t), k.temp(s)) })
	if withK {
		k.each(func(s int) { k.addK(t/20, k.temp(s)) })
	}
	return k.temp
}

// enter writes the round of the varying word and the four after it. Part of the state is the same in every lane there, and
// the caller has summed it up: start[i] is what round word+i adds to the rest.
func (k *kernel) enter() {
	w := k.schedule(k.word, false)
	k.each(func(s int) { k.addWord(s, k.start(s, 0), w(s), k.state(s, 0)) })
	for i := 1; i < 5; i++ {
		t := k.word + i
		k.each(func(s int) { k.rol(s, 5, k.state(s, i-1), k.state(s, i)) })
		k.each(func(s int) { k.addWord(s, k.start(s, 4*i), k.state(s, i), k.state(s, i)) })
		if k.varying[t] {
			w := k.schedule(t, false)
			k.each(func(s int) { k.add(w(s), k.state(s, i), k.state(s, i)) })
		}
		if i == 1 {
			continue
		}
		for s := range k.streams() {
			if i < 4 && (s == 0 || k.spread) {
				k.broadcast(k.start(s, startRol), k.common(0))
				k.broadcast(k.start(s, startRol+4), k.common(1))
			}
			c := [5]string{2: k.common(0), 3: k.state(s, 0), 4: k.state(s, 1)}[i]
			d := [5]string{2: k.common(1), 3: k.common(0), 4: k.state(s, 0)}[i]
			k.choose(s, t/20, k.state(s, i-2), c, d)
		}
		k.each(func(s int) { k.add(k.temp(s), k.state(s, i), k.state(s, i)) })
		k.each(func(s int) { k.rol(s, 30, k.state(s, i-2), k.state(s, i-2)) })
	}
}

// round writes round t of the varying block. The round constant is part of the schedule word where that does not vary.
func (k *kernel) round(t int) {
	if k.varying[t] {
		w := k.schedule(t, true)
		k.each(func(s int) { k.add(w(s), k.reg(s, 4), k.reg(s, 4)) })
	} else {
		k.each(func(s int) { k.addWord(s, column(0, 4*t), k.reg(s, 4), k.reg(s, 4)) })
	}
	k.mix(t / 20)
}

// mix writes what is left of a round when the schedule word is added.
func (k *kernel) mix(phase int) {
	k.each(func(s int) { k.choose(s, phase, k.reg(s, 1), k.reg(s, 2), k.reg(s, 3)) })
	k.each(func(s int) { k.add(k.temp(s), k.reg(s, 4), k.reg(s, 4)) })
	k.each(func(s int) { k.rol(s, 5, k.reg(s, 0), k.temp(s)) })
	k.each(func(s int) { k.add(k.temp(s), k.reg(s, 4), k.reg(s, 4)) })
	k.each(func(s int) { k.rol(s, 30, k.reg(s, 1), k.reg(s, 1)) })
	n := k.names
	k.names = [5]int{n[4], n[0], n[1], n[2], n[3]}
}

// constant writes the loop over the blocks behind the varying one. Five rounds, after which the names of the registers are
// back in place, and a counter for each phase: unrolled, the two blocks would not fit the cache of decoded instructions.
func (k *kernel) constant() {
	saved := func(s, i int) string { return fmt.Sprintf("%d(R11)", k.bytes()*(5*s+i)) }
	k.op("MOVQ R9, BX")
	k.op("MOVQ R12, DX")
	k.label("block")
	k.each(func(s int) {
		for i := range 5 {
			k.store(k.reg(s, i), saved(s, i))
		}
	})
	for phase := range 4 {
		k.op("MOVQ $4, CX")
		k.op("PCALIGN $64")
		k.label(fmt.Sprintf("phase%d", phase))
		for i := range 5 {
			k.each(func(s int) { k.addWord(s, fmt.Sprintf("%d(BX)", 4*i), k.reg(s, 4), k.reg(s, 4)) })
			k.mix(phase)
		}
		k.op("ADDQ $20, BX")
		k.op("DECQ CX")
		k.op("JNZ  phase%d", phase)
	}
	k.op("DECQ DX")
	k.op("JZ   last")
	for i := range 5 {
		k.each(func(s int) { k.addMemory(saved(s, i), k.reg(s, i)) })
	}
	k.op("JMP  block")
	k.label("last")
	k.each(func(s int) { k.addMemory(saved(s, 0), k.reg(s, 0)) })
	k.op("JMP  test")
}

// test writes the end of a step: the hits, and the schedule moves on by one bit of the Gray code.
func (k *kernel) test() {
	var first []string
	for s := range k.streams() {
		first = append(first, k.reg(s, 0))
	}
	k.hits(first)
	k.op("INCQ R13")
	k.op("BSFQ R13, AX")
	k.op("IMULQ $%d, AX", rowBytes)
	k.op("ADDQ R8, AX")
	for i := range rowBytes / k.bytes() {
		var columns []string
		for s := range k.streams() {
			if s == 0 || !k.spread {
				columns = append(columns, column(s, k.bytes()*i))
			}
		}
		k.xorMemory(fmt.Sprintf("%d(AX)", k.bytes()*i), columns)
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

// SPDX-License-Identifier: MIT

package fuzzer

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"shim6/test/lab/genl"
	"shim6/test/lab/packet"
)

func TestMutantsStayWithinBounds(t *testing.T) {
	const family = 0x1c
	m := Mutator{rand.New(rand.NewPCG(1, 2)), family}
	list := []Input{{Frame, segment(A2, B1, 1000)}, {Offloaded, append(make([]byte, virtioLen), segment(A2, B1, 0)...)},
		{Request, append([]byte{36, 0, 0, 0, family, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, genl.CtxFlush, 1, 0, 0}, genl.U64(genl.TagLocal, TagLocal)...)}}
	flushes, whole := 0, 0
	for i := range 20000 {
		in := list[i%len(list)]
		got := m.Mutate(in, list[(i+1)%len(list)])
		if len(got.Octets) > maxOctets || got.Kind != in.Kind {
			t.Fatalf("a mutant of %v is %v of %d octets", in.Kind, got.Kind, len(got.Octets))
		}
		switch {
		case in.Kind == Request && len(got.Octets) >= netlinkLen+genlLen:
			if f := binary.NativeEndian.Uint16(got.Octets[4:]); f != family {
				t.Fatalf("a request is for family %d", f)
			}
			if got.Octets[netlinkLen] == genl.CtxFlush {
				flushes++
			}
		case in.Kind == Frame:
			if p, err := packet.Parse(got.Octets); err == nil && len(p.Octets) == len(got.Octets) {
				whole++
			}
		}
	}
	if flushes > 1500 {
		t.Errorf("%d of about 6700 requests are flushes, which take long", flushes)
	}
	// Without repair hardly any mutant of a changed length is one that a receiver takes.
	if whole < 3500 {
		t.Errorf("%d of about 6700 packets are whole", whole)
	}
}

func TestSumIsRepairedOverULIDs(t *testing.T) {
	b := segment(A2, B1, 100)
	copy(b[len(b)-100:], "changed")
	repairSum(b)
	p, err := packet.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if !p.SumRight(B1, A1) {
		t.Error("the checksum is not right for the ULIDs")
	}
}

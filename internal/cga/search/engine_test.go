// SPDX-License-Identifier: MIT

package search

import (
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"math/bits"
	"slices"
	"testing"
)

// reference gives the distances that a plain loop over crypto/sha1 finds.
func reference(j Job, from, n uint64) (hits []uint64) {
	f := j.Field
	if f == (Field{}) {
		f = Field{Len: modifierSize}
	}
	in := bytes.Clone(j.Input)
	field, last := in[f.Offset:f.Offset+f.Len], &in[modifierSize-1]
	count := new(big.Int).SetBytes(field)
	digits := uint(0)
	if f.Offset > modifierSize {
		digits = 2
		count.Lsh(count, digits).Add(count, big.NewInt(int64(*last%4)))
	}
	whole := new(big.Int).Lsh(big.NewInt(1), uint(8*f.Len)+digits)
	one, high := big.NewInt(1), new(big.Int)
	count.Add(count, new(big.Int).SetUint64(from))
	for d := from; d < from+n; d++ {
		count.Mod(count, whole)
		high.Rsh(count, digits).FillBytes(field)
		if digits > 0 {
			*last = *last&^3 | byte(count.Uint64()%4)
		}
		sum := sha1.Sum(in)
		if zeros := bits.LeadingZeros64(binary.BigEndian.Uint64(sum[:])); zeros >= j.Zeros {
			hits = append(hits, d)
		}
		count.Add(count, one)
	}
	return hits
}

// equal compares the hits of every engine with those of the plain loop.
func equal(t *testing.T, j Job, from, n uint64) {
	t.Helper()
	want := reference(j, from, n)
	for _, e := range Engines() {
		got, err := j.Hits(e, from, n)
		if err != nil {
			t.Errorf("%s, %d octets, field %+v: %v", e, len(j.Input), j.Field, err)
		} else if !slices.Equal(got, want) {
			t.Errorf("%s, %d octets, field %+v, from %d: %d hits, want %d", e, len(j.Input), j.Field, from, len(got), len(want))
		}
	}
}

// RFC 3972 section 4, step 3: "Compare the 16*Sec leftmost bits of Hash2 with zero". Every engine finds the same modifiers
// as crypto/sha1, at every length of the input, thus at every edge of the padding, up to eight compressions, and for the
// longest keys and prefix sets.
func TestEnginesEveryLength(t *testing.T) {
	for n := headSize; n <= 8*blockSize; n++ {
		equal(t, Job{Input: random(8, n), Zeros: 5}, 0, 512)
	}
}

func TestEnginesKeys(t *testing.T) {
	for _, key := range []int{78, 162, 294, 422, 550} { // pseudo key, RSA of 1024, 2048, 3072, 4096 bits
		for prefixes := range 16 {
			n := headSize + key
			if prefixes > 0 {
				n += 8 + 8*prefixes // Multi-Prefix extension, RFC 5535 section 5
			}
			equal(t, Job{Input: random(9, n), Zeros: 5}, 0, 1024)
			data, f := ExtensionField(n)
			equal(t, Job{Input: random(10, n+extensionHead+data), Zeros: 5, Field: f}, 0, 1024)
			if f, ok := FreeField(headSize+25, headSize+25+48); key == 78 && ok {
				equal(t, Job{Input: random(11, n), Zeros: 5, Field: f}, 0, 1024)
			}
		}
	}
}

// The engines find what they shall in every lane and stream, and at every bit of the Gray code: one large unit.
func TestEnginesEveryLane(t *testing.T) {
	const unit = 18
	for _, f := range []Field{{Len: modifierSize}, {Offset: 64, Len: 16}, {Offset: 175, Len: 8}} {
		j, err := Job{Input: random(12, 183), Zeros: 6, Field: f}.normal()
		if err != nil {
			t.Fatal(err)
		}
		want := reference(j, 0, 1<<unit)
		p := newPlan(j)
		for _, e := range engines {
			var got []uint64
			seen := map[uint64]bool{}
			u := newUnitScanner(p, e, unit)
			for n := range uint64(2) {
				done, err := u.find(n, 0, 1<<unit, func() bool { return false }, func(d uint64) {
					got = append(got, d)
					seen[(d+u.before)%64] = true
				})
				if !done || err != nil {
					t.Fatalf("%s: %t, %v", e.name, done, err)
				}
			}
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("%s, field %+v: %d hits, want %d", e.name, f, len(got), len(want))
			}
			if len(seen) != 64 {
				t.Errorf("%s, field %+v: hits in %d of 64 lanes", e.name, f, len(seen))
			}
		}
	}
}

// A field may end anywhere in its word, and the count carries out of the word and wraps at the end of the field.
func TestEnginesFields(t *testing.T) {
	for _, f := range []Field{{Len: 16}, {Len: 15}, {Len: 14}, {Len: 13}, {Offset: 9, Len: 4}, {Offset: 12, Len: 4},
		{Offset: 177, Len: 4}, {Offset: 176, Len: 6}, {Offset: 175, Len: 8}, {Offset: 180, Len: 4}, {Offset: 120, Len: 64}, {Offset: 50, Len: 30}} {
		for _, start := range []byte{0x00, 0xff} {
			in := random(13, 250)
			field := in[f.Offset : f.Offset+f.Len]
			for i := range field {
				field[i] = start
			}
			field[f.Len-1] = 0xa3
			equal(t, Job{Input: in, Zeros: 5, Field: f}, 0, 1500)
			equal(t, Job{Input: in, Zeros: 5, Field: f}, 1<<20-700, 1500)
		}
	}
}

// A field whose end is in no word of a kernel is for the generic engine, and the default is an engine that can.
func TestEngineChoice(t *testing.T) {
	j := Job{Input: random(14, 250), Zeros: 4, Field: Field{Offset: 100, Len: 8}}
	s, err := New(j, Options{})
	if err != nil || s.Engine() != Generic {
		t.Errorf("engine %v, %v", s, err)
	}
	for _, e := range Engines() {
		_, err := New(j, Options{Engine: e})
		if (e == Generic) != (err == nil) || err != nil && !errors.Is(err, ErrEngine) {
			t.Errorf("%s: %v", e, err)
		}
	}
	j.Field = Field{}
	if s, err := New(j, Options{}); err != nil || s.Engine() != Engines()[0] {
		t.Errorf("modifier: %v, %v", s, err)
	}
	if _, err := New(j, Options{Engine: "abacus"}); !errors.Is(err, ErrEngine) {
		t.Errorf("unknown engine: %v", err)
	}
	if all := Engines(); all[len(all)-1] != Generic {
		t.Errorf("engines %v", all)
	}
}

// The wanted zeros are counted through the whole hash, the first word being the engines'.
func TestManyZeros(t *testing.T) {
	for seed := range byte(100) {
		in := random(seed, 187)
		in[0] = seed
		sum := sha1.Sum(in)
		zeros := 8*sha1.Size - new(big.Int).SetBytes(sum[:]).BitLen()
		for want := 1; want <= 160; want++ {
			if j := (Job{Zeros: want}); j.good(in) != (zeros >= want) {
				t.Errorf("%x has %d zeros, not %d: %t", sum, zeros, want, j.good(in))
			}
		}
	}
	for zeros, want := range map[int]uint32{1: 1 << 31, 16: 0xffff0000, 31: ^uint32(1), 32: ^uint32(0), 48: ^uint32(0)} {
		if got := (Job{Zeros: zeros}).mask(); got != want {
			t.Errorf("mask of %d zeros %08x, want %08x", zeros, got, want)
		}
	}
}

// lying is a scanner that reports what is no hit.
type lying struct{}

func (lying) scan(_ []byte, unit uint, _ func() bool, emit func(uint32)) bool {
	for i := range uint32(1) << unit {
		emit(i)
	}
	return true
}

// What crypto/sha1 does not confirm is never a result.
func TestBrokenEngine(t *testing.T) {
	defer func(all []*engine) { engines = all }(engines)
	engines = []*engine{{name: "lying", largest: 10, can: func(*plan) bool { return true }, scanner: func(*plan) scanner { return lying{} }}}
	j := Job{Input: random(16, 187), Zeros: 32}
	s, err := New(j, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var wrong *EngineError
	if r, err := s.Run(t.Context()); !errors.As(err, &wrong) || wrong.Engine != "lying" {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := j.Hits("lying", 0, 10); !errors.As(err, &wrong) {
		t.Errorf("Hits: %v", err)
	}
}

func FuzzEngines(f *testing.F) {
	f.Add([]byte("key"), []byte("0123456789abcdef"), uint16(0), uint16(16), uint32(0), uint8(4))
	f.Fuzz(func(t *testing.T, rest, modifier []byte, offset, length uint16, from uint32, zeros uint8) {
		in := make([]byte, headSize, headSize+len(rest))
		copy(in[:modifierSize], modifier)
		j := Job{Input: append(in, rest...), Zeros: int(zeros), Field: Field{Offset: int(offset), Len: int(length)}}
		j, err := j.normal()
		if err != nil {
			return
		}
		n := min(300, j.Limit-min(uint64(from), j.Limit))
		if n == 0 {
			return
		}
		want := fmt.Sprint(reference(j, uint64(from), n))
		for _, e := range Engines() {
			got, err := j.Hits(e, uint64(from), n)
			if errors.Is(err, ErrEngine) {
				continue
			}
			if err != nil || fmt.Sprint(got) != want {
				t.Errorf("%s: %v, %v, want %s", e, got, err, want)
			}
		}
	})
}

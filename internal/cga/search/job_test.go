// SPDX-License-Identifier: MIT

package search

import (
	"bytes"
	"errors"
	"math/big"
	"math/rand/v2"
	"testing"
)

// RFC 3972 section 4: "if the comparison fails, increment the modifier by one and go back to step 2".
func TestAdvance(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for n := 1; n <= maxField; n++ {
		for range 50 {
			b := random(byte(r.Uint32()), n)
			if r.IntN(2) == 0 {
				for i := range b {
					b[i] |= 0xff << r.IntN(2)
				}
			}
			by := r.Uint64() >> r.IntN(64)
			want := new(big.Int).SetBytes(b)
			want.Add(want, new(big.Int).SetUint64(by))
			want.Mod(want, new(big.Int).Lsh(big.NewInt(1), uint(8*n)))
			got := bytes.Clone(b)
			advance(got, by)
			if !bytes.Equal(got, want.FillBytes(make([]byte, n))) {
				t.Fatalf("%x + %d = %x, want %x", b, by, got, want)
			}
		}
	}
}

func TestJobErrors(t *testing.T) {
	bad := random(5, 187)
	bad[20] = 1
	for _, tt := range []struct {
		name string
		job  Job
	}{
		{"empty", Job{Zeros: 16}},
		{"short", Job{Input: make([]byte, headSize-1), Zeros: 16}},
		{"long", Job{Input: make([]byte, maxInput+1), Zeros: 16}},
		{"no zeros", Job{Input: random(5, 187)}},
		{"too many zeros", Job{Input: random(5, 187), Zeros: 161}},
		{"parameters in place of a Hash2 input", Job{Input: bad, Zeros: 16}},
		{"negative field", Job{Input: random(5, 187), Zeros: 16, Field: Field{Offset: -1, Len: 8}}},
		{"short field", Job{Input: random(5, 187), Zeros: 16, Field: Field{Offset: 40, Len: 3}}},
		{"long field", Job{Input: random(5, 187), Zeros: 16, Field: Field{Offset: 40, Len: 65}}},
		{"field behind the end", Job{Input: random(5, 187), Zeros: 16, Field: Field{Offset: 180, Len: 8}}},
		{"offset that overflows", Job{Input: random(5, 187), Zeros: 16, Field: Field{Offset: int(^uint(0) >> 1), Len: 8}}},
		{"field on the zeros", Job{Input: random(5, 187), Zeros: 16, Field: Field{Offset: 12, Len: 8}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := New(tt.job, Options{}); !errors.Is(err, ErrJob) {
				t.Errorf("New: %v", err)
			}
			if _, err := tt.job.Hits(Generic, 0, 1); !errors.Is(err, ErrJob) {
				t.Errorf("Hits: %v", err)
			}
			if _, err := tt.job.Shard(0, 1); !errors.Is(err, ErrJob) {
				t.Errorf("Shard: %v", err)
			}
			if _, err := tt.job.Candidate(0); !errors.Is(err, ErrJob) {
				t.Errorf("Candidate: %v", err)
			}
		})
	}
	j := Job{Input: random(5, 187), Zeros: 16, Limit: 100}
	if _, err := New(j, Options{From: 101}); !errors.Is(err, ErrJob) {
		t.Errorf("position behind the limit: %v", err)
	}
	if _, err := j.Hits(Generic, 50, 51); !errors.Is(err, ErrJob) {
		t.Errorf("hits behind the limit: %v", err)
	}
	for _, shard := range [][2]int{{-1, 2}, {2, 2}, {0, 0}} {
		if _, err := j.Shard(shard[0], shard[1]); !errors.Is(err, ErrJob) {
			t.Errorf("shard %v: %v", shard, err)
		}
	}
}

// The shards of a field of 32 bits, four modifiers to each value, are next to each other and cover it but for the remainder.
func TestShard(t *testing.T) {
	whole := Job{Input: random(6, 187), Zeros: 16, Field: Field{Offset: 100, Len: 4}}
	const n = 7
	const part = uint64(1<<32/n) * 4
	for i := range n {
		s, err := whole.Shard(i, n)
		if err != nil {
			t.Fatal(err)
		}
		if s.Limit != part {
			t.Errorf("shard %d has %d candidates, want %d", i, s.Limit, part)
		}
		want, err := whole.Candidate(uint64(i) * part)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(s.Input, want) {
			t.Errorf("shard %d starts at %x, want %x", i, s.Input[100:104], want[100:104])
		}
	}
	s, err := Job{Input: random(6, 187), Zeros: 16}.Shard(1, 2)
	if err != nil {
		t.Fatal(err)
	}
	want := random(6, 187)
	want[0] += 0x80
	if !bytes.Equal(s.Input, want) || s.Limit != maxDistance {
		t.Errorf("second half of the modifiers: %x, limit %d", s.Input[:16], s.Limit)
	}
}

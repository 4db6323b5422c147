// SPDX-License-Identifier: MIT

package search

import (
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"math/bits"
)

const (
	modifierSize = 16
	headSize     = modifierSize + 9 // with the zeros in place of prefix and collision count
	maxInput     = 1 << 16
	maxField     = 64
	// maxDistance bounds a search: what no machine counts to, and small enough to be added to.
	maxDistance = 1 << 62
)

// ErrJob is what a job that makes no sense gives.
var ErrJob = errors.New("bad search job")

// A Field is the octets of an input that a search counts up, as one big-endian number that wraps. The zero Field is the
// modifier, the first 16 octets. A field behind the modifier has the last two bits of the modifier as the lowest digits of
// its number: four blocks before the field serve four candidates that have one block with the field in common.
type Field struct {
	Offset int
	Len    int // 4 to 64
}

// A Job is what to search.
type Job struct {
	Input []byte // Hash2 input: modifier, nine zero octets, public key, extensions; its field is where the count starts
	Zeros int    // wanted leading zero bits, 1 to 160; 16*Sec
	Field Field
	Limit uint64 // number of candidates that belong to the job, 0 for all that the field has, at most 2^62
}

// normal checks j and gives it with its defaults filled in.
func (j Job) normal() (Job, error) {
	if j.Field == (Field{}) {
		j.Field = Field{Len: modifierSize}
	}
	f := j.Field
	switch n := len(j.Input); {
	case n < headSize || n > maxInput:
		return j, fmt.Errorf("%w: input of %d octets, want %d to %d", ErrJob, n, headSize, maxInput)
	case j.Zeros < 1 || j.Zeros > 8*sha1.Size:
		return j, fmt.Errorf("%w: %d zero bits wanted, not 1 to %d", ErrJob, j.Zeros, 8*sha1.Size)
	case [headSize - modifierSize]byte(j.Input[modifierSize:]) != [headSize - modifierSize]byte{}:
		return j, fmt.Errorf("%w: octets %d to %d of the input are not zero", ErrJob, modifierSize, headSize-1)
	case f.Len < 4 || f.Len > maxField || f.Offset < 0 || f.Offset > n-f.Len:
		return j, fmt.Errorf("%w: field of %d octets at %d of %d", ErrJob, f.Len, f.Offset, n)
	case f.Offset < headSize && f.Offset+f.Len > modifierSize:
		return j, fmt.Errorf("%w: field of %d octets at %d is not free to change", ErrJob, f.Len, f.Offset)
	}
	most := uint64(maxDistance)
	if f.Len < 8 {
		most = 1 << (8*f.Len + j.spread())
	}
	if j.Limit == 0 || j.Limit > most {
		j.Limit = most
	}
	return j, nil
}

// spread is the logarithm of the number of modifiers that share a value of the field.
func (j Job) spread() int {
	if j.Field.Offset < headSize {
		return 0
	}
	return 2
}

// count moves an input on by a distance.
func (j Job) count(input []byte, distance uint64) {
	field := input[j.Field.Offset : j.Field.Offset+j.Field.Len]
	if j.spread() > 0 {
		last := &input[modifierSize-1]
		low := uint64(*last&3) + distance&3
		*last = *last&^3 | byte(low&3)
		distance = distance>>2 + low>>2
	}
	advance(field, distance)
}

// Candidate gives the input at a distance from the start of j.
func (j Job) Candidate(distance uint64) ([]byte, error) {
	j, err := j.normal()
	if err != nil {
		return nil, err
	}
	return j.candidate(distance), nil
}

func (j Job) candidate(distance uint64) []byte {
	in := append([]byte(nil), j.Input...)
	j.count(in, distance)
	return in
}

// good tells whether Hash2 of an input has the wanted zeros. It is the standard library's word on every candidate.
func (j Job) good(input []byte) bool {
	sum := sha1.Sum(input)
	zeros := 0
	for _, b := range sum {
		zeros += bits.LeadingZeros8(b)
		if b != 0 {
			break
		}
	}
	return zeros >= j.Zeros
}

// mask has the bits of the first word of Hash2 that must be zero.
func (j Job) mask() uint32 {
	return ^uint32(0) << max(32-j.Zeros, 0)
}

// Shard gives part i, from 0, of j cut in n parts that have no candidate in common. The parts of one job need no
// coordinator: each starts a 1/n of the field further on.
func (j Job) Shard(i, n int) (Job, error) {
	j, err := j.normal()
	if err != nil {
		return j, err
	}
	if n < 1 || i < 0 || i >= n {
		return j, fmt.Errorf("%w: shard %d of %d", ErrJob, i, n)
	}
	whole := new(big.Int).Lsh(big.NewInt(1), uint(8*j.Field.Len))
	part := new(big.Int).Div(whole, big.NewInt(int64(n)))
	in := append([]byte(nil), j.Input...)
	field := in[j.Field.Offset : j.Field.Offset+j.Field.Len]
	start := new(big.Int).SetBytes(field)
	start.Add(start, new(big.Int).Mul(part, big.NewInt(int64(i))))
	start.Mod(start, whole).FillBytes(field)
	j.Input = in
	if part.IsUint64() {
		if p := part.Uint64(); p < maxDistance>>j.spread() {
			j.Limit = min(j.Limit, p<<j.spread())
		}
	}
	return j, nil
}

// advance counts a big-endian number up, wrapping at its end.
func advance(b []byte, n uint64) {
	for i := len(b) - 8; ; i -= 8 {
		if i < 0 {
			var word [8]byte
			copy(word[-i:], b[:8+i])
			binary.BigEndian.PutUint64(word[:], binary.BigEndian.Uint64(word[:])+n)
			copy(b[:8+i], word[-i:])
			return
		}
		sum, carry := bits.Add64(binary.BigEndian.Uint64(b[i:]), n, 0)
		binary.BigEndian.PutUint64(b[i:], sum)
		if n = carry; n == 0 || i == 0 {
			return
		}
	}
}

// SPDX-License-Identifier: MIT

package search

import (
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
)

// random gives n octets that are the same in every run, with the nine zeros of a Hash2 input.
func random(seed byte, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{seed, byte(n), byte(n >> 8)}).Read(b)
	if n >= headSize {
		clear(b[modifierSize:headSize])
	}
	return b
}

// A message is padded to whole blocks, and hashing these block by block is SHA-1, at every length around the edges.
func TestPadChain(t *testing.T) {
	for n := range 200 {
		message := random(1, n)
		want := sha1.Sum(message)
		blocks := pad(message)
		if len(blocks)%blockSize != 0 || !bytes.HasPrefix(blocks, message) {
			t.Fatalf("%d octets are padded to %d", n, len(blocks))
		}
		var got []byte
		for _, v := range chain(blocks) {
			got = binary.BigEndian.AppendUint32(got, v)
		}
		if !bytes.Equal(got, want[:]) {
			t.Errorf("%d octets: hash %x, want %x", n, got, want)
		}
	}
}

// The schedule is linear: it can be moved from any word to any other by the deltas.
func TestDeltas(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for word := range 16 {
		d := newDeltas(word)
		block := random(2, blockSize)
		var w, want schedule
		w.expand(block)
		y := r.Uint32()
		d.add(&w, y)
		binary.BigEndian.PutUint32(block[4*word:], binary.BigEndian.Uint32(block[4*word:])^y)
		want.expand(block)
		if w != want {
			t.Errorf("word %d: the schedules differ", word)
		}
		for i := range 16 {
			if d.varies(i) != (i == word) {
				t.Errorf("word %d: schedule word %d varies: %t", word, i, d.varies(i))
			}
		}
		if d[32] != (schedule{}) {
			t.Errorf("word %d: the last row is not zero", word)
		}
	}
}

func ExampleExtensionField() {
	// The Hash2 input of an RSA key of 1024 bits is 187 octets long.
	data, field := ExtensionField(187)
	fmt.Println(data, field.Offset, field.Len)
	// Output: 56 239 8
}

// SPDX-License-Identifier: MIT

package search

import (
	"crypto/sha1"
	"encoding"
	"encoding/binary"
	"hash"
)

// A stdScanner is the scanner over crypto/sha1. It hashes the blocks before that of the word once for each unit.
type stdScanner struct {
	*plan
	sum   [sha1.Size]byte
	hash  hash.Hash
	state []byte // of hash behind the first blocks; empty when there are none
}

func newStdScanner(p *plan) scanner {
	return &stdScanner{plan: p, hash: sha1.New()}
}

func (s *stdScanner) scan(message []byte, unit uint, stop func() bool, emit func(uint32)) bool {
	head := s.block * blockSize
	rest := message[head:len(s.Input)]
	spread := s.spread()
	// Near the end of the input the word is shorter than four octets, so it is written where the padding has room.
	word := message[head+4*s.word:]
	start := binary.BigEndian.Uint32(word)
	mask := s.mask()
	chunk := uint32(s.chunk())
	modifier := message[modifierSize-1]
	for low := range uint32(1) << spread {
		message[modifierSize-1] = modifier | byte(low)
		if head > 0 {
			s.hash.Reset()
			s.hash.Write(message[:head])
			s.state, _ = s.hash.(encoding.BinaryAppender).AppendBinary(s.state[:0])
		}
		for i := range uint32(1) << (int(unit) - spread) {
			if i%chunk == 0 && stop() {
				return false
			}
			binary.BigEndian.PutUint32(word, start+i<<s.shift)
			if s.first(rest)&mask == 0 {
				emit(i<<spread | low)
			}
		}
		binary.BigEndian.PutUint32(word, start)
	}
	return true
}

// first gives the first word of the hash.
func (s *stdScanner) first(rest []byte) uint32 {
	if len(s.state) == 0 {
		s.sum = sha1.Sum(rest)
	} else {
		s.hash.(encoding.BinaryUnmarshaler).UnmarshalBinary(s.state)
		s.hash.Write(rest)
		s.hash.Sum(s.sum[:0])
	}
	return binary.BigEndian.Uint32(s.sum[:])
}

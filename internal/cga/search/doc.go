// SPDX-License-Identifier: MIT

// Package search finds the input of Hash2 (RFC 3972 section 3, RFC 5535 section 6) that begins with enough zero bits. It
// knows octets only: a Job is the input and the octets of it that may be counted up, most often the modifier. The result
// is the first candidate in counting order, whatever the engine, the number of threads, or the interruptions, and
// crypto/sha1 has confirmed it.
//
// The vector engines vary one 32-bit word of the input. The message schedule is linear over GF(2) in that word, so the
// lanes of a vector are a table, and the next step, in the order of a Gray code, is one more exclusive or. Blocks behind
// the word have schedules that never change, and blocks before it are hashed once.
//
// With a key of 1024 bits the AVX-512 engine takes 65.2 cycles for a trial on an Intel processor with two 512-bit units,
// 45.1 million trials a second at 2.94 GHz; its 2017 instructions for 16 lanes bound it to 63.0. A ratio of 18 to
// crypto/sha1 was seen on a Zen 5, which has four such units.
package search

//go:generate go run ./gen

// SPDX-License-Identifier: MIT

// Package search finds the input of Hash2 (RFC 3972 section 3, RFC 5535 section 6) that begins with enough zero bits. It
// knows octets only: a Job is the input and the octets of it that may be counted up, most often the modifier. The result
// is the first candidate in counting order, whatever the engine, the number of threads, or the interruptions, and
// crypto/sha1 has confirmed it.
//
// The vector engines vary one 32-bit word of the input. The message schedule is linear over GF(2) in that word, so the
// lanes of a vector are a table, and the next step, in the order of a Gray code, is one more exclusive or. Blocks behind
// the word have schedules that never change, and blocks before it are hashed once.
package search

//go:generate go run ./gen

// SPDX-License-Identifier: MIT

package engine

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"time"
)

// A limitKind is one thing that is limited for each source.
type limitKind byte

const (
	limitR1 limitKind = iota
	limitVerify
	limitRecovery
	limitError
	limitKinds
)

// limitBurst is how many seconds' worth may come at once.
const limitBurst = 2

const limitSlots = 1024

// A limiter holds token buckets for source /64 prefixes. Its size is fixed: prefixes share the buckets by a keyed hash, so
// that nobody can choose whom to share with.
type limiter struct {
	key   [16]byte
	start time.Time
	rates [limitKinds]int // per second
	whole [limitKinds][limitSlots]time.Duration
}

func newLimiter(rng *rand.Rand, l Limits) *limiter {
	m := &limiter{}
	m.set(l)
	binary.BigEndian.PutUint64(m.key[:], rng.Uint64())
	binary.BigEndian.PutUint64(m.key[8:], rng.Uint64())
	return m
}

// set changes the rates.
func (m *limiter) set(l Limits) {
	m.rates = [limitKinds]int{
		limitR1: l.R1Rate, limitVerify: l.VerifyRate, limitRecovery: l.RecoveryRate, limitError: l.ErrorRate,
	}
}

// allow takes one from the bucket of src. A bucket is kept as the time at which it is full again.
func (m *limiter) allow(now time.Time, k limitKind, src netip.Addr) bool {
	if m.start.IsZero() {
		m.start = now
	}
	each := time.Second / time.Duration(m.rates[k])
	whole := &m.whole[k][m.slot(src)]
	at := now.Sub(m.start)
	if *whole-at > limitBurst*time.Second-each {
		return false
	}
	*whole = max(*whole, at) + each
	return true
}

func (m *limiter) slot(src netip.Addr) uint64 {
	a := src.As16()
	sum := sha256.Sum256(append(m.key[:], a[:8]...))
	return binary.BigEndian.Uint64(sum[:]) % limitSlots
}

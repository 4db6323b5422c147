// SPDX-License-Identifier: MIT

package cga

import (
	"context"
	"crypto/rand"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"runtime"
	"sync"
)

// batch is how many modifiers a worker tries between two looks at the context: a few milliseconds with the longest key
// on a slow machine, so that a cancelled search ends at once.
const batch = 2048

// GenerateOptions say what Generate is to make.
type GenerateOptions struct {
	PublicKey  []byte // DER SubjectPublicKeyInfo
	Prefix     [8]byte
	Sec        uint8        // 0 to MaxSec
	Modifier   *[16]byte    // first modifier to try; nil for a random one
	Extensions []Extension  // in this order
	Threads    int          // workers, 0 for one on each processor
	Progress   func(uint64) // told the number of modifiers tried so far, never concurrently; may be nil
}

// Generate searches the modifier of a CGA Parameters data structure (RFC 3972 section 4, steps 1 to 4) and gives the
// structure with collision count 0. It takes the first modifier, counted up from the start and wrapping at 2^128, whose
// Hash2 has 16*Sec leading zero bits, whatever the number of workers. Sec 0 takes the start as it is. The search of Sec 1
// tries 2^16 modifiers on average, that of Sec 2 2^32, and no number of tries is sure to be enough; a done ctx ends it with
// its cause within milliseconds.
func Generate(ctx context.Context, o GenerateOptions) (*Params, error) {
	if o.Sec > MaxSec {
		return nil, fmt.Errorf("%w: %d, at most %d is assigned", ErrUnsupportedSec, o.Sec, MaxSec)
	}
	p := &Params{Prefix: o.Prefix, PublicKey: o.PublicKey, Extensions: o.Extensions}
	if err := p.check(); err != nil {
		return nil, err
	}
	if o.Modifier != nil {
		p.Modifier = *o.Modifier
	} else {
		rand.Read(p.Modifier[:])
	}
	if o.Sec > 0 {
		j := job{input: p.with([8]byte{}, 0).Marshal(), sec: o.Sec}
		m, err := j.search(ctx, o.Threads, o.Progress)
		if err != nil {
			return nil, err
		}
		p.Modifier = m
	}
	addr, err := p.Address(o.Sec)
	if err != nil {
		return nil, err
	}
	if err := Verify(addr, p); err != nil {
		return nil, fmt.Errorf("the modifier that was found does not verify: %w", err)
	}
	return p, nil
}

// A job is a search. Its input is that of Hash2, and the modifier in it is the start.
type job struct {
	input []byte
	sec   uint8
}

// A scanner tries modifiers one after another. Each worker has its own.
type scanner interface {
	// scan tries n modifiers from start on and gives the distance of the first good one from start.
	scan(start [16]byte, n uint64) (distance uint64, found bool)
}

func newScanner(j job) scanner {
	return newStdScanner(j)
}

var errExhausted = errors.New("no modifier found in 2^64 tries")

// search hands out consecutive batches to the workers. A hit ends the search, but only after all earlier batches are
// done, so that the lowest distance wins.
func (j job) search(ctx context.Context, threads int, progress func(uint64)) ([16]byte, error) {
	if threads <= 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	start := [16]byte(j.input[:16])
	var (
		mu     sync.Mutex
		next   uint64 // distance of the next batch from start
		tried  uint64
		best   uint64
		found  bool
		worker sync.WaitGroup
	)
	take := func() (from uint64, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		if found || ctx.Err() != nil || next+batch < next {
			return 0, false
		}
		from = next
		next += batch
		return from, true
	}
	report := func(from, distance uint64, hit bool) {
		mu.Lock()
		defer mu.Unlock()
		tried += batch
		if hit {
			tried += distance + 1 - batch
			if d := from + distance; !found || d < best {
				best, found = d, true
			}
		}
		if progress != nil {
			progress(tried)
		}
	}
	for range threads {
		s := newScanner(j)
		worker.Go(func() {
			for {
				from, ok := take()
				if !ok {
					return
				}
				distance, hit := s.scan(advance(start, from), batch)
				report(from, distance, hit)
			}
		})
	}
	worker.Wait()
	switch {
	case found:
		return advance(start, best), nil
	case ctx.Err() != nil:
		return start, context.Cause(ctx)
	}
	return start, errExhausted
}

// A stdScanner is the scanner over crypto/sha1.
type stdScanner struct {
	input []byte
	mask  uint32 // of the first 32 bits of Hash2: those that must be zero
}

func newStdScanner(j job) *stdScanner {
	return &stdScanner{input: append([]byte(nil), j.input...), mask: ^uint32(0) << (32 - 16*j.sec)}
}

func (s *stdScanner) scan(start [16]byte, n uint64) (uint64, bool) {
	m := s.input[:16]
	copy(m, start[:])
	for i := range n {
		sum := sha1.Sum(s.input)
		if binary.BigEndian.Uint32(sum[:])&s.mask == 0 {
			return i, true
		}
		next := advance([16]byte(m), 1)
		copy(m, next[:])
	}
	return 0, false
}

// advance counts a modifier up, modulo 2^128.
func advance(m [16]byte, n uint64) [16]byte {
	lo, carry := bits.Add64(binary.BigEndian.Uint64(m[8:]), n, 0)
	binary.BigEndian.PutUint64(m[8:], lo)
	binary.BigEndian.PutUint64(m[:], binary.BigEndian.Uint64(m[:])+carry)
	return m
}

// SPDX-License-Identifier: MIT

package wire_test

import (
	"bytes"
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"shim6/daemon/wire"
)

var (
	executions = flag.Uint64("n", 200_000, "how many mutated messages TestMutatedMessages parses")
	firstBatch = flag.Uint64("first", 0, "the first batch of these; -n and -first may continue an earlier run")
)

const batch = 10_000 // messages with the same random numbers

// TestMutatedMessages is FuzzParse without coverage and so much quicker: well-formed messages, and what FuzzParse found worth
// keeping, mutated at random; most have a length and a checksum that are right.
func TestMutatedMessages(t *testing.T) {
	corpus := seeds(t)
	var next, parsed, done atomic.Uint64
	var wg sync.WaitGroup
	begin := time.Now()
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			buf := make([]byte, 0, 4096)
			for !t.Failed() {
				k := next.Add(1) - 1
				if k*batch >= *executions {
					return
				}
				rng := rand.New(rand.NewPCG(*firstBatch+k, 2))
				n := min(batch, *executions-k*batch)
				for i := range n {
					buf = mutate(rng, append(buf[:0], corpus[rng.IntN(len(corpus))]...), corpus)
					good, err := quickRoundTrip(buf)
					if err == nil && i%512 == 0 {
						roundTrip(t, buf)
					}
					if err != nil {
						t.Errorf("batch %d: %x: %v", *firstBatch+k, buf, err)
						return
					}
					if good {
						parsed.Add(1)
					}
				}
				done.Add(n)
			}
		})
	}
	wg.Wait()
	d := time.Since(begin)
	t.Logf("batches %d to %d: %d messages in %v, %.0f a second; %d of them well-formed", *firstBatch,
		*firstBatch+(*executions+batch-1)/batch-1, done.Load(), d.Round(time.Second), float64(done.Load())/d.Seconds(), parsed.Load())
	if parsed.Load() < done.Load()/20 {
		t.Errorf("only %d of %d messages were well-formed", parsed.Load(), done.Load())
	}
}

// seeds gives the messages of testdata and the corpus of FuzzParse.
func seeds(t *testing.T) [][]byte {
	var all [][]byte
	for name := range messages {
		all = append(all, load(t, name))
	}
	all = append(all, load(t, "payload"))
	files, err := filepath.Glob("testdata/fuzz/FuzzParse/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no corpus: %v", err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		_, value, _ := strings.Cut(string(b), "[]byte(")
		s, err := strconv.Unquote(strings.TrimSuffix(strings.TrimSpace(value), ")"))
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		if len(s) >= 8 {
			all = append(all, []byte(s))
		}
	}
	slices.SortFunc(all, bytes.Compare) // equal seeds give equal messages: maps have no order
	return all
}

// mutate changes a message in one to four places.
func mutate(rng *rand.Rand, b []byte, corpus [][]byte) []byte {
	for range 1 + rng.IntN(4) {
		if len(b) < 8 {
			b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)
		}
		i := rng.IntN(len(b))
		block := i &^ 7
		switch rng.IntN(9) {
		case 0, 1:
			b[i] ^= 1 << rng.IntN(8)
		case 2:
			b[i] = byte(rng.Uint32())
		case 3:
			b[i] = []byte{0, 1, 7, 8, 0x7f, 0x80, 0xff}[rng.IntN(7)]
		case 4: // eight octets more, which is what all lengths are counted in
			b = append(b[:block], append(make([]byte, 8, 8+len(b)-block), b[block:]...)...)
		case 5:
			b = append(b[:block], b[min(block+8, len(b)):]...)
		case 6: // another message's end
			other := corpus[rng.IntN(len(corpus))]
			b = append(b[:block], other[min(rng.IntN(len(other))&^7, len(other)):]...)
		case 7: // the type of an option and its length
			if i = block; i+4 <= len(b) {
				b[i], b[i+1] = 0, byte(2*rng.IntN(12))+byte(rng.IntN(8)/7)
				b[i+2], b[i+3] = 0, byte(rng.IntN(80))
			}
		case 8:
			b = b[:i]
		}
	}
	if len(b) >= 8 && rng.IntN(16) > 0 {
		if rng.IntN(8) > 0 {
			b[1] = byte(min(len(b)/8-1, 255))
		}
		b[3] &^= 1
		sign(b)
	}
	return b
}

// quickRoundTrip is roundTrip but for the comparison of messages: what they marshal to is compared.
func quickRoundTrip(b []byte) (good bool, err error) {
	m, err := wire.Parse(b)
	if err != nil {
		var pe *wire.ParseError
		if !errors.As(err, &pe) || m != nil || pe.Pointer < 0 || pe.Pointer > len(b) {
			return false, err
		}
		return false, nil
	}
	b = b[:(int(b[1])+1)*8]
	out, err := wire.Marshal(m)
	if err != nil {
		if len(b) > wire.MaxControl {
			return true, nil
		}
		return false, err
	}
	if len(out) > len(b) {
		return false, errors.New("grew")
	}
	again, err := wire.Parse(out)
	if err != nil {
		return false, err
	}
	twice, err := wire.Marshal(again)
	switch {
	case err != nil:
		return false, err
	case !bytes.Equal(out, twice):
		return false, errors.New("is another message the second time")
	case len(b) <= wire.MaxControl && !bytes.Equal(out, b) && canonical(b):
		return false, errors.New("came back as other octets")
	}
	return true, nil
}

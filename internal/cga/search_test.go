// SPDX-License-Identifier: MIT

package cga

import (
	"context"
	"crypto/sha1"
	"errors"
	"math/big"
	"strings"
	"testing"
)

// searchVectors start at a known modifier; trials counts the modifiers tried in order.
var searchVectors = []struct {
	name       string
	start, key string
	extensions []Extension
	want       string
	trials     uint64
}{
	{"RFC 3972 appendix A", rfcStart, rfcKeyHex, nil, rfcModifier, 2},
	{"1024 bits", countedStart, signerHex, nil, "000102030405060708090a0b0c0ebb21", 109843},
	{"LinShim6 HBA", "89a8a8b2e858d8b8f2633f44d2d7c361", rawKeyHex, []Extension{{0x0012, unhex(threePrefixes[8:])}},
		"89a8a8b2e858d8b8f2633f44d2d7c362", 2},
	{"HBA without key", "89a8a8b2e858d8b8f2633f44d2d7c361", nonceKeyHex, []Extension{{0x0012, unhex(threePrefixes[8:])}},
		"89a8a8b2e858d8b8f2633f44d2d9bd90", 129584},
	{"HBA of two prefixes", countedStart, nonceKeyHex, []Extension{{0x0012, unhex("00000000" + ab)}},
		"000102030405060708090a0b0c0dd9bc", 52142},
	{"HBA with key", countedStart, rfcKeyHex, []Extension{{0x0012, unhex("80000000" + ab)}},
		"000102030405060708090a0b0c0e66e7", 88281},
}

func TestGenerateVectors(t *testing.T) {
	for _, tt := range searchVectors {
		t.Run(tt.name, func(t *testing.T) {
			for _, threads := range []int{1, 2, 7} {
				var trials uint64
				p, err := Generate(t.Context(), GenerateOptions{
					PublicKey: unhex(tt.key), Prefix: prefix("2001:db8::"), Sec: 1, Modifier: modifier(tt.start),
					Extensions: tt.extensions, Threads: threads, Progress: func(n uint64) { trials = n },
				})
				if err != nil {
					t.Fatal(err)
				}
				if p.Modifier != *modifier(tt.want) || p.CollisionCount != 0 || p.Prefix != prefix("2001:db8::") {
					t.Errorf("%d threads: modifier %x, collision count %d, prefix %x", threads, p.Modifier, p.CollisionCount, p.Prefix)
				}
				if threads == 1 && trials != tt.trials {
					t.Errorf("%d trials, want %d", trials, tt.trials)
				}
				if p.Strength() < 1 {
					t.Errorf("%d threads: hash2 %x", threads, p.Hash2())
				}
			}
		})
	}
}

// RFC 3972 section 4, step 2: "If Sec=0, the process may skip steps 2 and 3"; the modifier stays random all the same.
func TestGenerateSec0(t *testing.T) {
	o := GenerateOptions{PublicKey: unhex(signerHex), Prefix: prefix("2001:db8:1:2::"), Modifier: modifier(countedStart),
		Progress: func(uint64) { t.Error("there was a search") }}
	p, err := Generate(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if a, err := p.Address(0); err != nil || a.String() != "2001:db8:1:2:18a2:c956:a51d:e727" {
		t.Errorf("got %v, %v", a, err)
	}
	seen := make(map[[16]byte]bool)
	for range 8 {
		o.Modifier = nil
		p, err := Generate(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		seen[p.Modifier] = true
	}
	if len(seen) != 8 {
		t.Errorf("%d modifiers in 8 runs", len(seen))
	}
}

func TestGenerateRandomStart(t *testing.T) {
	seen := make(map[[16]byte]bool)
	for range 3 {
		p, err := Generate(t.Context(), GenerateOptions{PublicKey: unhex(signerHex), Sec: 1})
		if err != nil {
			t.Fatal(err)
		}
		if h := p.Hash2(); h[0] != 0 || h[1] != 0 {
			t.Errorf("hash2 %x", h)
		}
		seen[p.Modifier] = true
	}
	if len(seen) != 3 {
		t.Errorf("%d modifiers in 3 runs", len(seen))
	}
}

func TestGenerateRefuses(t *testing.T) {
	key := unhex(signerHex)
	for _, tt := range []struct {
		name   string
		o      GenerateOptions
		detail string
	}{
		{"Sec 3", GenerateOptions{PublicKey: key, Sec: 3}, "unsupported Sec value: 3"},
		{"no key", GenerateOptions{}, "public key"},
		{"octets after the key", GenerateOptions{PublicKey: append(unhex(signerHex), 0)}, "1 octets follow"},
		{"long extension", GenerateOptions{PublicKey: key, Extensions: []Extension{{Data: make([]byte, 65536)}}}, "extension 0"},
		{"too long", GenerateOptions{PublicKey: key, Extensions: []Extension{{Data: make([]byte, 65535)}}}, "at most 65535"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Generate(t.Context(), tt.o); err == nil || !strings.Contains(err.Error(), tt.detail) {
				t.Errorf("got %v, want %q", err, tt.detail)
			}
		})
	}
}

// A search that is cancelled finishes the batches that are under way and no more.
func TestGenerateCancel(t *testing.T) {
	const threads = 3
	stop := errors.New("stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	calls, after := 0, 0
	// A key that no batch of the first 40 has a Sec-2 modifier for; the search would take minutes.
	_, err := Generate(ctx, GenerateOptions{
		PublicKey: unhex(signerHex), Sec: 2, Modifier: modifier(countedStart), Threads: threads,
		Progress: func(uint64) {
			if calls++; calls == 10 {
				cancel(stop)
			} else if calls > 10 {
				after++
			}
		},
	})
	wantErr(t, err, stop)
	if after > threads-1 {
		t.Errorf("%d batches after the cancellation, want at most %d", after, threads-1)
	}
}

func TestGenerateWithDoneContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Generate(ctx, GenerateOptions{PublicKey: unhex(signerHex), Sec: 1})
	wantErr(t, err, context.Canceled)
}

// The modifier is one 128-bit number, and counts modulo 2^128.
func TestAdvance(t *testing.T) {
	mod := new(big.Int).Lsh(big.NewInt(1), 128)
	for _, start := range []string{
		countedStart, "000000000000000000000000000000ff", "0000000000000000ffffffffffffffff",
		"00ffffffffffffffffffffffffffffff", "ffffffffffffffffffffffffffffffff",
	} {
		for _, n := range []uint64{0, 1, 255, 2048, 1 << 63, 1<<64 - 1} {
			want := new(big.Int).SetBytes(unhex(start))
			want.Add(want, new(big.Int).SetUint64(n)).Mod(want, mod)
			got := advance(*modifier(start), n)
			if new(big.Int).SetBytes(got[:]).Cmp(want) != 0 {
				t.Errorf("%s + %d: got %x, want %x", start, n, got, want)
			}
		}
	}
}

// A search that wraps finds what counting with big numbers finds.
func TestSearchWraps(t *testing.T) {
	start := strings.Repeat("f", 28) + "fff0"
	p := &Params{Modifier: *modifier(start), PublicKey: unhex(signerHex)}
	j := job{input: p.Marshal(), sec: 1}
	got, err := j.search(t.Context(), 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	m := new(big.Int).SetBytes(unhex(start))
	mod := new(big.Int).Lsh(big.NewInt(1), 128)
	in := p.Marshal()
	for {
		m.FillBytes(in[:16])
		if sum := sha1.Sum(in); sum[0] == 0 && sum[1] == 0 {
			break
		}
		m.Add(m, big.NewInt(1)).Mod(m, mod)
	}
	if want := [16]byte(in[:16]); got != want {
		t.Errorf("got %x, want %x", got, want)
	}
	if got[0] != 0 {
		t.Errorf("the search did not wrap: %x", got)
	}
}

func BenchmarkScan(b *testing.B) {
	s := newStdScanner(job{input: (&Params{PublicKey: unhex(signerHex)}).Marshal(), sec: 2})
	for b.Loop() {
		s.scan([16]byte{}, batch)
	}
	b.ReportMetric(float64(b.N)*batch/b.Elapsed().Seconds(), "trials/s")
}

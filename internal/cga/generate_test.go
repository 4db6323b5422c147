// SPDX-License-Identifier: MIT

package cga

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"shim6/internal/cga/search"
)

// searchVectors start at a known modifier.
var searchVectors = []struct {
	name       string
	start, key string
	extensions []Extension
	set        [][8]byte
	nonce      bool
	want       string
	position   uint64 // distance of the result from the start
}{
	{"RFC 3972 appendix A", rfcStart, rfcKeyHex, nil, nil, false, rfcModifier, 1},
	{"1024 bits", countedStart, signerHex, nil, nil, false, "000102030405060708090a0b0c0ebb21", 109842},
	{"LinShim6 HBA", "89a8a8b2e858d8b8f2633f44d2d7c361", rawKeyHex, nil,
		prefixes("fe80::", "2001:688:1f99:1::", "2001:660:7301:1::"), true, "89a8a8b2e858d8b8f2633f44d2d7c362", 1},
	{"HBA without key", "89a8a8b2e858d8b8f2633f44d2d7c361", nonceKeyHex, nil,
		prefixes("fe80::", "2001:688:1f99:1::", "2001:660:7301:1::"), true, "89a8a8b2e858d8b8f2633f44d2d9bd90", 129583},
	{"HBA of two prefixes", countedStart, nonceKeyHex, nil,
		prefixes("2001:db8:a:1::", "2001:db8:b:1::"), true, "000102030405060708090a0b0c0dd9bc", 52141},
	{"HBA with key", countedStart, rfcKeyHex, nil,
		prefixes("2001:db8:a:1::", "2001:db8:b:1::"), false, "000102030405060708090a0b0c0e66e7", 88280},
	{"HBA with key, extension given", countedStart, rfcKeyHex, []Extension{{0x0012, unhex("80000000" + ab)}}, nil,
		false, "000102030405060708090a0b0c0e66e7", 88280},
}

func TestGenerateVectors(t *testing.T) {
	for _, tt := range searchVectors {
		t.Run(tt.name, func(t *testing.T) {
			for _, engine := range append(search.Engines(), "") {
				o := GenerateOptions{
					PublicKey: unhex(tt.key), Prefix: prefix("2001:db8::"), Sec: 1, Modifier: modifier(tt.start),
					Extensions: tt.extensions, Set: tt.set, Nonce: tt.nonce, Engine: engine, Threads: 2,
				}
				if tt.set != nil {
					o.Prefix = tt.set[0]
				}
				if tt.extensions != nil {
					o.Prefix = prefix("2001:db8:a:1::")
				}
				s, err := NewSearch(o)
				if err != nil {
					t.Fatal(err)
				}
				p, err := s.Run(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if p.Modifier != *modifier(tt.want) || p.CollisionCount != 0 || p.Prefix != o.Prefix {
					t.Errorf("%s: modifier %x, collision count %d, prefix %x", engine, p.Modifier, p.CollisionCount, p.Prefix)
				}
				if p.Strength() < 1 {
					t.Errorf("%s: hash2 %x", engine, p.Hash2())
				}
				st := s.Stats()
				if engine != "" && st.Engine != engine || st.Threads != min(2, runtime.GOMAXPROCS(0)) || st.Trials <= tt.position || st.Elapsed <= 0 {
					t.Errorf("%s: %+v", engine, st)
				}
				// The same search from its position on, and from right behind the result.
				if o.From = st.Position; o.From > tt.position {
					t.Errorf("position %d is behind the result", o.From)
				}
				if again, err := Generate(t.Context(), o); err != nil || again.Modifier != p.Modifier {
					t.Errorf("%s: from %d on it finds another or %v", engine, o.From, err)
				}
				o.From = tt.position + 1
				if next, err := Generate(t.Context(), o); err != nil || next.Modifier == p.Modifier {
					t.Errorf("%s: behind the result it finds the same or %v", engine, err)
				}
			}
		})
	}
}

// RFC 3972 section 4, step 2: "If Sec=0, the process may skip steps 2 and 3"; the modifier stays random all the same.
func TestGenerateSec0(t *testing.T) {
	o := GenerateOptions{PublicKey: unhex(signerHex), Prefix: prefix("2001:db8:1:2::"), Modifier: modifier(countedStart)}
	s, err := NewSearch(o)
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if a, err := p.Address(0); err != nil || a.String() != "2001:db8:1:2:18a2:c956:a51d:e727" {
		t.Errorf("got %v, %v", a, err)
	}
	if st := s.Stats(); st.Trials != 0 || st.Engine != "" {
		t.Errorf("there was a search: %+v", st)
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

// RFC 3972 section 4: "the old modifier value MAY be re-used" for another prefix, so nothing is searched.
func TestGenerateReusesModifier(t *testing.T) {
	o := GenerateOptions{PublicKey: unhex(signerHex), Prefix: prefix("2001:db8:9::"), Sec: 1, Modifier: modifier("000102030405060708090a0b0c0ebb21")}
	for _, f := range []Field{FieldModifier, FieldExtension} {
		o.Field = f
		s, err := NewSearch(o)
		if err != nil {
			t.Fatal(err)
		}
		p, err := s.Run(t.Context())
		if err != nil || p.Modifier != *o.Modifier || p.Prefix != o.Prefix || len(p.Extensions) != 0 || s.Stats().Trials != 0 {
			t.Errorf("%v: %+v, %v, %+v", f, p, err, s.Stats())
		}
	}
}

// RFC 3972 section 4: "If the extension fields are not recognized, they are ignored", but they are part of the hash.
func TestGenerateInExtension(t *testing.T) {
	for _, key := range []string{signerHex, rfcKeyHex} {
		for _, set := range [][][8]byte{nil, prefixes("2001:db8:1::", "2001:db8:2::", "2001:db8:3::")} {
			p, err := Generate(t.Context(), GenerateOptions{PublicKey: unhex(key), Set: set, Prefix: prefix("2001:db8:1::"), Sec: 1, Field: FieldExtension})
			if err != nil {
				t.Fatal(err)
			}
			last := p.Extensions[len(p.Extensions)-1]
			if last.Type != 0xfffd || len(last.Data) < 8 || len(p.Extensions) != 1+min(1, len(set)) {
				t.Errorf("extensions are %+v", p.Extensions)
			}
			p = mustParse(t, hexOf(p.Marshal()))
			a, err := p.Address(1)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.VerifyFor(a); err != nil {
				t.Error(err)
			}
		}
	}
}

// RFC 5535 section 6: the Extended Modifier is 384 random bits, so any value that the search leaves there is one.
func TestGenerateInNonce(t *testing.T) {
	set := prefixes("2001:db8:1::", "2001:db8:2::")
	o := GenerateOptions{PublicKey: NewNonce(), Nonce: true, Set: set, Prefix: set[1], Sec: 1, Field: FieldNonce}
	s, err := NewSearch(o)
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !IsNonce(p.PublicKey) || string(p.PublicKey) == string(o.PublicKey) && p.Modifier == s.Start().Modifier {
		t.Errorf("nonce %x, modifier %x", p.PublicKey, p.Modifier)
	}
	if string(p.PublicKey[:40]) != string(o.PublicKey[:40]) || p.Prefix != set[1] {
		t.Errorf("more than the tail of the nonce changed: %x", p.PublicKey)
	}
	wantSet(t, p, 1)
}

// The parts of a search have no candidate in common, and the whole finds what one of them finds.
func TestGenerateShards(t *testing.T) {
	seen := make(map[[16]byte]bool)
	for i := range 3 {
		o := GenerateOptions{PublicKey: unhex(signerHex), Sec: 1, Modifier: modifier(countedStart), Shard: i, Shards: 3}
		p, err := Generate(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		seen[p.Modifier] = true
		if i == 0 && p.Modifier != *modifier("000102030405060708090a0b0c0ebb21") {
			t.Errorf("part 0 finds %x", p.Modifier)
		}
		if third := p.Modifier[0] / 0x55; int(third) != i {
			t.Errorf("part %d finds %x", i, p.Modifier)
		}
	}
	if len(seen) != 3 {
		t.Errorf("%d modifiers in 3 parts", len(seen))
	}
}

func TestGenerateRefuses(t *testing.T) {
	key, pair := unhex(signerHex), prefixes("2001:db8::", "2001:db9::")
	for _, tt := range []struct {
		name   string
		o      GenerateOptions
		detail string
	}{
		{"Sec 3", GenerateOptions{PublicKey: key, Sec: 3}, "unsupported Sec value: 3, at most 2 is assigned"},
		{"Sec 8", GenerateOptions{PublicKey: key, Sec: 8, UnassignedSec: true}, "unsupported Sec value: 8, three bits hold at most 7"},
		{"no key", GenerateOptions{}, "public key"},
		{"octets after the key", GenerateOptions{PublicKey: append(unhex(signerHex), 0)}, "1 octets follow"},
		{"long extension", GenerateOptions{PublicKey: key, Extensions: []Extension{{Data: make([]byte, 65536)}}}, "extension 0"},
		{"too long", GenerateOptions{PublicKey: key, Extensions: []Extension{{Data: make([]byte, 65535)}}}, "at most 65535"},
		{"too long a set", GenerateOptions{PublicKey: key, Set: longSet(8200)}, "at most 65535"},
		{"prefix twice", GenerateOptions{PublicKey: key, Set: append(pair, pair[0]), Prefix: pair[0]}, "2001:db8::/64 is twice in the set"},
		{"prefix outside", GenerateOptions{PublicKey: key, Set: pair, Prefix: prefix("fe80::")}, "not in the Multi-Prefix extension: fe80::/64"},
		{"two sets", GenerateOptions{PublicKey: key, Set: pair, Prefix: pair[0], Extensions: []Extension{{ExtensionMultiPrefix, make([]byte, 12)}}}, "there are two"},
		{"nonce without a set", GenerateOptions{PublicKey: NewNonce(), Nonce: true}, "only an HBA set"},
		{"nonce to search in", GenerateOptions{PublicKey: key, Sec: 1, Field: FieldNonce}, "no nonce to search in"},
		{"raw nonce to search in", GenerateOptions{PublicKey: unhex(rawKeyHex), Nonce: true, Set: pair, Prefix: pair[0], Sec: 1, Field: FieldNonce}, "no nonce to search in"},
		{"field", GenerateOptions{PublicKey: key, Sec: 1, Field: 3}, "Field(3)"},
		{"engine", GenerateOptions{PublicKey: key, Sec: 1, Engine: "abacus"}, "abacus"},
		{"shard", GenerateOptions{PublicKey: key, Sec: 1, Shard: 3, Shards: 3}, "shard 3 of 3"},
		{"shard of none", GenerateOptions{PublicKey: key, Sec: 1, Shard: 1}, "shard 1 of 0"},
		{"position", GenerateOptions{PublicKey: key, Sec: 1, From: 1<<64 - 1}, "position"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Generate(t.Context(), tt.o); err == nil || !strings.Contains(err.Error(), tt.detail) {
				t.Errorf("got %v, want %q", err, tt.detail)
			}
		})
	}
}

func longSet(n int) [][8]byte {
	set := make([][8]byte, n)
	for i := range set {
		set[i] = [8]byte{6: byte(i >> 8), 7: byte(i)}
	}
	return set
}

// A search that is cancelled answers at once, with the cause, and knows how far it came. A busy machine may hold an answer
// up, but not five in a row.
func TestGenerateCancel(t *testing.T) {
	const wait, tries = 50 * time.Millisecond, 5
	for _, engine := range search.Engines() {
		t.Run(engine, func(t *testing.T) {
			quickest := cancelTime(t, engine)
			for try := 1; try < tries && quickest > wait; try++ {
				quickest = min(quickest, cancelTime(t, engine))
			}
			if quickest > wait {
				t.Errorf("the quickest of %d answers took %v", tries, quickest)
			}
		})
	}
}

// cancelTime is how long a search takes to end once it is told to.
func cancelTime(t *testing.T, engine string) time.Duration {
	s, err := NewSearch(GenerateOptions{PublicKey: unhex(signerHex), Sec: 3, UnassignedSec: true, Engine: engine})
	if err != nil {
		t.Fatal(err)
	}
	stop := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	var asked time.Time
	go func() {
		for s.Stats().Position == 0 {
			time.Sleep(time.Millisecond)
		}
		asked = time.Now()
		cancel(stop)
	}()
	_, err = s.Run(ctx)
	took := time.Since(asked)
	wantErr(t, err, stop)
	if st := s.Stats(); st.Trials < st.Position || st.Position == 0 || st.Elapsed <= 0 {
		t.Errorf("%+v", st)
	}
	return took
}

func TestGenerateWithDoneContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Generate(ctx, GenerateOptions{PublicKey: unhex(signerHex), Sec: 2})
	wantErr(t, err, context.Canceled)
}

// RFC 3972 section 4, step 3: the modifier is one 128-bit number, and counts modulo 2^128.
func TestGenerateWraps(t *testing.T) {
	p, err := Generate(t.Context(), GenerateOptions{PublicKey: unhex(signerHex), Sec: 1, Modifier: modifier(strings.Repeat("f", 28) + "fff0")})
	if err != nil {
		t.Fatal(err)
	}
	if [12]byte(p.Modifier[:12]) != [12]byte{} || p.Strength() < 1 {
		t.Errorf("modifier %x", p.Modifier)
	}
}

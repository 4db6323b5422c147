// SPDX-License-Identifier: MIT

package cga

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"shim6/internal/cga/search"
)

// ErrOptions is wrapped by the error about options that contradict each other.
var ErrOptions = errors.New("bad search options")

// A Field names the octets that a search varies.
type Field uint8

const (
	// FieldModifier is the modifier, counted up as RFC 3972 section 4 does.
	FieldModifier Field = iota
	// FieldNonce is the nonce in the place of a key of an HBA set, random by definition (RFC 5535 section 6). The
	// nonce must have the form of NewNonce.
	FieldNonce
	// FieldExtension is an extension of an experimental type that is put behind all others. The search of a long key
	// costs no more than that of a short one, and the parameters are some tens of octets longer; verifiers hash what
	// they do not know and ignore it (RFC 3972 section 4).
	FieldExtension
)

func (f Field) String() string {
	switch f {
	case FieldModifier:
		return "modifier"
	case FieldNonce:
		return "nonce"
	case FieldExtension:
		return "extension"
	}
	return fmt.Sprintf("Field(%d)", uint8(f))
}

// GenerateOptions say what to search and how. The result depends on neither Engine nor Threads.
type GenerateOptions struct {
	PublicKey  []byte // DER SubjectPublicKeyInfo
	Prefix     [8]byte
	Sec        uint8       // 0 to MaxSec
	Modifier   *[16]byte   // first modifier to try; nil for a random one
	Extensions []Extension // in this order

	// Set makes an HBA set with these prefixes in this order: a Multi-Prefix extension behind Extensions. Prefix must be
	// one of them. Nonce clears its P flag: PublicKey is what NewNonce gives, or comes from an older set.
	Set   [][8]byte
	Nonce bool

	Field         Field
	Shard, Shards int    // part of the search, from 0, and number of parts; 0 parts are one
	From          uint64 // position to start from, that of an earlier run with equal options
	Engine        string // one of search.Engines; empty for the fastest
	Threads       int    // workers, 0 for one on each processor

	// UnassignedSec allows the Sec values 3 to 7 with the meaning they had before RFC 4982.
	UnassignedSec bool
}

// Stats tell how far a search has come.
type Stats struct {
	Engine   string // empty when nothing is searched
	Threads  int
	Trials   uint64 // candidates tried in this run
	Position uint64 // all candidates before it are tried; From of a later run
	Elapsed  time.Duration
}

// A Search is one search for the parameters of an address or an HBA set.
type Search struct {
	start   *Params // what is counted up from
	options GenerateOptions
	job     search.Job
	run     *search.Search // nil when start needs no search
	began   atomic.Int64   // in Unix nanoseconds
	elapsed atomic.Int64   // of a run that ended
}

// Generate makes a Search and runs it.
func Generate(ctx context.Context, o GenerateOptions) (*Params, error) {
	s, err := NewSearch(o)
	if err != nil {
		return nil, err
	}
	return s.Run(ctx)
}

// NewSearch prepares the search for a CGA Parameters data structure whose Hash2 has 16*Sec leading zero bits (RFC 3972
// section 4, steps 1 to 4; RFC 5535 section 6, steps 1 to 4). Errors wrap ErrOptions, ErrUnsupportedSec, ErrMultiPrefix,
// ErrNotInSet, search.ErrEngine or tell what is wrong with the key and the extensions.
func NewSearch(o GenerateOptions) (*Search, error) {
	most := uint8(MaxSec)
	if o.UnassignedSec {
		most = maxAnySec
	}
	if o.Sec > most {
		return nil, unsupportedSec(o.Sec, most)
	}
	p := &Params{Prefix: o.Prefix, PublicKey: o.PublicKey, Extensions: slices.Clone(o.Extensions)}
	if len(o.Set) > 0 {
		if err := checkSet(o.Set); err != nil {
			return nil, err
		}
		m := MultiPrefix{P: !o.Nonce, Prefixes: o.Set}
		p.Extensions = append(p.Extensions, m.Extension())
	} else if o.Nonce {
		return nil, fmt.Errorf("%w: only an HBA set can do without a key", ErrOptions)
	}
	if o.Modifier != nil {
		p.Modifier = *o.Modifier
	} else {
		rand.Read(p.Modifier[:])
	}
	s := &Search{start: p, options: o}
	f, err := s.field()
	if err != nil {
		return nil, err
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	if m, err := p.MultiPrefix(); err != nil {
		return nil, err
	} else if m != nil && !slices.Contains(m.Prefixes, o.Prefix) {
		return nil, fmt.Errorf("%w: %s", ErrNotInSet, prefixText(o.Prefix))
	}
	// RFC 3972 section 4: a modifier that is good already may be used again.
	if o.Sec == 0 || s.good() {
		return s, nil
	}
	j := search.Job{Input: p.with([8]byte{}, 0).Marshal(), Zeros: 16 * int(o.Sec), Field: f}
	if o.Shards != 0 || o.Shard != 0 {
		if j, err = j.Shard(o.Shard, o.Shards); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrOptions, err)
		}
	}
	s.job = j
	if s.run, err = search.New(j, search.Options{Engine: o.Engine, Threads: o.Threads, From: o.From}); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	return s, nil
}

// good tells whether the start is the result. It is the first candidate of the first part of the search alone.
func (s *Search) good() bool {
	return s.options.From == 0 && s.options.Shard == 0 && s.start.StrengthUnassigned() >= s.options.Sec
}

// field lays the field of the search out, adding the extension that it may need.
func (s *Search) field() (search.Field, error) {
	p, o := s.start, s.options
	switch o.Field {
	case FieldModifier:
		return search.Field{}, nil
	case FieldNonce:
		if o.Nonce && IsNonce(p.PublicKey) {
			if f, ok := search.FreeField(offKey+nonceFirst+1, offKey+nonceLast); ok {
				return f, nil
			}
		}
		return search.Field{}, fmt.Errorf("%w: there is no nonce to search in", ErrOptions)
	case FieldExtension:
		if o.Sec == 0 || s.good() {
			return search.Field{}, nil
		}
		data, f := search.ExtensionField(p.size())
		p.Extensions = append(p.Extensions, Extension{Type: ExtensionSearch, Data: make([]byte, data)})
		return f, nil
	}
	return search.Field{}, fmt.Errorf("%w: %v", ErrOptions, o.Field)
}

func checkSet(set [][8]byte) error {
	for i, x := range set {
		if slices.Contains(set[:i], x) {
			return fmt.Errorf("%w: prefix %s is twice in the set", ErrOptions, prefixText(x))
		}
	}
	return nil
}

// Start gives the parameters that the search counts up from. With its modifier and public key as options another search
// is the same one.
func (s *Search) Start() *Params {
	return s.start
}

// Job gives what is searched, a zero Job when nothing is.
func (s *Search) Job() search.Job {
	return s.job
}

// Run gives the first good parameters in counting order, with collision count 0. The search of Sec 1 tries 2^16 candidates
// on average, that of Sec 2 2^32, and no number of tries is sure to be enough; a done ctx ends it with its cause within
// milliseconds. It must be called once only.
func (s *Search) Run(ctx context.Context) (*Params, error) {
	s.began.Store(time.Now().UnixNano())
	defer func() { s.elapsed.Store(max(1, time.Now().UnixNano()-s.began.Load())) }()
	p := s.start
	if s.run != nil {
		r, err := s.run.Run(ctx)
		if err != nil {
			return nil, err
		}
		if p, err = ParseParams(r.Input); err != nil {
			return nil, err
		}
		p.Prefix = s.options.Prefix
	}
	addr, err := p.address(s.options.Sec)
	if err != nil {
		return nil, err
	}
	if err := p.verifyFor(addr, maxAnySec); err != nil {
		return nil, fmt.Errorf("the parameters that were found do not verify: %w", err)
	}
	return p, nil
}

// Stats may be asked at any time, while Run is busy too.
func (s *Search) Stats() Stats {
	st := Stats{Elapsed: time.Duration(s.elapsed.Load())}
	if began := s.began.Load(); began != 0 && st.Elapsed == 0 {
		st.Elapsed = time.Duration(time.Now().UnixNano() - began)
	}
	if s.run != nil {
		pr := s.run.Progress()
		st.Engine, st.Threads, st.Trials, st.Position = s.run.Engine(), s.run.Threads(), pr.Trials, pr.Position
	}
	return st
}

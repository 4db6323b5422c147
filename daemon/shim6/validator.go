// SPDX-License-Identifier: MIT

package shim6

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"math/rand/v2"
	"net/netip"
	"time"

	"shim6/daemon/wire"
)

// A Binding is what a Responder Validator is made for (RFC 5533 sections 7.10.1 and 7.17.1). For an R1bis ULIDs and FII
// stay zero.
type Binding struct {
	Bis      bool            // R1bis and I2bis, not R1 and I2
	Tag      wire.ContextTag // Initiator Context Tag; Packet Context Tag for an R1bis
	ULIDs    ULIDPair
	FII      uint32
	Locators LocatorPair
}

// A Verdict is the outcome of Validators.Check.
type Verdict uint8

// The verdicts.
const (
	Valid Verdict = iota
	StaleNonce
	WrongValidator
)

// Validators issues Responder Validators and knows them again, keeping no state for a peer: only a counter, which is the
// Responder Nonce, and one secret for each of its last values. A validator is HMAC-SHA-256 keyed with the secret.
type Validators struct {
	rng     *rand.Rand
	base    time.Time // when nonce first was issued
	first   uint32
	secrets []secret // newest first
}

type secret struct {
	nonce uint32
	hash  hash.Hash // with the secret's key
}

// NewValidators makes Validators whose first nonce is random.
func NewValidators(rng *rand.Rand) *Validators {
	return &Validators{rng: rng, first: rng.Uint32()}
}

// Issue gives a Responder Nonce and the validator that goes with it.
func (v *Validators) Issue(now time.Time, b Binding) (nonce uint32, validator []byte) {
	v.roll(now)
	s := &v.secrets[0]
	return s.nonce, s.mac(b)
}

// Check tells whether a validator was issued here for b and is not too old: ValidatorMinLifetime is never too old.
func (v *Validators) Check(now time.Time, nonce uint32, validator []byte, b Binding) Verdict {
	v.roll(now)
	for i := range v.secrets {
		if s := &v.secrets[i]; s.nonce == nonce {
			if hmac.Equal(s.mac(b), validator) {
				return Valid
			}
			return WrongValidator
		}
	}
	return StaleNonce
}

// roll makes the secret of the current nonce and forgets those that are too old.
func (v *Validators) roll(now time.Time) {
	if v.base.IsZero() {
		v.base = now
	}
	nonce := v.first + uint32(now.Sub(v.base)/validatorStep)
	if len(v.secrets) == 0 || v.secrets[0].nonce != nonce {
		var key [sha256.Size]byte
		for i := 0; i < len(key); i += 8 {
			binary.BigEndian.PutUint64(key[i:], v.rng.Uint64())
		}
		s := secret{nonce: nonce, hash: hmac.New(sha256.New, key[:])}
		v.secrets = append([]secret{s}, v.secrets...)
	}
	for n := len(v.secrets); nonce-v.secrets[n-1].nonce >= validatorWindow; n = len(v.secrets) {
		v.secrets = v.secrets[:n-1]
	}
}

// mac never covers the Initiator Nonce: that of an I2 may differ from that of the I1 (RFC 5533 section 7.11).
func (s *secret) mac(b Binding) []byte {
	s.hash.Reset()
	buf := make([]byte, 0, 96)
	label := byte(1)
	if b.Bis {
		label = 2
	}
	buf = append(buf, label)
	buf = binary.BigEndian.AppendUint32(buf, s.nonce)
	buf = binary.BigEndian.AppendUint64(buf, uint64(b.Tag))
	for _, a := range []netip.Addr{b.ULIDs.Local, b.ULIDs.Peer, b.Locators.Local, b.Locators.Peer} {
		o := a.As16()
		buf = append(buf, o[:]...)
	}
	buf = binary.BigEndian.AppendUint32(buf, b.FII)
	s.hash.Write(buf)
	return s.hash.Sum(nil)
}

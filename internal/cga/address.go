// SPDX-License-Identifier: MIT

package cga

import (
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

const (
	// MaxSec is the highest Sec value with an assigned meaning (CGA SEC registry, RFC 4982 section 6).
	MaxSec = 2
	// MaxCollisions is the highest collision count (RFC 3972 section 3).
	MaxCollisions = 2
	// maxAnySec is the highest value that fits into the Sec bits.
	maxAnySec = 7
)

// mask1 covers the bits of the interface identifier that come from Hash1: all but Sec, u and g (RFC 3972 section 2).
const mask1 = 0x1cffffffffffffff

// The checks that an address or its parameters can fail; errors wrap one of them.
var (
	ErrNotIPv6        = errors.New("not an IPv6 address")
	ErrCollisionCount = errors.New("collision count is above 2")
	ErrPrefix         = errors.New("subnet prefix differs")
	ErrUnsupportedSec = errors.New("unsupported Sec value")
	ErrHash1          = errors.New("hash1 differs from the interface identifier")
	ErrHash2          = errors.New("hash2 lacks the zero bits that Sec demands")
)

// Hash1 gives the leftmost 64 bits of the hash over the whole structure (RFC 3972 section 3).
func (p *Params) Hash1() [8]byte {
	sum := sha1.Sum(p.Marshal())
	return [8]byte(sum[:8])
}

// Hash2 gives the leftmost 112 bits of the hash in which prefix and collision count are zero (RFC 3972 section 3).
func (p *Params) Hash2() [14]byte {
	sum := sha1.Sum(p.with([8]byte{}, 0).Marshal())
	return [14]byte(sum[:14])
}

// Strength gives the highest supported Sec value for which Hash2 has enough zero bits: p verifies for addresses with
// that Sec and all lower ones.
func (p *Params) Strength() uint8 {
	return min(p.StrengthUnassigned(), MaxSec)
}

// StrengthUnassigned is Strength, but counts the Sec values up to 7 that RFC 4982 left unassigned.
func (p *Params) StrengthUnassigned() uint8 {
	h := p.Hash2()
	sec := uint8(0)
	for sec < maxAnySec && h[2*sec] == 0 && h[2*sec+1] == 0 {
		sec++
	}
	return sec
}

// Address gives the address that p has with a Sec value, u and g bits zero (RFC 3972 section 4, steps 5 to 7). It does
// not look at Hash2. The error is ErrUnsupportedSec or ErrCollisionCount.
func (p *Params) Address(sec uint8) (netip.Addr, error) {
	if sec > MaxSec {
		return netip.Addr{}, unsupportedSec(sec, MaxSec)
	}
	return p.address(sec)
}

// AddressUnassigned is Address for Sec values up to 7, those that RFC 4982 left unassigned with their older meaning.
func (p *Params) AddressUnassigned(sec uint8) (netip.Addr, error) {
	if sec > maxAnySec {
		return netip.Addr{}, unsupportedSec(sec, maxAnySec)
	}
	return p.address(sec)
}

func (p *Params) address(sec uint8) (netip.Addr, error) {
	if err := p.checkCollisions(); err != nil {
		return netip.Addr{}, err
	}
	h := p.Hash1()
	h[0] = h[0]&0x1c | sec<<5
	var a [16]byte
	copy(a[:8], p.Prefix[:])
	copy(a[8:], h[:])
	return netip.AddrFrom16(a), nil
}

// Verify tells whether addr is a CGA of p (RFC 3972 section 5). The u and g bits are ignored, and Sec is that of the
// address. Sec 3 to 7 give ErrUnsupportedSec: RFC 4982 lets later documents give them another hash.
func Verify(addr netip.Addr, p *Params) error {
	return newVerifier(p).verifyCGA(addr, MaxSec)
}

// A verifier verifies many addresses that share one structure but for the prefix: it is encoded once, and Hash2, which
// covers neither prefix nor collision count, is made once.
type verifier struct {
	p     *Params
	raw   []byte
	hash2 *[14]byte // nil before it was asked for
}

func newVerifier(p *Params) *verifier { return &verifier{p: p, raw: p.Marshal()} }

// verifyCGA takes Sec values up to most.
func (v *verifier) verifyCGA(addr netip.Addr, most uint8) error {
	prefix, _, err := split(addr)
	if err != nil {
		return err
	}
	if own := v.p.Prefix; prefix != own {
		return fmt.Errorf("%w: %s in the address, %s in the parameters", ErrPrefix, prefixText(prefix), prefixText(own))
	}
	return v.verify(addr, most)
}

// verify tells whether addr is a CGA of the structure with the prefix that addr has.
func (v *verifier) verify(addr netip.Addr, most uint8) error {
	prefix, iid, err := split(addr)
	if err != nil {
		return err
	}
	if err := v.p.checkCollisions(); err != nil {
		return err
	}
	sec := uint8(iid >> 61)
	if sec > most {
		return unsupportedSec(sec, most)
	}
	copy(v.raw[offPrefix:offCollision], prefix[:])
	h1 := sha1.Sum(v.raw)
	if binary.BigEndian.Uint64(h1[:])&mask1 != iid&mask1 {
		return fmt.Errorf("%w (hash1 %x)", ErrHash1, h1[:8])
	}
	if sec == 0 {
		return nil
	}
	if v.hash2 == nil {
		h := v.p.Hash2()
		v.hash2 = &h
	}
	var zeros [2 * maxAnySec]byte
	if !bytes.Equal(v.hash2[:2*sec], zeros[:2*sec]) {
		return fmt.Errorf("%w: Sec %d, hash2 %x", ErrHash2, sec, *v.hash2)
	}
	return nil
}

// For copies p with the prefix of addr and the collision count that make it verify for addr: as an HBA when p has a
// Multi-Prefix extension, else as a CGA. The copy shares the public key and the extensions with p. The error is that of
// the last collision count tried.
func (p *Params) For(addr netip.Addr) (*Params, error) {
	prefix, _, err := split(addr)
	if err != nil {
		return nil, err
	}
	for c := range uint8(MaxCollisions + 1) {
		q := p.with(prefix, c)
		if err = q.VerifyFor(addr); err == nil {
			return q, nil
		}
		if !errors.Is(err, ErrHash1) {
			break
		}
	}
	return nil, err
}

// VerifyFor tells whether addr is an address of p: with the HBA check when p has a Multi-Prefix extension (RFC 5535
// section 7), else with the CGA check (RFC 3972 section 5).
func (p *Params) VerifyFor(addr netip.Addr) error {
	return p.verifyFor(addr, MaxSec)
}

// VerifyUnassigned is VerifyFor, but reads the Sec values 3 to 7 as RFC 3972 did before RFC 4982 left them unassigned.
func (p *Params) VerifyUnassigned(addr netip.Addr) error {
	return p.verifyFor(addr, maxAnySec)
}

func (p *Params) verifyFor(addr netip.Addr, most uint8) error {
	mp, err := p.MultiPrefix()
	if err != nil {
		return err
	}
	return newVerifier(p).verifyFor(addr, mp, most)
}

// verifyFor tells whether addr is an address of the structure, whose Multi-Prefix extension is mp, nil for none.
func (v *verifier) verifyFor(addr netip.Addr, mp *MultiPrefix, most uint8) error {
	if mp == nil {
		return v.verifyCGA(addr, most)
	}
	return v.verifyHBA(addr, mp, most)
}

// Sec gives the Sec of a CGA: the leftmost bits of its interface identifier (RFC 3972 section 2).
func Sec(addr netip.Addr) uint8 { return addr.As16()[8] >> 5 }

func unsupportedSec(sec, most uint8) error {
	if most == maxAnySec {
		return fmt.Errorf("%w: %d, three bits hold at most %d", ErrUnsupportedSec, sec, most)
	}
	return fmt.Errorf("%w: %d, at most %d is assigned", ErrUnsupportedSec, sec, most)
}

func (p *Params) checkCollisions() error {
	if p.CollisionCount > MaxCollisions {
		return fmt.Errorf("%w: %d", ErrCollisionCount, p.CollisionCount)
	}
	return nil
}

func split(addr netip.Addr) (prefix [8]byte, iid uint64, err error) {
	if !addr.Is6() {
		return prefix, 0, fmt.Errorf("%w: %v", ErrNotIPv6, addr)
	}
	a := addr.As16()
	return [8]byte(a[:8]), binary.BigEndian.Uint64(a[8:]), nil
}

func prefixText(prefix [8]byte) string {
	var a [16]byte
	copy(a[:], prefix[:])
	return netip.PrefixFrom(netip.AddrFrom16(a), 64).String()
}

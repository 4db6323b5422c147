// SPDX-License-Identifier: MIT

package cga

import (
	"errors"
	"fmt"
	"net/netip"
)

// Verification methods of a locator (RFC 5533 section 5.15.2).
const (
	MethodHBA = 1
	MethodCGA = 2
)

// The further faults of a peer's locator list.
var (
	ErrMethod      = errors.New("verification method is unsupported or does not fit the parameters")
	ErrNoSignature = errors.New("a locator with method CGA needs a signature")
)

// A PeerLocator is an entry of a peer's locator list with its verification method.
type PeerLocator struct {
	Addr   netip.Addr
	Method uint8
}

// VerifyLocators makes the whole check of a peer's locator list (RFC 5533 section 7.2). The pds must be that of the
// ULID, by the HBA check when it has a Multi-Prefix extension and else by the CGA check; each method must be one that
// the pds can serve (ErrMethod); each HBA locator must belong to the set; and when there is a CGA locator, the signature
// over all CGA locators must verify. The cheap checks come first: RSA runs only when all others passed.
//
// One bad locator spoils the list. On error bad is the index of the first locator at fault, -1 when the fault is not that
// of one locator.
func VerifyLocators(ulid netip.Addr, pds []byte, locs []PeerLocator, generation uint32, signature []byte) (bad int, err error) {
	p, err := ParseParams(pds)
	if err != nil {
		return -1, err
	}
	mp, err := p.MultiPrefix()
	if err != nil {
		return -1, err
	}
	v := newVerifier(p)
	if err := v.verifyFor(ulid, mp, MaxSec); err != nil {
		return -1, fmt.Errorf("ulid %v: %w", ulid, err)
	}
	for i, l := range locs {
		if err := checkMethod(l.Method, mp); err != nil {
			return i, fmt.Errorf("locator %v: %w", l.Addr, err)
		}
	}
	var signed []netip.Addr
	for i, l := range locs {
		if l.Method == MethodCGA {
			if !l.Addr.Is6() {
				return i, fmt.Errorf("locator %v: %w", l.Addr, ErrNotIPv6)
			}
			signed = append(signed, l.Addr)
			continue
		}
		if l.Addr == ulid {
			continue // that was its check, too
		}
		if err := v.verifyHBA(l.Addr, mp, MaxSec); err != nil {
			return i, fmt.Errorf("locator %v: %w", l.Addr, err)
		}
	}
	if len(signed) == 0 {
		return -1, nil
	}
	if len(signature) == 0 {
		return -1, ErrNoSignature
	}
	return -1, VerifySignature(p.PublicKey, SignedData(generation, signed), signature)
}

func checkMethod(method uint8, mp *MultiPrefix) error {
	switch {
	case method == MethodHBA && mp == nil:
		return fmt.Errorf("%w: HBA, but there is no Multi-Prefix extension", ErrMethod)
	case method == MethodCGA && mp != nil && !mp.P:
		// A nonce of 384 bits in the key field might be factored (RFC 5535 section 6).
		return fmt.Errorf("%w: CGA, but the key field holds no key", ErrMethod)
	case method != MethodHBA && method != MethodCGA:
		return fmt.Errorf("%w: %d", ErrMethod, method)
	}
	return nil
}

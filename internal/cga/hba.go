// SPDX-License-Identifier: MIT

package cga

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// ExtensionMultiPrefix is the type of the Multi-Prefix extension (RFC 5535 section 5).
const ExtensionMultiPrefix = 0x0012

// ExtensionSearch is the type of the extension that a search may add: Exp_FFFD, one of those for experiments (RFC 4581
// section 3).
const ExtensionSearch = 0xfffd

const multiPrefixFlagsLen = 4

// The further checks that an HBA can fail.
var (
	ErrMultiPrefix   = errors.New("bad Multi-Prefix extension")
	ErrNoMultiPrefix = errors.New("no Multi-Prefix extension")
	ErrNotInSet      = errors.New("prefix is not in the Multi-Prefix extension")
	ErrIncomplete    = errors.New("not the whole HBA set")
)

// A MultiPrefix is a Multi-Prefix extension (RFC 5535 section 5).
type MultiPrefix struct {
	P        bool      // the public key is a real one; otherwise it is a nonce and signs nothing
	Prefixes [][8]byte // in the order that is hashed
}

// MultiPrefix gives the Multi-Prefix extension of p, nil when it has none. Two of them, or one without a whole number of
// prefixes, give ErrMultiPrefix.
func (p *Params) MultiPrefix() (*MultiPrefix, error) {
	var m *MultiPrefix
	for _, e := range p.Extensions {
		if e.Type != ExtensionMultiPrefix {
			continue
		}
		if m != nil {
			return nil, fmt.Errorf("%w: there are two", ErrMultiPrefix)
		}
		n := len(e.Data) - multiPrefixFlagsLen
		if n < 8 || n%8 != 0 {
			return nil, fmt.Errorf("%w: %d octets of data, want %d and 8 for each prefix", ErrMultiPrefix, len(e.Data), multiPrefixFlagsLen)
		}
		m = &MultiPrefix{P: e.Data[0]&0x80 != 0}
		for c := range slices.Chunk(e.Data[multiPrefixFlagsLen:], 8) {
			m.Prefixes = append(m.Prefixes, [8]byte(c))
		}
	}
	return m, nil
}

// Extension encodes m with the reserved bits zero.
func (m *MultiPrefix) Extension() Extension {
	var flags uint32
	if m.P {
		flags = 1 << 31
	}
	data := binary.BigEndian.AppendUint32(nil, flags)
	for _, x := range m.Prefixes {
		data = append(data, x[:]...)
	}
	return Extension{Type: ExtensionMultiPrefix, Data: data}
}

// VerifyHBA tells whether addr belongs to the HBA set of p (RFC 5535 section 7): its prefix must be one of the
// Multi-Prefix extension, and it must be a CGA of p with that prefix.
func VerifyHBA(addr netip.Addr, p *Params) error {
	m, err := p.MultiPrefix()
	if err != nil {
		return err
	}
	if m == nil {
		return ErrNoMultiPrefix
	}
	return newVerifier(p).verifyHBA(addr, m, MaxSec)
}

func (v *verifier) verifyHBA(addr netip.Addr, m *MultiPrefix, most uint8) error {
	prefix, _, err := split(addr)
	if err != nil {
		return err
	}
	if !slices.Contains(m.Prefixes, prefix) {
		return fmt.Errorf("%w: %s", ErrNotInSet, prefixText(prefix))
	}
	return v.verify(addr, most)
}

// VerifySet tells whether addrs are the HBA set of p, the whole of it: one address for each prefix of the Multi-Prefix
// extension, in any order, each with the collision count of p, for the members share it (RFC 5535 section 6, step 6.4).
// On error bad is the index of the first address at fault, -1 when the fault is not that of one address.
func VerifySet(addrs []netip.Addr, p *Params) (bad int, err error) {
	m, err := p.MultiPrefix()
	if err != nil {
		return -1, err
	}
	if m == nil {
		return -1, ErrNoMultiPrefix
	}
	seen := make(map[[8]byte]bool)
	v := newVerifier(p)
	for i, a := range addrs {
		if err := v.verifyHBA(a, m, MaxSec); err != nil {
			return i, fmt.Errorf("%v: %w", a, err)
		}
		prefix, _, err := split(a)
		if err != nil {
			return i, err
		}
		if seen[prefix] {
			return i, fmt.Errorf("%v: %w: prefix %s has two addresses", a, ErrIncomplete, prefixText(prefix))
		}
		seen[prefix] = true
	}
	for _, x := range m.Prefixes {
		if !seen[x] {
			return -1, fmt.Errorf("%w: prefix %s has no address", ErrIncomplete, prefixText(x))
		}
	}
	return -1, nil
}

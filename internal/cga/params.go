// SPDX-License-Identifier: MIT

package cga

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// MaxParamsLen is the most octets a CGA Parameters data structure may have here: what the Length of the Shim6 option
// that carries it can say (RFC 5533 section 5.15.4).
const MaxParamsLen = 1<<16 - 1

// Offsets of the fields of the CGA Parameters data structure (RFC 3972 section 3).
const (
	offPrefix    = 16
	offCollision = 24
	offKey       = 25
)

const extensionHeaderLen = 4

// A Params is a CGA Parameters data structure (RFC 3972 section 3). Verification hashes its octets as they came, so the
// public key and the extensions are kept verbatim and never encoded again.
type Params struct {
	Modifier       [16]byte
	Prefix         [8]byte // subnet prefix, the first 64 bits of the address
	CollisionCount uint8   // 0 to 2 in any structure that verifies
	PublicKey      []byte  // DER SubjectPublicKeyInfo; a nonce in its place when the HBA set has no key
	Extensions     []Extension
}

// An Extension is an extension field of the structure (RFC 4581 section 2). Data has at most 65535 octets.
type Extension struct {
	Type uint16
	Data []byte
}

// A ParseError says what is wrong with a CGA Parameters data structure and at which octet.
type ParseError struct {
	Offset int
	Detail string
}

func (e *ParseError) Error() string {
	return fmt.Sprintf("cga parameters: octet %d: %s", e.Offset, e.Detail)
}

// ParseParams reads a whole CGA Parameters data structure; nothing may follow it. Any error is a *ParseError. The result
// shares no memory with b, and its Marshal gives b back. The collision count and the inside of the public key are not
// judged here: Verify and VerifySignature do that.
func ParseParams(b []byte) (*Params, error) {
	if len(b) > MaxParamsLen {
		return nil, &ParseError{MaxParamsLen, fmt.Sprintf("%d octets, at most %d are allowed", len(b), MaxParamsLen)}
	}
	if len(b) < offKey {
		return nil, &ParseError{len(b), fmt.Sprintf("the structure ends before the public key at octet %d", offKey)}
	}
	n, err := sequenceLen(b[offKey:])
	if err != nil {
		return nil, &ParseError{offKey, "public key: " + err.Error()}
	}
	p := &Params{
		Modifier:       [16]byte(b[:offPrefix]),
		Prefix:         [8]byte(b[offPrefix:offCollision]),
		CollisionCount: b[offCollision],
		PublicKey:      bytes.Clone(b[offKey : offKey+n]),
	}
	for off := offKey + n; off < len(b); {
		left := len(b) - off
		if left < extensionHeaderLen {
			return nil, &ParseError{off, fmt.Sprintf("%d octets left, an extension header has %d", left, extensionHeaderLen)}
		}
		size := int(binary.BigEndian.Uint16(b[off+2:]))
		if size > left-extensionHeaderLen {
			return nil, &ParseError{off, fmt.Sprintf("extension has %d octets of data, %d are left", size, left-extensionHeaderLen)}
		}
		data := b[off+extensionHeaderLen:][:size]
		p.Extensions = append(p.Extensions, Extension{Type: binary.BigEndian.Uint16(b[off:]), Data: bytes.Clone(data)})
		off += extensionHeaderLen + size
	}
	return p, nil
}

// Marshal gives the octets of the structure, equal to those it was parsed from.
func (p *Params) Marshal() []byte {
	b := make([]byte, 0, p.size())
	b = append(b, p.Modifier[:]...)
	b = append(b, p.Prefix[:]...)
	b = append(b, p.CollisionCount)
	b = append(b, p.PublicKey...)
	for _, e := range p.Extensions {
		b = binary.BigEndian.AppendUint16(b, e.Type)
		b = binary.BigEndian.AppendUint16(b, uint16(len(e.Data)))
		b = append(b, e.Data...)
	}
	return b
}

func (p *Params) size() int {
	n := offKey + len(p.PublicKey)
	for _, e := range p.Extensions {
		n += extensionHeaderLen + len(e.Data)
	}
	return n
}

// check tells whether p has an encoding that ParseParams takes.
func (p *Params) check() error {
	for i, e := range p.Extensions {
		if len(e.Data) > 1<<16-1 {
			return fmt.Errorf("extension %d has %d octets of data, at most 65535 can be said", i, len(e.Data))
		}
	}
	n, err := sequenceLen(p.PublicKey)
	if err != nil {
		return fmt.Errorf("public key: %w", err)
	}
	if n != len(p.PublicKey) {
		return fmt.Errorf("public key: %d octets follow the sequence", len(p.PublicKey)-n)
	}
	if s := p.size(); s > MaxParamsLen {
		return fmt.Errorf("%d octets, at most %d are allowed", s, MaxParamsLen)
	}
	return nil
}

// with copies p with another prefix and collision count; p may be shared by concurrent verifications.
func (p *Params) with(prefix [8]byte, collisions uint8) *Params {
	q := *p
	q.Prefix, q.CollisionCount = prefix, collisions
	return &q
}

// SPDX-License-Identifier: MIT

package cga

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"slices"
)

const (
	nonceLen   = 48 // the Extended Modifier has 384 bits (RFC 5535 section 6)
	nonceFirst = 25 // of the octets of the public key
	nonceLast  = nonceFirst + nonceLen - 1
)

// A nonce stands as an RSAPublicKey with exponent 65537 in a SubjectPublicKeyInfo (RFC 5535 section 6, RFC 3279 section
// 2.3.1). The modulus has a zero octet before it because its first bit is set.
var nonceHead, nonceTail = mustHex("304c300d06092a864886f70d0101010500033b003038023100"), mustHex("0203010001")

func mustHex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// NewNonce makes the public key field of an HBA set without a key: 384 random bits in the form of an RSA key, 78 octets
// (RFC 5535 section 6). The first and the last bit are set, so that the length is always the same and strict parsers of
// RSA keys take it.
func NewNonce() []byte {
	b := make([]byte, nonceLen)
	rand.Read(b)
	b[0] |= 0x80
	b[nonceLen-1] |= 1
	return slices.Concat(nonceHead, b, nonceTail)
}

// IsNonce tells whether a public key field has the form of NewNonce.
func IsNonce(key []byte) bool {
	return len(key) == len(nonceHead)+nonceLen+len(nonceTail) && bytes.HasPrefix(key, nonceHead) && bytes.HasSuffix(key, nonceTail) &&
		key[nonceFirst]&0x80 != 0 && key[nonceLast]&1 != 0
}

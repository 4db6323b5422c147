// SPDX-License-Identifier: MIT

package cga

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
)

const (
	// MinKeyBits is the shortest RSA key that may be used (RFC 5533 section 16).
	MinKeyBits = 1024
	// MaxKeyBits bounds the work that the key of a peer can cause.
	MaxKeyBits = 8192
)

// An SPKI of an RSA key of MaxKeyBits has 1062 octets with an exponent of three.
const maxKeyLen = 1100

// ErrKey is wrapped by every error about a public key that cannot or may not be used for signatures.
var ErrKey = errors.New("unusable key")

// ParsePublicKey decodes the SubjectPublicKeyInfo of a signer. It takes RSA keys (rsaEncryption, RFC 3279 section 2.3.1)
// of MinKeyBits to MaxKeyBits with an odd modulus and an odd exponent from 3 to 2^31-1; other keys give ErrKey.
func ParsePublicKey(spki []byte) (*rsa.PublicKey, error) {
	if len(spki) > maxKeyLen {
		return nil, fmt.Errorf("%w: %d octets, an RSA key of %d bits has fewer", ErrKey, len(spki), MaxKeyBits)
	}
	k, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	pub, ok := k.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%w: %T, only RSA keys can sign", ErrKey, k)
	}
	if err := checkPublicKey(pub); err != nil {
		return nil, err
	}
	return pub, nil
}

func checkPublicKey(pub *rsa.PublicKey) error {
	n := pub.N.BitLen()
	switch {
	case n < MinKeyBits:
		return fmt.Errorf("%w: RSA key of %d bits, at least %d are required", ErrKey, n, MinKeyBits)
	case n > MaxKeyBits:
		return fmt.Errorf("%w: RSA key of %d bits, at most %d are allowed", ErrKey, n, MaxKeyBits)
	case pub.N.Bit(0) == 0:
		return fmt.Errorf("%w: the RSA modulus is even", ErrKey)
	case pub.E < 3 || pub.E&1 == 0 || pub.E > 1<<31-1:
		return fmt.Errorf("%w: RSA exponent %d", ErrKey, pub.E)
	}
	return nil
}

// MarshalPublicKey encodes pub as the SubjectPublicKeyInfo that goes into a Params.
func MarshalPublicKey(pub *rsa.PublicKey) ([]byte, error) {
	if err := checkPublicKey(pub); err != nil {
		return nil, err
	}
	return x509.MarshalPKIXPublicKey(pub)
}

// NewKey makes an RSA key of MinKeyBits to MaxKeyBits.
func NewKey(bits int) (*rsa.PrivateKey, error) {
	if bits < MinKeyBits || bits > MaxKeyBits {
		return nil, fmt.Errorf("%w: RSA keys have %d to %d bits here, not %d", ErrKey, MinKeyBits, MaxKeyBits, bits)
	}
	return rsa.GenerateKey(rand.Reader, bits)
}

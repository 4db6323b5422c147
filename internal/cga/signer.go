// SPDX-License-Identifier: MIT

package cga

import (
	"crypto/rsa"
	"strings"
)

// A Signer signs for CGAs; where its private key is, is its own affair.
type Signer interface {
	PublicKey() []byte // SubjectPublicKeyInfo
	Sign(data []byte) ([]byte, error)
}

// A PrivateKey is a Signer that has its key.
type PrivateKey struct {
	key  *rsa.PrivateKey
	spki []byte
}

// NewSigner gives the Signer of a key.
func NewSigner(key *rsa.PrivateKey) (*PrivateKey, error) {
	spki, err := MarshalPublicKey(&key.PublicKey)
	return &PrivateKey{key, spki}, err
}

// PublicKey gives the SubjectPublicKeyInfo.
func (k *PrivateKey) PublicKey() []byte { return k.spki }

// Sign is Sign with the key.
func (k *PrivateKey) Sign(data []byte) ([]byte, error) { return Sign(k.key, data) }

// IsSignedData tells whether data begins as SignedData does: a signature over anything else is of no use to Shim6.
func IsSignedData(data []byte) bool { return strings.HasPrefix(string(data), messageTag) }

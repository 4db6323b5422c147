// SPDX-License-Identifier: MIT

package cga

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// messageTag is the CGA message type tag of Shim6 (RFC 5533 section 17). It keeps a signature made for one protocol
// from being used in another.
const messageTag = "\x4a\x30\x56\x62\x48\x58\x57\x4b\x36\x55\x41\x6f\x50\x6a\x6d\x48"

// ErrSignature is wrapped by the error about a signature that does not verify.
var ErrSignature = errors.New("signature does not verify")

// SignedData gives the octets that a CGA signature covers: the message type tag, the Locator List Generation, and of
// the locator list the locators whose method is CGA, in list order (RFC 5533 section 5.15.5).
func SignedData(generation uint32, cgaLocators []netip.Addr) []byte {
	b := make([]byte, 0, len(messageTag)+4+16*len(cgaLocators))
	b = append(b, messageTag...)
	b = binary.BigEndian.AppendUint32(b, generation)
	for _, l := range cgaLocators {
		a := l.As16()
		b = append(b, a[:]...)
	}
	return b
}

// Sign makes an RSASSA-PKCS1-v1_5 signature with SHA-1 over data (RFC 3972 section 6). Equal input gives equal octets.
func Sign(key *rsa.PrivateKey, data []byte) ([]byte, error) {
	if key == nil {
		return nil, fmt.Errorf("%w: there is none", ErrKey)
	}
	if err := checkPublicKey(&key.PublicKey); err != nil {
		return nil, err
	}
	sum := sha1.Sum(data)
	sig, err := rsa.SignPKCS1v15(nil, key, crypto.SHA1, sum[:])
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return sig, nil
}

// VerifySignature checks an RSASSA-PKCS1-v1_5 signature with SHA-1 over data. The signature must be as long as the
// modulus. Errors wrap ErrKey, before any RSA operation, or ErrSignature. Whether the key field holds a key at all (P flag
// of the Multi-Prefix extension) is for the caller to check.
func VerifySignature(spki, data, sig []byte) error {
	pub, err := ParsePublicKey(spki)
	if err != nil {
		return err
	}
	if len(sig) != pub.Size() {
		return fmt.Errorf("%w: %d octets, the key makes %d", ErrSignature, len(sig), pub.Size())
	}
	sum := sha1.Sum(data)
	if err := rsa.VerifyPKCS1v15(pub, crypto.SHA1, sum[:], sig); err != nil {
		return fmt.Errorf("%w: %w", ErrSignature, err)
	}
	return nil
}

// SPDX-License-Identifier: MIT

package cga

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// LoadPrivateKey reads an RSA key from a PEM file, PKCS#8 or PKCS#1. A file that group or others may touch is refused,
// and so are encrypted, OpenSSH and non-RSA keys and keys that NewKey would not make; the error says what to do.
func LoadPrivateKey(path string) (*rsa.PrivateKey, error) {
	b, mode, err := readFile(path)
	if err != nil {
		return nil, err
	}
	if mode&0o077 != 0 {
		return nil, fmt.Errorf("%s: mode %04o lets others reach the private key, run chmod 600 on it", path, mode)
	}
	key, err := parsePrivateKey(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

// WriteKey makes a PKCS#8 PEM file, mode 0600, with key. It never overwrites: an existing file gives an error that is
// os.ErrExist. A failed call leaves no file.
func WriteKey(path string, key *rsa.PrivateKey) error {
	b, err := MarshalKey(key)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return writeFile(path, b, secretMode, linkNew)
}

// MarshalKey gives the contents of the file that WriteKey makes.
func MarshalKey(key *rsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// LoadPublicKey reads the SubjectPublicKeyInfo of a PEM file with a certificate or a public key, octet by octet as it is
// there. Keys that ParsePublicKey refuses give its error. The private key may stay where it is.
func LoadPublicKey(path string) ([]byte, error) {
	b, _, err := readFile(path)
	if err != nil {
		return nil, err
	}
	spki, err := parsePublicKeyFile(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return spki, nil
}

func parsePublicKeyFile(b []byte) ([]byte, error) {
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			return nil, errors.New("no PEM certificate or public key in the file")
		}
		spki := block.Bytes
		switch block.Type {
		case "CERTIFICATE":
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", ErrKey, err)
			}
			spki = c.RawSubjectPublicKeyInfo
		case "PUBLIC KEY":
		case "RSA PUBLIC KEY":
			pub, err := x509.ParsePKCS1PublicKey(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", ErrKey, err)
			}
			return MarshalPublicKey(pub)
		case "PRIVATE KEY", "RSA PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "OPENSSH PRIVATE KEY":
			return nil, errors.New("the file holds a private key, not a certificate or public key")
		default:
			continue
		}
		_, err := ParsePublicKey(spki)
		return spki, err
	}
}

var errEncrypted = errors.New("the key is encrypted, remove the passphrase with openssl pkey first")

func parsePrivateKey(b []byte) (*rsa.PrivateKey, error) {
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			return nil, errors.New("no PEM private key in the file")
		}
		switch block.Type {
		case "PRIVATE KEY":
			k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", ErrKey, err)
			}
			key, ok := k.(*rsa.PrivateKey)
			if !ok {
				return nil, fmt.Errorf("%w: %T, only RSA keys can sign", ErrKey, k)
			}
			return key, checkPublicKey(&key.PublicKey)
		case "RSA PRIVATE KEY":
			if block.Headers["DEK-Info"] != "" {
				return nil, errEncrypted
			}
			key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", ErrKey, err)
			}
			return key, checkPublicKey(&key.PublicKey)
		case "ENCRYPTED PRIVATE KEY":
			return nil, errEncrypted
		case "OPENSSH PRIVATE KEY":
			return nil, errors.New("OpenSSH key format, convert it with ssh-keygen -p -m PKCS8 first")
		case "EC PRIVATE KEY", "DSA PRIVATE KEY":
			return nil, fmt.Errorf("%w: %s, only RSA keys can sign", ErrKey, block.Type)
		case "PUBLIC KEY", "RSA PUBLIC KEY", "CERTIFICATE":
			return nil, fmt.Errorf("the file holds a %s, not a private key", block.Type)
		}
	}
}

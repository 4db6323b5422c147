// SPDX-License-Identifier: MIT

package cga

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func writeText(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func pemText(t *testing.T, kind string, der []byte, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func TestWriteKey(t *testing.T) {
	key := signer(t)
	wantNew(t, secretMode, func(path string) error { return WriteKey(path, key) })
	path := filepath.Join(t.TempDir(), "file")
	if err := WriteKey(path, key); err != nil {
		t.Fatal(err)
	}
	back, err := LoadPrivateKey(path)
	if err != nil || !back.Equal(key) {
		t.Errorf("another key comes back, %v", err)
	}
	b, err := os.ReadFile(path)
	if err != nil || string(b) != signerPEM {
		t.Errorf("file is %s, %v; want that of OpenSSL", b, err)
	}
}

func TestLoadPrivateKey(t *testing.T) {
	key := signer(t)
	pkcs1 := pemText(t, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key), nil)
	path := filepath.Join(t.TempDir(), "key.pem")
	for name, text := range map[string]string{
		"PKCS#8":                signerPEM,
		"PKCS#1":                pkcs1,
		"text before the block": "Private-Key: (1024 bit)\n" + pkcs1,
		"other block first":     "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n" + signerPEM,
	} {
		writeText(t, path, text, 0o600)
		got, err := LoadPrivateKey(path)
		if err != nil || !got.Equal(key) {
			t.Errorf("%s: another key or %v", name, err)
			continue
		}
		// The same octets go into the hash whatever the file looks like.
		spki, err := MarshalPublicKey(&got.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		wantOctets(t, name, spki, signerHex)
	}
}

func TestLoadPrivateKeyMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key.pem")
	for mode := range os.FileMode(0o1000) {
		if mode&0o400 == 0 && os.Getuid() != 0 {
			continue // nobody but root can open it
		}
		writeText(t, path, signerPEM, mode)
		_, err := LoadPrivateKey(path)
		if mode&0o077 == 0 {
			if err != nil {
				t.Errorf("mode %04o: %v", mode, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("mode %04o", mode)) || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("mode %04o: got %v", mode, err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLoadPrivateKeyRefuses(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8 := func(key any) string {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		return pemText(t, "PRIVATE KEY", der, err)
	}
	sec1, err := x509.MarshalECPrivateKey(ec)
	ecText := pemText(t, "EC PRIVATE KEY", sec1, err)
	short := shortKey(t)
	path := filepath.Join(t.TempDir(), "key.pem")
	for _, tt := range []struct{ name, text, want string }{
		{"empty", "", "no PEM private key"},
		{"raw octets", string(unhex(rfcParams)), "no PEM private key"},
		{"encrypted PKCS#8", pemText(t, "ENCRYPTED PRIVATE KEY", []byte{0x30, 0}, nil), "encrypted"},
		{"encrypted PKCS#1", "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\nAAAA\n-----END RSA PRIVATE KEY-----\n", "encrypted"},
		{"OpenSSH", pemText(t, "OPENSSH PRIVATE KEY", []byte("openssh-key-v1\x00"), nil), "ssh-keygen"},
		{"EC in PKCS#8", pkcs8(ec), "only RSA"},
		{"EC in SEC 1", ecText, "only RSA"},
		{"Ed25519", pkcs8(ed), "only RSA"},
		{"public key", pemText(t, "PUBLIC KEY", unhex(signerHex), nil), "not a private key"},
		{"512 bits in PKCS#8", pkcs8(short), "512 bits, at least 1024"},
		{"512 bits in PKCS#1", pemText(t, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(short), nil), "512 bits, at least 1024"},
		{"broken PKCS#8", pemText(t, "PRIVATE KEY", []byte{0x30, 0}, nil), "unusable key"},
		{"broken PKCS#1", pemText(t, "RSA PRIVATE KEY", []byte{0x30, 0}, nil), "unusable key"},
		{"too large", strings.Repeat("\n", maxFileLen) + signerPEM, "more than"},
	} {
		writeText(t, path, tt.text, 0o600)
		key, err := LoadPrivateKey(path)
		if key != nil || err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
}

// RFC 3972 section 3: the key is hashed as it was encoded, so a certificate gives the octets that stand in it.
func TestLoadPublicKey(t *testing.T) {
	key := signer(t)
	short := shortKey(t)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	certificate := func(pub, priv any) string {
		der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1)}, &x509.Certificate{}, pub, priv)
		return pemText(t, "CERTIFICATE", der, err)
	}
	ecKey, err := x509.MarshalPKIXPublicKey(&ec.PublicKey)
	ecText := pemText(t, "PUBLIC KEY", ecKey, err)
	path := filepath.Join(t.TempDir(), "site.pem")
	for _, tt := range []struct{ name, text, want string }{
		{"certificate", certificate(&key.PublicKey, key), ""},
		{"chain", certificate(&key.PublicKey, key) + certificate(&ec.PublicKey, ec), ""},
		{"public key", pemText(t, "PUBLIC KEY", unhex(signerHex), nil), ""},
		{"PKCS#1 public key", pemText(t, "RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&key.PublicKey), nil), ""},
		{"parameters first", "-----BEGIN DH PARAMETERS-----\nAAAA\n-----END DH PARAMETERS-----\n" + certificate(&key.PublicKey, key), ""},
		{"empty", "", "no PEM certificate"},
		{"private key", signerPEM, "holds a private key"},
		{"EC certificate", certificate(&ec.PublicKey, ec), "only RSA"},
		{"EC key", ecText, "only RSA"},
		{"512 bits", pemText(t, "RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&short.PublicKey), nil), "512 bits"},
		{"512 bits in PKIX", pemText(t, "PUBLIC KEY", unhex(rfcKeyHex), nil), "512 bits"},
		{"broken certificate", pemText(t, "CERTIFICATE", []byte{0x30, 0}, nil), "unusable key"},
		{"broken PKCS#1", pemText(t, "RSA PUBLIC KEY", []byte{0x30, 0}, nil), "unusable key"},
	} {
		writeText(t, path, tt.text, 0o644)
		spki, err := LoadPublicKey(path)
		if tt.want == "" {
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
				continue
			}
			wantOctets(t, tt.name, spki, signerHex)
		} else if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
	if _, err := LoadPublicKey(path + "x"); err == nil {
		t.Error("read a file that is not there")
	}
}

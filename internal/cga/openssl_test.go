// SPDX-License-Identifier: MIT

package cga

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// openssl runs the OpenSSL program in a directory.
func openssl(t *testing.T, dir string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("openssl", args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("openssl %s (Debian package openssl): %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return out
}

// RFC 5533 section 5.15.5 and RFC 3972 section 6: RSASSA-PKCS1-v1_5 with SHA-1. OpenSSL verifies our signatures and we
// verify its, with keys that either side made.
func TestSignaturesWithOpenSSL(t *testing.T) {
	for _, bits := range []string{"1024", "1536", "2048"} {
		t.Run(bits, func(t *testing.T) {
			dir := t.TempDir()
			in := func(name string) string { return filepath.Join(dir, name) }
			openssl(t, dir, "genrsa", "-out", "key.pem", bits)
			key, err := LoadPrivateKey(in("key.pem"))
			if err != nil {
				t.Fatal(err)
			}
			spki, err := MarshalPublicKey(&key.PublicKey)
			if err != nil {
				t.Fatal(err)
			}
			if theirs := openssl(t, dir, "pkey", "-in", "key.pem", "-pubout", "-outform", "DER"); !bytes.Equal(theirs, spki) {
				t.Errorf("public key is %x, OpenSSL says %x", spki, theirs)
			}
			openssl(t, dir, "pkey", "-in", "key.pem", "-pubout", "-out", "pub.pem")
			data := SignedData(7, signedLocators)
			sig, err := Sign(key, data)
			if err != nil {
				t.Fatal(err)
			}
			for name, b := range map[string][]byte{"data": data, "ours": sig, "other": append(bytes.Clone(data), 0)} {
				if err := os.WriteFile(in(name), b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if out := openssl(t, dir, "dgst", "-sha1", "-verify", "pub.pem", "-signature", "ours", "data"); string(out) != "Verified OK\n" {
				t.Errorf("OpenSSL says %q", out)
			}
			if exec.Command("openssl", "dgst", "-sha1", "-verify", in("pub.pem"), "-signature", in("ours"), in("other")).Run() == nil {
				t.Error("OpenSSL takes the signature for other data")
			}
			openssl(t, dir, "dgst", "-sha1", "-sign", "key.pem", "-out", "theirs", "data")
			theirs, err := os.ReadFile(in("theirs"))
			if err != nil {
				t.Fatal(err)
			}
			if err := VerifySignature(spki, data, theirs); err != nil {
				t.Errorf("signature of OpenSSL: %v", err)
			}
			if !bytes.Equal(theirs, sig) {
				t.Errorf("OpenSSL signs %x, we %x", theirs, sig)
			}
			wantErr(t, VerifySignature(spki, append(bytes.Clone(data), 0), theirs), ErrSignature)
		})
	}
}

func TestKeyFilesWithOpenSSL(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	if err := WriteKey(in("ours.pem"), signer(t)); err != nil {
		t.Fatal(err)
	}
	if out := openssl(t, dir, "pkey", "-in", "ours.pem", "-check", "-noout"); !strings.Contains(string(out), "Key is valid") {
		t.Errorf("OpenSSL says %q", out)
	}
	openssl(t, dir, "rsa", "-in", "ours.pem", "-traditional", "-out", "pkcs1.pem")
	openssl(t, dir, "pkey", "-in", "ours.pem", "-aes256", "-passout", "pass:x", "-out", "encrypted.pem")
	openssl(t, dir, "rsa", "-in", "ours.pem", "-traditional", "-aes128", "-passout", "pass:x", "-out", "encrypted1.pem")
	openssl(t, dir, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "ec.pem")
	openssl(t, dir, "genpkey", "-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:1024", "-out", "pss.pem")
	openssl(t, dir, "genrsa", "-out", "short.pem", "512")
	for name, want := range map[string]string{
		"ours.pem": "", "pkcs1.pem": "", "encrypted.pem": "encrypted", "encrypted1.pem": "encrypted",
		"ec.pem": "only RSA", "pss.pem": "unusable key", "short.pem": "512 bits",
	} {
		if err := os.Chmod(in(name), 0o600); err != nil {
			t.Fatal(err)
		}
		key, err := LoadPrivateKey(in(name))
		switch {
		case want == "" && (err != nil || !key.Equal(signer(t))):
			t.Errorf("%s: another key, %v", name, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
}

// RFC 5535 section 6 and RFC 3279 section 2.3.1: the nonce stands where an RSA key stands, in its form.
func TestNonceWithOpenSSL(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "nonce.der"), NewNonce(), 0o600); err != nil {
		t.Fatal(err)
	}
	out := string(openssl(t, dir, "rsa", "-pubin", "-inform", "DER", "-in", "nonce.der", "-text", "-noout"))
	if !strings.Contains(out, "Public-Key: (384 bit)") || !strings.Contains(out, "Exponent: 65537") {
		t.Errorf("OpenSSL says %q", out)
	}
}

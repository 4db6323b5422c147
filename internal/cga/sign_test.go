// SPDX-License-Identifier: MIT

package cga

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"math/big"
	"net/netip"
	"testing"
)

const (
	signedHex = "4a3056624858574b3655416f506a6d48 00000007 20010db8aaaa00000000000000000001 20010db8bbbb00000000000000000002"
	// Made by OpenSSL with the signer key over signedHex.
	signatureHex = "4388d839a3ab852573bd3a6bcfcb8db79f97463340c251526bffc219ba65fd1a797e72dacb7c39c2fbc057de8d3ec864d0f9f9a9b7bde85059594bf8a70fe3e79fac7f9656004650183a251891e0df115b6e7cec6948c9217b3504203387bb2784fa6bd5ea81c47eba385a1ff48c5a0645db36c453ec3cda0b0c435103ccd9dc"
)

var signedLocators = []netip.Addr{netip.MustParseAddr("2001:db8:aaaa::1"), netip.MustParseAddr("2001:db8:bbbb::2")}

// RFC 5533 section 5.15.5: tag, generation, and the locators of the list that use CGA.
func TestSignedData(t *testing.T) {
	wantOctets(t, "signed data", SignedData(7, signedLocators), signedHex)
	wantOctets(t, "signed data without locators", SignedData(0xfffffffe, nil), signedHex[:32]+"fffffffe")
}

func TestSign(t *testing.T) {
	sig, err := Sign(signer(t), SignedData(7, signedLocators))
	if err != nil {
		t.Fatal(err)
	}
	wantOctets(t, "signature", sig, signatureHex)
}

func TestSignRefuses(t *testing.T) {
	_, err := Sign(nil, nil)
	wantErr(t, err, ErrKey)
	_, err = Sign(shortKey(t), nil)
	wantErr(t, err, ErrKey)
}

func TestVerifySignature(t *testing.T) {
	spki, sig := unhex(signerHex), unhex(signatureHex)
	a, b := signedLocators[0], signedLocators[1]
	digest := sha256.Sum256(unhex(signedHex))
	sha256Sig, err := rsa.SignPKCS1v15(nil, signer(t), crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		data []byte
		sig  []byte
		want error
	}{
		{"as signed", unhex(signedHex), sig, nil},
		{"other tag", append(unhex("086fca5e10b200c99c8ce00164277c08"), unhex(signedHex)[16:]...), sig, ErrSignature},
		{"other generation", SignedData(8, signedLocators), sig, ErrSignature},
		{"other order", SignedData(7, []netip.Addr{b, a}), sig, ErrSignature},
		{"locator added", SignedData(7, []netip.Addr{a, b, a}), sig, ErrSignature},
		{"locator removed", SignedData(7, []netip.Addr{a}), sig, ErrSignature},
		{"signature too short", unhex(signedHex), sig[:127], ErrSignature},
		{"signature too long", unhex(signedHex), append(unhex(signatureHex), 0), ErrSignature},
		{"no signature", unhex(signedHex), nil, ErrSignature},
		{"signature is the modulus", unhex(signedHex), unhex(signerHex)[29 : 29+128], ErrSignature},
		// RFC 3972 section 6: the signature is made with SHA-1.
		{"SHA-256", unhex(signedHex), sha256Sig, ErrSignature},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wantErr(t, VerifySignature(spki, tt.data, tt.sig), tt.want)
		})
	}
	for i := range sig {
		bad := bytes.Clone(sig)
		bad[i] ^= 0x40
		wantErr(t, VerifySignature(spki, unhex(signedHex), bad), ErrSignature)
	}
}

// RFC 5533 section 16: RSA keys have at least 1024 bits. The rest of these keys are what a hostile peer may send.
func TestVerifySignatureRefusesKeys(t *testing.T) {
	modulus := new(big.Int).SetBytes(unhex(signerHex)[29 : 29+128])
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := x509.MarshalPKIXPublicKey(&ec.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	pss := unhex(signerHex)
	pss[15] = 0x0a // rsaEncryption becomes id-RSASSA-PSS
	noNull := bytes.Replace(unhex(signerHex), unhex("300d06092a864886f70d0101010500"), unhex("300b06092a864886f70d010101"), 1)
	noNull[2] -= 2
	shift := func(n uint, add int64) *big.Int {
		x := new(big.Int).Lsh(big.NewInt(1), n)
		return x.Add(x, big.NewInt(add))
	}
	for _, tt := range []struct {
		name string
		spki []byte
	}{
		{"512 bits", unhex(rfcKeyHex)},
		{"nonce of an HBA", unhex(nonceKeyHex)},
		{"raw nonce of an HBA", unhex(rawKeyHex)},
		{"1023 bits", spki(t, shift(1022, 1), big.NewInt(65537))},
		{"8193 bits", spki(t, shift(8192, 1), big.NewInt(65537))},
		{"60000 bits", spki(t, shift(59999, 1), big.NewInt(65537))},
		{"even modulus", spki(t, shift(1024, 2), big.NewInt(65537))},
		{"negative modulus", spki(t, new(big.Int).Neg(modulus), big.NewInt(65537))},
		{"modulus zero", spki(t, new(big.Int), big.NewInt(65537))},
		{"exponent 0", spki(t, modulus, new(big.Int))},
		{"exponent 1", spki(t, modulus, big.NewInt(1))},
		{"even exponent", spki(t, modulus, big.NewInt(65536))},
		{"negative exponent", spki(t, modulus, big.NewInt(-3))},
		{"exponent of 32 bits", spki(t, modulus, shift(31, 1))},
		{"exponent of 63 bits", spki(t, modulus, shift(62, 1))},
		{"exponent as long as the modulus", spki(t, modulus, modulus)},
		{"ECDSA", ecKey},
		{"RSASSA-PSS", pss},
		{"no NULL parameters", noNull},
		{"empty sequence", unhex("3000")},
		{"nothing", nil},
		{"octet after the key", append(unhex(signerHex), 0)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wantErr(t, VerifySignature(tt.spki, unhex(signedHex), unhex(signatureHex)), ErrKey)
		})
	}
}

func TestKeySizeLimits(t *testing.T) {
	n := new(big.Int).Lsh(big.NewInt(1), MaxKeyBits)
	n.Sub(n, big.NewInt(1))
	for _, e := range []int64{3, 65537, 1<<31 - 1} {
		pub, err := ParsePublicKey(spki(t, n, big.NewInt(e)))
		if err != nil || pub.N.BitLen() != MaxKeyBits {
			t.Errorf("exponent %d: %v", e, err)
		}
	}
	for _, bits := range []int{-1, 0, 1023, 8193} {
		_, err := NewKey(bits)
		wantErr(t, err, ErrKey)
	}
	key, err := NewKey(1024)
	if err != nil || key.N.BitLen() != 1024 {
		t.Errorf("got %v", err)
	}
}

func TestMarshalPublicKey(t *testing.T) {
	got, err := MarshalPublicKey(&signer(t).PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	wantOctets(t, "public key", got, signerHex)
	_, err = MarshalPublicKey(&shortKey(t).PublicKey)
	wantErr(t, err, ErrKey)
}

func FuzzVerifySignature(f *testing.F) {
	f.Add(unhex(signerHex), unhex(signatureHex))
	f.Add(unhex(rawKeyHex), []byte{})
	f.Fuzz(func(t *testing.T, spki, sig []byte) {
		err := VerifySignature(spki, unhex(signedHex), sig)
		if err != nil && !errors.Is(err, ErrKey) && !errors.Is(err, ErrSignature) {
			t.Fatalf("unnamed fault: %v", err)
		}
		if _, kerr := ParsePublicKey(spki); kerr != nil && err == nil {
			t.Fatalf("verifies with a key that is refused: %v", kerr)
		}
	})
}

// shortKey is a key of 512 bits, as LinShim6 and RFC 3972 have them.
func shortKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	t.Setenv("GODEBUG", "rsa1024min=0")
	key, err := rsa.GenerateKey(rand.Reader, 512)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// spki encodes an RSA public key without asking whether it makes sense.
func spki(t *testing.T, n, e *big.Int) []byte {
	t.Helper()
	key, err := asn1.Marshal(struct{ N, E *big.Int }{n, e})
	if err != nil {
		t.Fatal(err)
	}
	type algorithm struct {
		OID  asn1.ObjectIdentifier
		Null asn1.RawValue
	}
	b, err := asn1.Marshal(struct {
		Algorithm algorithm
		Key       asn1.BitString
	}{
		algorithm{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}, asn1.NullRawValue},
		asn1.BitString{Bytes: key, BitLength: 8 * len(key)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

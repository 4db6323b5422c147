// SPDX-License-Identifier: MIT

package cga

import (
	"bytes"
	"crypto/rsa"
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"testing"
)

// RFC 3972 appendix A: a key of 512 bits, Sec 1.
const (
	rfcKeyHex   = "305c300d06092a864886f70d0101010500034b003048024100c2c2f137305454f10bd9cea36844b530e9211a4b262b16467cb7dfba1f595c0194f275be5a4d386f2c3c2382508773c7867f9b3b9e63a09c7bc48f7a54ebefaf0203010001"
	rfcStart    = "89a8a8b2e858d8b8f2633f44d2d4ce9a"
	rfcModifier = "89a8a8b2e858d8b8f2633f44d2d4ce9b"
	rfcParams   = rfcModifier + "fe80000000000000" + "00" + rfcKeyHex
	rfcAddress  = "fe80::3c4a:5bf6:ffb4:ca6c"
)

// Nonces in the place of a key: the RSAPublicKey form of RFC 5535 section 6 with exponent 65537, and the bare octets
// that LinShim6 puts into the BIT STRING.
const (
	nonceHex     = "a36844b530e9211a4b262b16467cb7dfba1f595c0194f275be5a4d386f2c3c2382508773c7867f9b3b9e63a09c7bc48f"
	nonceKeyHex  = "304c300d06092a864886f70d0101010500033b003038023100" + nonceHex + "0203010001"
	rawKeyHex    = "3042300d06092a864886f70d0101010500033100" + nonceHex
	countedStart = "000102030405060708090a0b0c0d0e0f"
)

// signerPEM is a key of 1024 bits made for these tests; signerHex is its SubjectPublicKeyInfo.
const (
	signerPEM = `-----BEGIN PRIVATE KEY-----
MIICdgIBADANBgkqhkiG9w0BAQEFAASCAmAwggJcAgEAAoGBAN0AjXh4kihq2O1S
puIo74vDGk8h71FiIXBB8UM4jbvj8EHaGJJ8y3+tFx+43sQrl5+OpZJ8HFDujsFV
NFphs8WEDpFHLqnbnRZr/YEDKIjG/nOJebUvU0wJtcBV+fJlTR/T46Tz31MjNuZf
gVB93epxYKLU1Q7wsIf3x0AzR8Q9AgMBAAECgYAiQEysqBsW0oBuP4oHsQp3IbS5
IOxDM681A7NNlL06qnf47ME0Ks0rK3tS+kbkJlFodCYrDrsgu+g6BGeJvmyq3Rgf
BUOdbBbfv6WITZpXazzRM9Te+XhnnnVFiLMZAkn58h4G0hczUiabjSS5Zh1PUfK/
kbe2NilfjE9i8StWYQJBAPrwQFB2JT4kwpLnhvCB/r9XoAVv7Q2BHbbEjKkyth4Y
x+Stz0m6CIqxGLCmCFXkS/LeZN1FW0iht1tNQclCcSUCQQDhdbjLtMuy3Gr4796F
aiYuXAi0p8rYd4tH580EwCKcRPJ8Gl0PI4RHkXsE7BrK4LTRlJPm5OtWAM8BkpY7
FVc5AkEA470jQWLYDfwislx5tNDluBX4XrbjtvvVUcgzuGMTsWDgGYQ8ujaiBe0P
8VHeAsW8v+BiPgbx/4r082G8MMGiGQJAPi9WFPl85YxeBONEINAyT78at5lAHYx7
Yg3RQmosIaXyq8Apwq8tIQBDSgxFJ4fq15N/Z8PkFQiMEAb6YLl2IQJAKQUFfYg2
iLlEMpwYEPwE5hN/xCtAGPUC+0Ovv91aen+9Ihfe5E+vMilrdwWnoKhEv1RmjA9o
zivx5Q/4oV2tEA==
-----END PRIVATE KEY-----
`
	signerHex = "30819f300d06092a864886f70d010101050003818d0030818902818100dd008d787892286ad8ed52a6e228ef8bc31a4f21ef5162217041f143388dbbe3f041da18927ccb7fad171fb8dec42b979f8ea5927c1c50ee8ec155345a61b3c5840e91472ea9db9d166bfd81032888c6fe738979b52f534c09b5c055f9f2654d1fd3e3a4f3df532336e65f81507dddea7160a2d4d50ef0b087f7c7403347c43d0203010001"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

func modifier(s string) *[16]byte {
	m := [16]byte(unhex(s))
	return &m
}

func prefix(s string) [8]byte {
	a := netip.MustParseAddr(s).As16()
	return [8]byte(a[:8])
}

func prefixes(s ...string) [][8]byte {
	var all [][8]byte
	for _, x := range s {
		all = append(all, prefix(x))
	}
	return all
}

// withIID changes the interface identifier of an address.
func withIID(addr netip.Addr, change func(iid []byte)) netip.Addr {
	a := addr.As16()
	change(a[8:])
	return netip.AddrFrom16(a)
}

func mustParse(t *testing.T, octets string) *Params {
	t.Helper()
	p, err := ParseParams(unhex(octets))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func signer(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := parsePrivateKey([]byte(signerPEM))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func wantErr(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("got error %v, want %v", got, want)
	}
}

func wantOctets(t *testing.T, what string, got []byte, want string) {
	t.Helper()
	if !bytes.Equal(got, unhex(want)) {
		t.Errorf("%s is %x, want %s", what, got, want)
	}
}

func hexOf(b []byte) string { return hex.EncodeToString(b) }

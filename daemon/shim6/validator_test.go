// SPDX-License-Identifier: MIT

package shim6_test

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"shim6/daemon/shim6"
)

var (
	start  = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	a1, a2 = netip.MustParseAddr("2001:db8:a1::1"), netip.MustParseAddr("2001:db8:a2::1")
	b1, b2 = netip.MustParseAddr("2001:db8:b1::1"), netip.MustParseAddr("2001:db8:b2::1")
)

func newRand(seed byte) *rand.Rand { return rand.New(rand.NewChaCha8([32]byte{seed})) }

var binding = shim6.Binding{
	Tag: 5, ULIDs: shim6.ULIDPair{Local: b1, Peer: a1}, FII: 7, Locators: shim6.LocatorPair{Local: b2, Peer: a2},
}

// RFC 5533 section 7.13: "the host verifies that the Responder Nonce is a recent one (nonces that are no older than
// VALIDATOR_MIN_LIFETIME SHOULD be considered recent)".
func TestValidatorLifetime(t *testing.T) {
	for offset := range 30 { // within a step, and over its end
		v := shim6.NewValidators(newRand(1))
		v.Issue(start, binding)
		issued := start.Add(time.Duration(offset) * time.Second)
		nonce, mac := v.Issue(issued, binding)
		for age := time.Duration(0); age < 2*time.Minute; age += time.Second {
			got := v.Check(issued.Add(age), nonce, mac, binding)
			if age <= shim6.ValidatorMinLifetime && got != shim6.Valid {
				t.Fatalf("verdict %d after %v", got, age)
			}
			if age > 3*shim6.ValidatorMinLifetime/2 && got != shim6.StaleNonce {
				t.Fatalf("verdict %d after %v, want it stale", got, age)
			}
		}
	}
}

// RFC 5533 section 7.10.1 lists what goes into the validator: secret, Responder Nonce, Initiator Context Tag, ULIDs,
// locators and Forked Instance Identifier. Section 5.15.1 asks that it is bound to the very exchange.
func TestValidatorBindsEverything(t *testing.T) {
	v := shim6.NewValidators(newRand(2))
	nonce, mac := v.Issue(start, binding)
	if got := v.Check(start, nonce, mac, binding); got != shim6.Valid {
		t.Fatalf("verdict %d", got)
	}
	for name, change := range map[string]func(b *shim6.Binding){
		"kind":          func(b *shim6.Binding) { b.Bis = true },
		"tag":           func(b *shim6.Binding) { b.Tag++ },
		"local ULID":    func(b *shim6.Binding) { b.ULIDs.Local = b2 },
		"peer ULID":     func(b *shim6.Binding) { b.ULIDs.Peer = a2 },
		"FII":           func(b *shim6.Binding) { b.FII++ },
		"local locator": func(b *shim6.Binding) { b.Locators.Local = b1 },
		"peer locator":  func(b *shim6.Binding) { b.Locators.Peer = a1 },
		"swapped":       func(b *shim6.Binding) { b.Locators = shim6.LocatorPair{Local: a2, Peer: b2} },
	} {
		other := binding
		change(&other)
		if got := v.Check(start, nonce, mac, other); got != shim6.WrongValidator {
			t.Errorf("another %s: verdict %d", name, got)
		}
	}
	for _, bad := range [][]byte{nil, {}, mac[:31], append(bytes.Clone(mac), 0), make([]byte, 32)} {
		if got := v.Check(start, nonce, bad, binding); got != shim6.WrongValidator {
			t.Errorf("validator %x: verdict %d", bad, got)
		}
	}
	for _, n := range []uint32{nonce + 1, nonce - 1, nonce - 2, 0, ^nonce} {
		if got := v.Check(start, n, mac, binding); got != shim6.StaleNonce {
			t.Errorf("nonce %d more: verdict %d", n-nonce, got)
		}
	}
	if got := shim6.NewValidators(newRand(3)).Check(start, nonce, mac, binding); got == shim6.Valid {
		t.Error("another host's secret is taken")
	}
}

// RFC 5533 section 16.2 asks for the secret to change: an old one must not make new validators.
func TestValidatorSecretRotates(t *testing.T) {
	v := shim6.NewValidators(newRand(4))
	seen := map[string]bool{}
	for i := range 20 {
		_, mac := v.Issue(start.Add(time.Duration(i)*15*time.Second), binding)
		if seen[string(mac)] {
			t.Fatal("the same validator in two steps")
		}
		seen[string(mac)] = true
	}
	// Long silence leaves nothing old behind.
	nonce, mac := v.Issue(start.Add(time.Hour), binding)
	if got := v.Check(start.Add(1000*time.Hour), nonce, mac, binding); got != shim6.StaleNonce {
		t.Errorf("verdict %d", got)
	}
}

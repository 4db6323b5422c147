// SPDX-License-Identifier: MIT

package shim6_test

import (
	"net/netip"
	"testing"
	"time"

	"shim6/daemon/shim6"
	"shim6/daemon/wire"
)

func list(method wire.VerificationMethod, addrs ...netip.Addr) *wire.LocatorList {
	l := &wire.LocatorList{Generation: 1}
	for _, a := range addrs {
		l.Locators = append(l.Locators, wire.Locator{Addr: a, Method: method})
	}
	return l
}

func many(n int) []netip.Addr {
	as := []netip.Addr{a1}
	for i := 1; i < n; i++ {
		b := a1.As16()
		b[15] = byte(i + 1)
		as = append(as, netip.AddrFrom16(b))
	}
	return as
}

func TestOfferCheck(t *testing.T) {
	pds, sig := []byte{1}, []byte{2}
	for _, tt := range []struct {
		name    string
		offer   shim6.Offer
		fault   shim6.Fault
		locator int
	}{
		{"nothing", shim6.Offer{}, shim6.FaultNone, -1},
		{"parameters alone", shim6.Offer{PDS: pds}, shim6.FaultNone, -1},
		{"CGA", shim6.Offer{List: list(2, a1, a2), PDS: pds, Signature: sig}, shim6.FaultNone, -1},
		{"HBA", shim6.Offer{List: list(1, a1, a2), PDS: pds}, shim6.FaultNone, -1},
		{"32 locators", shim6.Offer{List: list(1, many(32)...), PDS: pds}, shim6.FaultNone, -1},
		{"33 locators", shim6.Offer{List: list(1, many(33)...), PDS: pds}, shim6.FaultTooManyLocators, -1},
		{"32 locators and the ULID", shim6.Offer{List: list(1, many(33)[1:]...), PDS: pds}, shim6.FaultTooManyLocators, -1},
		{"none", shim6.Offer{List: list(1), PDS: pds}, shim6.FaultEmptyList, -1},
		// RFC 5533 section 5.6: "If a Locator List option is present, the CGA Parameter Data Structure MUST be" there too.
		{"no parameters", shim6.Offer{List: list(1, a1)}, shim6.FaultListWithoutPDS, -1},
		// RFC 5533 section 7.2: a method that is not supported, or not consistent with the other options.
		{"unknown method", shim6.Offer{List: list(3, a1), PDS: pds, Signature: sig}, shim6.FaultLocatorMethod, 0},
		{"reserved method", shim6.Offer{List: list(0, a1), PDS: pds, Signature: sig}, shim6.FaultLocatorMethod, 0},
		{"CGA without signature", shim6.Offer{List: list(2, a1, a2), PDS: pds}, shim6.FaultLocatorMethod, 0},
		{"twice", shim6.Offer{List: list(1, a1, a2, a1), PDS: pds}, shim6.FaultDuplicateLocator, 2},
	} {
		if f, i := tt.offer.Check(a1); f != tt.fault || i != tt.locator {
			t.Errorf("%s: %q at %d, want %q at %d", tt.name, f, i, tt.fault, tt.locator)
		}
	}
	// RFC 5534 section 3.1: "The address is a global unicast or unique local address".
	for _, bad := range []string{
		"::", "::1", "fe80::1", "ff02::1", "fec0::1", "::ffff:192.0.2.1",
	} {
		o := shim6.Offer{List: list(1, a1, netip.MustParseAddr(bad)), PDS: pds}
		if f, i := o.Check(a1); f != shim6.FaultLocatorAddress || i != 1 {
			t.Errorf("%s: %q at %d", bad, f, i)
		}
	}
	for _, good := range []string{"2001:db8::1", "fd00::1", "2400::"} {
		if !shim6.Usable(netip.MustParseAddr(good)) {
			t.Errorf("%s is not usable", good)
		}
	}
	for _, a := range []netip.Addr{{}, netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1%eth0")} {
		if shim6.Usable(a) {
			t.Errorf("%v is usable", a)
		}
	}
}

// RFC 5534 section 5.3: "If a node receives this option, it SHOULD update its Keepalive Timeout value for the peer."
func TestOfferTimeout(t *testing.T) {
	for s, want := range map[uint16]time.Duration{
		0: 0, 1: time.Second, 15: 15 * time.Second, 3600: time.Hour, 65535: time.Hour,
	} {
		if got := shim6.NewOffer(&wire.Options{KeepaliveTimeout: &s}).Timeout; got != want {
			t.Errorf("%d s is %v, want %v", s, got, want)
		}
	}
	if got := shim6.NewOffer(&wire.Options{}).Timeout; got != 0 {
		t.Errorf("no option is %v", got)
	}
}

func TestOfferDigest(t *testing.T) {
	base := func() shim6.Offer {
		return shim6.Offer{List: list(2, a1, a2), PDS: []byte{1, 2}, Signature: []byte{3}, Timeout: time.Second}
	}
	if x, y := base(), base(); x.Digest() != y.Digest() {
		t.Fatal("equal offers differ")
	}
	for name, change := range map[string]func(o *shim6.Offer){
		"generation": func(o *shim6.Offer) { o.List.Generation++ },
		"method":     func(o *shim6.Offer) { o.List.Locators[1].Method = 1 },
		"address":    func(o *shim6.Offer) { o.List.Locators[1].Addr = b1 },
		"order":      func(o *shim6.Offer) { o.List = list(2, a2, a1) },
		"fewer":      func(o *shim6.Offer) { o.List = list(2, a1) },
		"no list":    func(o *shim6.Offer) { o.List = nil },
		"empty list": func(o *shim6.Offer) { o.List = list(2) },
		"PDS":        func(o *shim6.Offer) { o.PDS = []byte{1, 3} },
		"boundary":   func(o *shim6.Offer) { o.PDS, o.Signature = []byte{1, 2, 3}, nil },
		"signature":  func(o *shim6.Offer) { o.Signature = []byte{4} },
		"no proof":   func(o *shim6.Offer) { o.PDS, o.Signature = nil, nil },
	} {
		o := base()
		change(&o)
		if o.Digest() == base().Digest() {
			t.Errorf("another %s, same digest", name)
		}
	}
}

// SPDX-License-Identifier: MIT

package wire

import "net/netip"

// Options are the options of a message; nil means absent, for the byte slices too: an empty option is a slice of no
// octets. Each message carries the options that the RFCs list for it, and Marshal refuses others.
type Options struct {
	Validator        []byte              // Responder Validator, opaque (RFC 5533 section 5.15.1)
	ULIDs            *ULIDPairOption     // ULID Pair (RFC 5533 section 5.15.6)
	FII              *uint32             // Forked Instance Identifier (RFC 5533 section 5.15.7)
	Locators         *LocatorList        // Locator List (RFC 5533 section 5.15.2)
	Preferences      *LocatorPreferences // Locator Preferences (RFC 5533 section 5.15.3)
	PDS              []byte              // CGA Parameter Data Structure (RFC 5533 section 5.15.4)
	Signature        []byte              // CGA Signature (RFC 5533 section 5.15.5)
	KeepaliveTimeout *uint16             // seconds (RFC 5534 section 5.3)
}

// A ULIDPairOption names the ULIDs where the packet's addresses are not those (RFC 5533 section 5.15.6).
type ULIDPairOption struct {
	Sender, Receiver netip.Addr // sender and receiver of this message
}

const (
	optionHeader = 4
	ulidPairLen  = 36
	fiiLen       = 4
	timeoutLen   = 4
)

type optionType uint16

const (
	optValidator        optionType = 1
	optLocators         optionType = 2
	optPreferences      optionType = 3
	optPDS              optionType = 4
	optSignature        optionType = 5
	optULIDs            optionType = 6
	optFII              optionType = 7
	optKeepaliveTimeout optionType = 10
)

// An optionSet has one bit for each option type up to 10.
type optionSet uint16

const (
	setValidator        optionSet = 1 << optValidator
	setLocators         optionSet = 1 << optLocators
	setPreferences      optionSet = 1 << optPreferences
	setPDS              optionSet = 1 << optPDS
	setSignature        optionSet = 1 << optSignature
	setULIDs            optionSet = 1 << optULIDs
	setFII              optionSet = 1 << optFII
	setKeepaliveTimeout optionSet = 1 << optKeepaliveTimeout
)

func (s optionSet) has(t optionType) bool { return s&(1<<t) != 0 }

// optionSize is what an option with n octets of contents takes: header, contents, padding to a multiple of 8
// (RFC 5533 section 5.15).
func optionSize(n int) int { return 11 + n - (n+3)%8 }

// decode reads the options of the message b from at on. Those outside listed are skipped, unless they are critical.
func (o *Options) decode(b []byte, at int, listed optionSet) *ParseError {
	var seen optionSet
	for at < len(b) {
		t := optionType(be.Uint16(b[at:]) >> 1)
		critical := b[at+1]&1 != 0
		n := int(be.Uint16(b[at+2:]))
		next := at + optionSize(n)
		if next > len(b) {
			return silent(ReasonOptionOverrun, at, "option %d of %d octets, %d left", t, n, len(b)-at-optionHeader)
		}
		switch {
		case listed.has(t):
			if seen.has(t) {
				return silent(ReasonDuplicateOption, at, "option %d", t)
			}
			seen |= 1 << t
			if err := o.set(t, b[at+optionHeader:at+optionHeader+n], at); err != nil {
				return err
			}
		case critical:
			return reply(ReasonUnknownCriticalOption, CodeUnknownCriticalOption, at, "option %d in %s", t, MessageType(b[2]))
		}
		at = next
	}
	return nil
}

// set reads the contents c of the option of type t that starts at at.
func (o *Options) set(t optionType, c []byte, at int) (err *ParseError) {
	switch t {
	case optValidator:
		o.Validator = opaque(c)
	case optLocators:
		o.Locators, err = decodeLocatorList(c, at)
	case optPreferences:
		o.Preferences, err = decodePreferences(c, at)
	case optPDS:
		o.PDS = opaque(c)
	case optSignature:
		o.Signature = opaque(c)
	case optULIDs:
		if err = fixed(t, c, ulidPairLen, at); err == nil {
			o.ULIDs = &ULIDPairOption{Sender: addrAt(c, 4), Receiver: addrAt(c, 20)}
		}
	case optFII:
		if err = fixed(t, c, fiiLen, at); err == nil {
			o.FII = new(be.Uint32(c))
		}
	case optKeepaliveTimeout:
		if err = fixed(t, c, timeoutLen, at); err == nil {
			o.KeepaliveTimeout = new(be.Uint16(c[2:]))
		}
	}
	return err
}

// opaque copies c; the copy is never nil.
func opaque(c []byte) []byte { return append([]byte{}, c...) }

func fixed(t optionType, c []byte, want, at int) *ParseError {
	if len(c) != want {
		return silent(ReasonBadOptionLength, at, "option %d of %d octets, want %d", t, len(c), want)
	}
	return nil
}

// encode appends the options that are present; each must be in listed.
func (o *Options) encode(e *encoder, listed optionSet) {
	option := func(t optionType, present bool, contents func()) {
		if !present {
			return
		}
		if !listed.has(t) {
			e.fail("option %d does not belong there", t)
			return
		}
		at := len(e.b)
		e.u16(uint16(t) << 1)
		e.u16(0)
		contents()
		n := len(e.b) - at - optionHeader
		if n > 0xffff {
			e.fail("option %d of %d octets", t, n)
			return
		}
		be.PutUint16(e.b[at+2:], uint16(n))
		e.zeros(optionSize(n) - optionHeader - n)
	}
	option(optValidator, o.Validator != nil, func() { e.octets(o.Validator) })
	option(optULIDs, o.ULIDs != nil, func() {
		e.zeros(4)
		e.addr("sender ULID", o.ULIDs.Sender)
		e.addr("receiver ULID", o.ULIDs.Receiver)
	})
	option(optFII, o.FII != nil, func() { e.u32(*o.FII) })
	option(optLocators, o.Locators != nil, func() { o.Locators.encode(e) })
	option(optPreferences, o.Preferences != nil, func() { o.Preferences.encode(e) })
	option(optPDS, o.PDS != nil, func() { e.octets(o.PDS) })
	option(optSignature, o.Signature != nil, func() { e.octets(o.Signature) })
	option(optKeepaliveTimeout, o.KeepaliveTimeout != nil, func() {
		e.zeros(2)
		e.u16(*o.KeepaliveTimeout)
	})
}

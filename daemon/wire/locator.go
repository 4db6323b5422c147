// SPDX-License-Identifier: MIT

package wire

import (
	"bytes"
	"fmt"
	"net/netip"
)

// A VerificationMethod says how a locator is tied to the ULID (RFC 5533 section 5.15.2).
type VerificationMethod uint8

// The verification methods. The IANA section of RFC 5533 swaps the two; these are those of its table 4.
const (
	VerifyHBA VerificationMethod = 1
	VerifyCGA VerificationMethod = 2
)

// String gives "HBA", "CGA" or "method N".
func (v VerificationMethod) String() string {
	switch v {
	case VerifyHBA:
		return "HBA"
	case VerifyCGA:
		return "CGA"
	}
	return fmt.Sprintf("method %d", uint8(v))
}

// A LocatorList is the Locator List option: all locators of the sender, in its order (RFC 5533 section 5.15.2). Any
// number of locators, none too, any method and any address parse.
type LocatorList struct {
	Generation uint32
	Locators   []Locator

	at int // where the option starts
}

// A Locator is one entry of a LocatorList.
type Locator struct {
	Addr   netip.Addr
	Method VerificationMethod
}

const (
	locatorListBase = 5 // generation and count
	preferencesBase = 5 // generation and element length
)

// MethodOffset is where the method octet of locator i is in the parsed message, in octets from the start of the Shim6
// header. It is the pointer of an Error message with CodeVerificationFailed, less the headers before.
func (l *LocatorList) MethodOffset(i int) int { return l.at + optionHeader + locatorListBase + i }

// locatorListLen is the contents of a Locator List: the padding that aligns the locators counts too.
func locatorListLen(n int) int { return 12 + 17*n - n%8 }

func decodeLocatorList(c []byte, at int) (*LocatorList, *ParseError) {
	if len(c) < locatorListBase {
		return nil, silent(ReasonBadOptionLength, at, "locator list of %d octets", len(c))
	}
	n := int(c[4])
	if want := locatorListLen(n); len(c) != want {
		return nil, silent(ReasonBadOptionLength, at, "locator list of %d octets, %d locators take %d", len(c), n, want)
	}
	l := &LocatorList{Generation: be.Uint32(c), at: at}
	if n > 0 {
		l.Locators = make([]Locator, n)
	}
	first := len(c) - 16*n
	for i := range l.Locators {
		l.Locators[i] = Locator{Addr: addrAt(c, first+16*i), Method: VerificationMethod(c[locatorListBase+i])}
	}
	return l, nil
}

func (l *LocatorList) encode(e *encoder) {
	n := len(l.Locators)
	if n > 255 {
		e.fail("%d locators", n)
		return
	}
	e.u32(l.Generation)
	e.octet(byte(n))
	for _, loc := range l.Locators {
		e.octet(byte(loc.Method))
	}
	e.zeros(7 - n%8)
	for _, loc := range l.Locators {
		e.addr("locator", loc.Addr)
	}
}

// LocatorPreferences is the Locator Preferences option; element i is about locator i of the list with the same
// generation (RFC 5533 section 5.15.3). Where ElementLen is 0 or does not divide the elements, Elements is empty, so
// that their number never is that of a peer's locators.
type LocatorPreferences struct {
	Generation uint32
	ElementLen uint8 // octets of each element: 1 flags, 2 also priority, 3 also weight, more Extra
	Elements   []Preference

	at int // where the option starts
}

// A Preference is one element of LocatorPreferences. Priority and Weight are those of DNS SRV (RFC 2782).
type Preference struct {
	Flags, Priority, Weight uint8
	Extra                   []byte // undefined octets after the weight
}

// The flags of a Preference.
const (
	FlagBroken    = 0x01 // known not to work
	FlagTransient = 0x02 // less stable than others
)

// GenerationOffset is where the generation is in the parsed message, in octets from the start of the Shim6 header; it is
// meant for CodeGenerationMismatch.
func (p *LocatorPreferences) GenerationOffset() int { return p.at + optionHeader }

// LengthOffset is where the option's Length field is in the parsed message, in octets from the start of the Shim6
// header; it is meant for CodePreferencesCount.
func (p *LocatorPreferences) LengthOffset() int { return p.at + 2 }

func decodePreferences(c []byte, at int) (*LocatorPreferences, *ParseError) {
	if len(c) < preferencesBase {
		return nil, silent(ReasonBadOptionLength, at, "locator preferences of %d octets", len(c))
	}
	p := &LocatorPreferences{Generation: be.Uint32(c), ElementLen: c[4], at: at}
	c = c[preferencesBase:]
	size := int(p.ElementLen)
	if size == 0 || len(c) == 0 || len(c)%size != 0 {
		return p, nil
	}
	p.Elements = make([]Preference, 0, len(c)/size)
	for ; len(c) > 0; c = c[size:] {
		el := Preference{Flags: c[0]}
		if size > 1 {
			el.Priority = c[1]
		}
		if size > 2 {
			el.Weight = c[2]
		}
		if size > 3 {
			el.Extra = bytes.Clone(c[3:size])
		}
		p.Elements = append(p.Elements, el)
	}
	return p, nil
}

func (p *LocatorPreferences) encode(e *encoder) {
	size := int(p.ElementLen)
	e.u32(p.Generation)
	e.octet(p.ElementLen)
	for i, el := range p.Elements {
		if size < 1 || size < 2 && el.Priority != 0 || size < 3 && el.Weight != 0 || len(el.Extra) != max(size-3, 0) {
			e.fail("preference %d does not fit %d octets", i, size)
			return
		}
		fixed := [3]byte{el.Flags, el.Priority, el.Weight}
		e.octets(fixed[:min(size, 3)])
		e.octets(el.Extra)
	}
}

// SPDX-License-Identifier: MIT

package wire

import (
	"bytes"
	"fmt"
)

// An ErrorCode is the 7-bit code of an ErrorMsg (RFC 5533 section 5.14).
type ErrorCode uint8

// The error codes of RFC 5533.
const (
	CodeUnknownMessageType    ErrorCode = 0
	CodeUnknownCriticalOption ErrorCode = 1
	CodeVerificationFailed    ErrorCode = 2 // a locator's verification method
	CodeGenerationMismatch    ErrorCode = 3 // Locator Preferences for another Locator List
	CodePreferencesCount      ErrorCode = 4 // more or fewer preferences than locators
)

// String says what the code means, or "code N".
func (c ErrorCode) String() string {
	switch c {
	case CodeUnknownMessageType:
		return "unknown message type"
	case CodeUnknownCriticalOption:
		return "unknown critical option"
	case CodeVerificationFailed:
		return "locator verification method failed"
	case CodeGenerationMismatch:
		return "locator list generation out of sync"
	case CodePreferencesCount:
		return "wrong number of locators in preferences"
	}
	return fmt.Sprintf("code %d", uint8(c))
}

// An ErrorMsg tells the sender of a packet what was wrong with it (RFC 5533 section 5.14).
type ErrorMsg struct {
	Code    ErrorCode
	Pointer uint16 // octet offset in Packet
	// Packet is the packet in error from its IPv6 header on. Marshal cuts it to whole units of 8 octets and to what
	// fits MaxControl; it fails for less than 8 octets.
	Packet []byte
}

const errorBase = 8

// Type is TypeError.
func (*ErrorMsg) Type() MessageType { return TypeError }

func (m *ErrorMsg) decode(b []byte) (int, *ParseError) {
	m.Code = ErrorCode(b[3] >> 1)
	m.Pointer = be.Uint16(b[6:])
	m.Packet = bytes.Clone(b[errorBase:])
	return len(b), nil
}

func (m *ErrorMsg) encode(e *encoder) {
	if m.Code > 127 {
		e.fail("error code %d has more than 7 bits", m.Code)
	}
	n := min(len(m.Packet), MaxControl-errorBase) &^ 7
	if n == 0 {
		e.fail("packet in error of %d octets", len(m.Packet))
	}
	e.b[3] = byte(m.Code << 1)
	e.u16(m.Pointer)
	e.octets(m.Packet[:n])
}

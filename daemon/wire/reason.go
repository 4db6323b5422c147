// SPDX-License-Identifier: MIT

package wire

import "fmt"

// A Reason says in one word why input was refused; it is fit to name a counter.
type Reason string

// The reasons of a ParseError.
const (
	ReasonTruncated             Reason = "truncated"               // shorter than a header, or than Hdr Ext Len says
	ReasonNotControl            Reason = "not-control"             // a Payload Extension Header given to Parse
	ReasonNotPayload            Reason = "not-payload"             // a control message given to ParsePayloadHeader
	ReasonHIP                   Reason = "hip"                     // S bit set: a HIP packet
	ReasonBadChecksum           Reason = "bad-checksum"            // sum over the Shim6 header is wrong
	ReasonUnknownType           Reason = "unknown-type"            // answered with code 0
	ReasonBadLength             Reason = "bad-length"              // Hdr Ext Len below the least of the type
	ReasonBadProbe              Reason = "bad-probe"               // no sent report, reports past the end, undefined state
	ReasonOptionOverrun         Reason = "option-overrun"          // option longer than the message
	ReasonBadOptionLength       Reason = "bad-option-length"       // option length and contents disagree
	ReasonDuplicateOption       Reason = "duplicate-option"        // option given twice
	ReasonUnknownCriticalOption Reason = "unknown-critical-option" // answered with code 1
)

// AllReasons lists every Reason of a ParseError.
var AllReasons = []Reason{
	ReasonTruncated, ReasonNotControl, ReasonNotPayload, ReasonHIP, ReasonBadChecksum, ReasonUnknownType, ReasonBadLength,
	ReasonBadProbe, ReasonOptionOverrun, ReasonBadOptionLength, ReasonDuplicateOption, ReasonUnknownCriticalOption,
}

// String gives the reason as it is.
func (r Reason) String() string { return string(r) }

// A ParseError tells why a message was refused. With Reply, an Error message with Code is due, its Pointer leading to
// Pointer; without, the message is to be dropped silently (RFC 5533 section 12.3).
type ParseError struct {
	Reason  Reason
	Code    ErrorCode // with Reply only
	Reply   bool
	Pointer int    // octet offset from the start of the Shim6 header
	Detail  string // for people
}

// Error gives the reason, the place and the detail.
func (e *ParseError) Error() string {
	return fmt.Sprintf("%s at octet %d: %s", e.Reason, e.Pointer, e.Detail)
}

func silent(r Reason, pointer int, format string, args ...any) *ParseError {
	return &ParseError{Reason: r, Pointer: pointer, Detail: fmt.Sprintf(format, args...)}
}

func reply(r Reason, c ErrorCode, pointer int, format string, args ...any) *ParseError {
	return &ParseError{Reason: r, Code: c, Reply: true, Pointer: pointer, Detail: fmt.Sprintf(format, args...)}
}

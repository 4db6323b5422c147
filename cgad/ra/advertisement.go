// SPDX-License-Identifier: MIT

package ra

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"time"
)

// Types of ICMPv6 messages (RFC 4861 sections 4.1 and 4.2).
const (
	TypeRouterSolicitation  = 133
	TypeRouterAdvertisement = 134
)

// HopLimit is that of every Neighbor Discovery message; one that was forwarded has less (RFC 4861 section 6.1.2).
const HopLimit = 255

// Infinite is a lifetime without end.
const Infinite time.Duration = math.MaxInt64

const (
	headerLen  = 16
	optionUnit = 8 // octets in a unit of an option's length field
)

// A Preference is the preference of a router or route (RFC 4191 section 2.1); higher is better, and the zero value is
// Medium.
type Preference int8

// The preferences.
const (
	Low    Preference = -1
	Medium Preference = 0
	High   Preference = 1
)

func (p Preference) String() string {
	switch p {
	case Low:
		return "low"
	case High:
		return "high"
	}
	return "medium"
}

// An Advertisement is the content of a Router Advertisement that address and route configuration need.
type Advertisement struct {
	RouterLifetime time.Duration // zero: not a default router
	Preference     Preference    // as a default router
	Prefixes       []Prefix      // in the order of the options
	Routes         []Route
	Ignored        []error // one *OptionError for each option that was left out because it is malformed
}

// A Prefix is a Prefix Information option (RFC 4861 section 4.6.2).
type Prefix struct {
	Prefix     netip.Prefix // masked
	OnLink     bool
	Autonomous bool
	Valid      time.Duration // Infinite, or whole seconds
	Preferred  time.Duration // may exceed Valid: the receiver judges that
}

// A Route is a Route Information option (RFC 4191 section 2.3).
type Route struct {
	Prefix     netip.Prefix // masked
	Preference Preference
	Lifetime   time.Duration
}

// A Meta is what the IPv6 header says of a message.
type Meta struct {
	Source   netip.Addr
	HopLimit int
}

// An OptionError says why an option was ignored.
type OptionError struct {
	Type   uint8
	Offset int // of the option in the ICMPv6 message
	Detail string
}

func (e *OptionError) Error() string {
	return fmt.Sprintf("option %d at octet %d: %s", e.Type, e.Offset, e.Detail)
}

// Parse validates and parses a Router Advertisement, b beginning with the ICMPv6 type. An error means that the whole
// message must be discarded silently (RFC 4861 section 6.1.2). The checksum is the kernel's business.
func Parse(b []byte, m Meta) (*Advertisement, error) {
	switch {
	case !m.Source.Is6() || !m.Source.IsLinkLocalUnicast():
		return nil, fmt.Errorf("source %v is not link-local", m.Source)
	case m.HopLimit != HopLimit:
		return nil, fmt.Errorf("hop limit is %d, not %d", m.HopLimit, HopLimit)
	case len(b) < headerLen:
		return nil, fmt.Errorf("%d octets, a router advertisement has at least %d", len(b), headerLen)
	case b[0] != TypeRouterAdvertisement:
		return nil, fmt.Errorf("ICMPv6 type is %d, not %d", b[0], TypeRouterAdvertisement)
	case b[1] != 0:
		return nil, fmt.Errorf("ICMPv6 code is %d, not 0", b[1])
	}
	a := &Advertisement{RouterLifetime: time.Duration(binary.BigEndian.Uint16(b[6:])) * time.Second}
	// RFC 4191 section 2.2: the reserved value is treated as Medium, and without a lifetime the preference is ignored.
	if p, ok := preference(b[5]); ok && a.RouterLifetime > 0 {
		a.Preference = p
	}
	if err := a.options(b); err != nil {
		return nil, err
	}
	return a, nil
}

// options reads the options of b. An option that reaches beyond the end is ignored, being the last in any case.
func (a *Advertisement) options(b []byte) error {
	for off := headerLen; off < len(b); {
		if len(b)-off < 2 {
			a.ignore(&OptionError{b[off], off, "the message ends inside its header"})
			return nil
		}
		kind, size := b[off], int(b[off+1])*optionUnit
		if size == 0 {
			// The only defect of an option that condemns the message (RFC 4861 section 6.1.2).
			return &OptionError{kind, off, "has length 0"}
		}
		if size > len(b)-off {
			a.ignore(&OptionError{kind, off, fmt.Sprintf("has %d octets, %d are left", size, len(b)-off)})
			return nil
		}
		if detail := a.option(b[off : off+size]); detail != "" {
			a.ignore(&OptionError{kind, off, detail})
		}
		off += size
	}
	return nil
}

// ignoredMax bounds what is said about one message.
const ignoredMax = 8

func (a *Advertisement) ignore(e *OptionError) {
	if len(a.Ignored) < ignoredMax {
		a.Ignored = append(a.Ignored, e)
	}
}

func preference(octet byte) (p Preference, ok bool) {
	switch octet >> 3 & 3 {
	case 0b01:
		return High, true
	case 0b11:
		return Low, true
	case 0b00:
		return Medium, true
	}
	return Medium, false
}

func lifetime(b []byte) time.Duration {
	s := binary.BigEndian.Uint32(b)
	if s == math.MaxUint32 {
		return Infinite
	}
	return time.Duration(s) * time.Second
}

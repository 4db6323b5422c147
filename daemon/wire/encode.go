// SPDX-License-Identifier: MIT

package wire

import (
	"fmt"
	"net/netip"
)

// An encoder appends fields in network order and keeps the first error.
type encoder struct {
	b   []byte
	err error
}

func (e *encoder) fail(format string, args ...any) {
	if e.err == nil {
		e.err = fmt.Errorf(format, args...)
	}
}

func (e *encoder) zeros(n int)     { e.b = append(e.b, make([]byte, n)...) }
func (e *encoder) octet(v uint8)   { e.b = append(e.b, v) }
func (e *encoder) octets(v []byte) { e.b = append(e.b, v...) }
func (e *encoder) u16(v uint16)    { e.b = be.AppendUint16(e.b, v) }
func (e *encoder) u32(v uint32)    { e.b = be.AppendUint32(e.b, v) }

// tag appends a zero bit and 47 bits of tag.
func (e *encoder) tag(name string, t ContextTag) {
	if t > maxTag {
		e.fail("%s %x has more than 47 bits", name, uint64(t))
	}
	e.u16(uint16(t >> 32))
	e.u32(uint32(t))
}

func (e *encoder) addr(name string, a netip.Addr) {
	if !a.Is6() || a.Zone() != "" {
		e.fail("%s %s is no plain IPv6 address", name, a)
	}
	v := a.As16()
	e.octets(v[:])
}

func addrAt(b []byte, off int) netip.Addr { return netip.AddrFrom16([16]byte(b[off:])) }

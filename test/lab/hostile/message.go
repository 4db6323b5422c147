// SPDX-License-Identifier: MIT

// Package hostile makes Shim6 messages that are wrong in many ways, and sends them with any source address. It knows of the
// protocol only the checksum, the length octet and where a tag is.
package hostile

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
)

const (
	offsetLength   = 1
	offsetType     = 2
	offsetChecksum = 4
	offsetTag      = 6
	// firstReceiverType is the first type whose tag is the receiver's (RFC 5533 section 5.3).
	firstReceiverType = 64
	typeError         = 68
	pBit              = 0x80
)

// A Message is one message and what is wrong with it.
type Message struct {
	Name   string
	Octets []byte
}

// ParseHex reads a message from hexadecimal digits with comments.
func ParseHex(name, text string) (Message, error) {
	var digits strings.Builder
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	octets, err := hex.DecodeString(digits.String())
	if err != nil {
		return Message{}, fmt.Errorf("%s: %w", name, err)
	}
	if len(octets) < 8 {
		return Message{}, fmt.Errorf("%s: %d octets are no Shim6 header", name, len(octets))
	}
	return Message{name, octets}, nil
}

// Control tells whether the message is a control message, not payload.
func (m Message) Control() bool { return m.Octets[offsetType]&pBit == 0 }

// ToReceiver tells whether the message names its receiver's context by a tag.
func (m Message) ToReceiver() bool {
	return m.Control() && m.Octets[offsetType] >= firstReceiverType && m.Octets[offsetType] != typeError
}

// WithTag returns the message with another tag of the receiver, its checksum right.
func (m Message) WithTag(tag uint64) Message {
	b := m.copy()
	var octets [8]byte
	binary.BigEndian.PutUint64(octets[:], tag)
	copy(b[offsetTag:offsetTag+6], octets[2:])
	return Message{m.Name + " with a live tag", sum(b)}
}

// Refusable returns variants that no receiver may take: cut short, of a wrong checksum, with an unknown critical option.
func (m Message) Refusable() []Message {
	var list []Message
	for n := range m.Octets {
		list = append(list, Message{fmt.Sprintf("%s cut to %d", m.Name, n), m.Octets[:n]})
	}
	for bit := range 16 {
		b := m.copy()
		b[offsetChecksum+bit/8] ^= 1 << (bit % 8)
		list = append(list, Message{fmt.Sprintf("%s, checksum bit %d", m.Name, bit), b})
	}
	// RFC 5533 section 5.15: the lowest bit of the type marks a critical option; 32767 is nobody's.
	option := []byte{0xff, 0xff, 0, 4, 1, 2, 3, 4}
	b := append(m.copy(), option...)
	b[offsetLength]++
	return append(list, Message{m.Name + ", unknown critical option", sum(b)})
}

// Mutants returns variants with a right checksum and anything else wrong: a length that fits the cut, and every 16-bit word
// replaced by extremes, which hits each option's type and length. Some are well formed by chance.
func (m Message) Mutants() []Message {
	var list []Message
	for n := 8; n < len(m.Octets); n += 8 {
		b := append([]byte(nil), m.Octets[:n]...)
		b[offsetLength] = byte(n/8 - 1)
		list = append(list, Message{fmt.Sprintf("%s of length %d", m.Name, n), sum(b)})
	}
	for at := 0; at+1 < len(m.Octets); at += 2 {
		if at == offsetChecksum {
			continue
		}
		for _, word := range []uint16{0, 1, 0x7fff, 0x8000, 0xffff} {
			b := m.copy()
			binary.BigEndian.PutUint16(b[at:], word)
			list = append(list, Message{fmt.Sprintf("%s, %04x at %d", m.Name, word, at), sum(b)})
		}
	}
	return list
}

func (m Message) copy() []byte { return append([]byte(nil), m.Octets...) }

// sum fills in the checksum (RFC 5533 section 5.3): the Internet checksum over what the length octet covers.
func sum(b []byte) []byte {
	binary.BigEndian.PutUint16(b[offsetChecksum:], 0)
	covered := min(len(b), (int(b[offsetLength])+1)*8)
	var total uint32
	for i := 0; i < covered; i += 2 {
		word := uint32(b[i]) << 8
		if i+1 < covered {
			word |= uint32(b[i+1])
		}
		total += word
	}
	for total > 0xffff {
		total = total>>16 + total&0xffff
	}
	binary.BigEndian.PutUint16(b[offsetChecksum:], ^uint16(total))
	return b
}

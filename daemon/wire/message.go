// SPDX-License-Identifier: MIT

package wire

import "fmt"

// A Message is one control message: *I1, *R1, *I2, *R2, *R1bis, *I2bis, *UpdateRequest, *UpdateAck, *Keepalive, *Probe
// or *ErrorMsg.
type Message interface {
	Type() MessageType
	// decode reads the part between checksum and options from b, the whole Shim6 header with at least the octets that
	// the layout asks for, and tells where the options start.
	decode(b []byte) (options int, err *ParseError)
	// encode appends what decode reads.
	encode(e *encoder)
}

// A layout says what is fixed about a message type.
type layout struct {
	name    string
	min     int // octets of the Shim6 header
	options optionSet
	make    func() Message
}

// setAnnounce is what a host tells about itself.
const setAnnounce = setLocators | setPreferences | setPDS | setSignature | setKeepaliveTimeout

var layouts = map[MessageType]layout{
	TypeI1:            {"I1", 16, setULIDs | setFII, func() Message { return new(I1) }},
	TypeR1:            {"R1", 16, setValidator, func() Message { return new(R1) }},
	TypeI2:            {"I2", 24, setValidator | setULIDs | setFII | setAnnounce, func() Message { return new(I2) }},
	TypeR2:            {"R2", 16, setAnnounce, func() Message { return new(R2) }},
	TypeR1bis:         {"R1bis", 16, setValidator, func() Message { return new(R1bis) }},
	TypeI2bis:         {"I2bis", 32, setValidator | setULIDs | setFII | setAnnounce, func() Message { return new(I2bis) }},
	TypeUpdateRequest: {"UpdateRequest", 16, setAnnounce, func() Message { return new(UpdateRequest) }},
	TypeUpdateAck:     {"UpdateAck", 16, 0, func() Message { return new(UpdateAck) }},
	TypeKeepalive:     {"Keepalive", 16, 0, func() Message { return new(Keepalive) }},
	TypeProbe:         {"Probe", probeBase + reportLen, 0, func() Message { return new(Probe) }},
	TypeError:         {"Error", 16, 0, func() Message { return new(ErrorMsg) }},
}

// Parse reads the control message at the start of b, which begins with the Shim6 header; what follows the header is
// ignored (RFC 5533 section 5.3). The message keeps no part of b. An error is a *ParseError.
func Parse(b []byte) (Message, error) {
	m, err := parse(b)
	if err != nil {
		return nil, err
	}
	return m, nil
}

func parse(b []byte) (Message, *ParseError) {
	if len(b) < headerLen {
		return nil, silent(ReasonTruncated, 0, "%d octets", len(b))
	}
	if !IsControl(b) {
		return nil, silent(ReasonNotControl, 2, "P bit is 1")
	}
	size := (int(b[1]) + 1) * headerLen
	if size > len(b) {
		return nil, silent(ReasonTruncated, 1, "%d octets, header length says %d", len(b), size)
	}
	b = b[:size]
	if b[3]&hipBit != 0 {
		return nil, silent(ReasonHIP, 3, "S bit is 1")
	}
	if sum(b) != 0xffff {
		return nil, silent(ReasonBadChecksum, 4, "checksum %04x, want %04x", be.Uint16(b[4:]), Checksum(b))
	}
	t := MessageType(b[2])
	l, ok := layouts[t]
	if !ok {
		return nil, reply(ReasonUnknownType, CodeUnknownMessageType, 2, "%s", t)
	}
	if size < l.min {
		return nil, silent(ReasonBadLength, 1, "%s of %d octets, the least is %d", t, size, l.min)
	}
	m := l.make()
	at, err := m.decode(b)
	if err != nil {
		return nil, err
	}
	var ignored Options
	o := &ignored
	if c, ok := m.(carrier); ok {
		o = c.options()
	}
	if err := o.decode(b, at, l.options); err != nil {
		return nil, err
	}
	return m, nil
}

// Marshal gives the octets of a message: length and checksum filled in, Next Header 59, reserved fields and padding zero,
// options in a fixed order. It fails when a field does not fit the message, when an option is not one of the message's,
// and when the message would be longer than MaxControl.
func Marshal(m Message) ([]byte, error) {
	l, ok := layouts[m.Type()]
	if !ok {
		return nil, fmt.Errorf("marshal %s: no such message", m.Type())
	}
	c, carries := m.(carrier)
	room := 256
	if carries {
		room += len(c.options().PDS) + len(c.options().Signature)
	}
	e := encoder{b: make([]byte, 6, room)}
	m.encode(&e)
	if carries {
		c.options().encode(&e, l.options)
	}
	if e.err != nil {
		return nil, fmt.Errorf("marshal %s: %w", l.name, e.err)
	}
	if len(e.b) > MaxControl {
		return nil, fmt.Errorf("marshal %s: %d octets, the most is %d", l.name, len(e.b), MaxControl)
	}
	e.b[0] = noNextHeader
	e.b[1] = byte(len(e.b)/headerLen - 1)
	e.b[2] = byte(m.Type())
	be.PutUint16(e.b[4:], Checksum(e.b))
	return e.b, nil
}

// A carrier is a message with options.
type carrier interface{ options() *Options }

func (o *Options) options() *Options { return o }

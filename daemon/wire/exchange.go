// SPDX-License-Identifier: MIT

package wire

// An I1 asks for a context (RFC 5533 section 5.4).
type I1 struct {
	InitiatorTag ContextTag
	InitNonce    uint32
	Options
}

// An R1 answers an I1 without keeping state (RFC 5533 section 5.5).
type R1 struct {
	InitNonce, RespNonce uint32
	Options
}

// An I2 answers an R1 and makes the responder create the context (RFC 5533 section 5.6).
type I2 struct {
	InitiatorTag         ContextTag
	InitNonce, RespNonce uint32
	Options
}

// An R2 ends the exchange (RFC 5533 section 5.7).
type R2 struct {
	ResponderTag ContextTag
	InitNonce    uint32
	Options
}

// An R1bis tells that a packet's context tag is not known (RFC 5533 section 5.8).
type R1bis struct {
	PacketTag ContextTag // the tag of that packet
	RespNonce uint32
	Options
}

// An I2bis answers an R1bis to recover a context (RFC 5533 section 5.9).
type I2bis struct {
	InitiatorTag         ContextTag
	InitNonce, RespNonce uint32
	PacketTag            ContextTag // copied from the R1bis
	Options
}

// Type is TypeI1.
func (*I1) Type() MessageType { return TypeI1 }

// Type is TypeR1.
func (*R1) Type() MessageType { return TypeR1 }

// Type is TypeI2.
func (*I2) Type() MessageType { return TypeI2 }

// Type is TypeR2.
func (*R2) Type() MessageType { return TypeR2 }

// Type is TypeR1bis.
func (*R1bis) Type() MessageType { return TypeR1bis }

// Type is TypeI2bis.
func (*I2bis) Type() MessageType { return TypeI2bis }

func (m *I1) decode(b []byte) (int, *ParseError) {
	m.InitiatorTag = tagAt(b, 6)
	m.InitNonce = be.Uint32(b[12:])
	return 16, nil
}

func (m *I1) encode(e *encoder) {
	e.tag("initiator context tag", m.InitiatorTag)
	e.u32(m.InitNonce)
}

func (m *R1) decode(b []byte) (int, *ParseError) {
	m.InitNonce = be.Uint32(b[8:])
	m.RespNonce = be.Uint32(b[12:])
	return 16, nil
}

func (m *R1) encode(e *encoder) {
	e.zeros(2)
	e.u32(m.InitNonce)
	e.u32(m.RespNonce)
}

func (m *I2) decode(b []byte) (int, *ParseError) {
	m.InitiatorTag = tagAt(b, 6)
	m.InitNonce = be.Uint32(b[12:])
	m.RespNonce = be.Uint32(b[16:])
	return 24, nil
}

func (m *I2) encode(e *encoder) {
	e.tag("initiator context tag", m.InitiatorTag)
	e.u32(m.InitNonce)
	e.u32(m.RespNonce)
	e.zeros(4)
}

func (m *R2) decode(b []byte) (int, *ParseError) {
	m.ResponderTag = tagAt(b, 6)
	m.InitNonce = be.Uint32(b[12:])
	return 16, nil
}

func (m *R2) encode(e *encoder) {
	e.tag("responder context tag", m.ResponderTag)
	e.u32(m.InitNonce)
}

func (m *R1bis) decode(b []byte) (int, *ParseError) {
	m.PacketTag = tagAt(b, 6)
	m.RespNonce = be.Uint32(b[12:])
	return 16, nil
}

func (m *R1bis) encode(e *encoder) {
	e.tag("packet context tag", m.PacketTag)
	e.u32(m.RespNonce)
}

func (m *I2bis) decode(b []byte) (int, *ParseError) {
	m.InitiatorTag = tagAt(b, 6)
	m.InitNonce = be.Uint32(b[12:])
	m.RespNonce = be.Uint32(b[16:])
	m.PacketTag = tagAt(b, 26)
	return 32, nil
}

func (m *I2bis) encode(e *encoder) {
	e.tag("initiator context tag", m.InitiatorTag)
	e.u32(m.InitNonce)
	e.u32(m.RespNonce)
	e.zeros(6)
	e.tag("packet context tag", m.PacketTag)
}

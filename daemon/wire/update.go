// SPDX-License-Identifier: MIT

package wire

// An UpdateRequest announces the sender's locators or preferences anew (RFC 5533 section 5.10).
type UpdateRequest struct {
	ReceiverTag ContextTag
	ReqNonce    uint32
	Options
}

// An UpdateAck acknowledges the UpdateRequest with the same nonce (RFC 5533 section 5.11).
type UpdateAck struct {
	ReceiverTag ContextTag
	ReqNonce    uint32
	Options
}

// Type is TypeUpdateRequest.
func (*UpdateRequest) Type() MessageType { return TypeUpdateRequest }

// Type is TypeUpdateAck.
func (*UpdateAck) Type() MessageType { return TypeUpdateAck }

func (m *UpdateRequest) decode(b []byte) (int, *ParseError) {
	m.ReceiverTag = tagAt(b, 6)
	m.ReqNonce = be.Uint32(b[12:])
	return 16, nil
}

func (m *UpdateRequest) encode(e *encoder) {
	e.tag("receiver context tag", m.ReceiverTag)
	e.u32(m.ReqNonce)
}

func (m *UpdateAck) decode(b []byte) (int, *ParseError) {
	m.ReceiverTag = tagAt(b, 6)
	m.ReqNonce = be.Uint32(b[12:])
	return 16, nil
}

func (m *UpdateAck) encode(e *encoder) {
	e.tag("receiver context tag", m.ReceiverTag)
	e.u32(m.ReqNonce)
}

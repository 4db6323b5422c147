// SPDX-License-Identifier: MIT

package wire

import "net/netip"

// A Keepalive shows that its sender hears the receiver (RFC 5534 section 5.1).
type Keepalive struct {
	ReceiverTag ContextTag
	Options
}

// A Probe tests a pair of locators (RFC 5534 section 5.2).
type Probe struct {
	ReceiverTag ContextTag
	State       uint8         // the sender's after sending: 0 Operational, 1 Exploring, 2 InboundOk
	Sent        []ProbeReport // 1 to 15, the first about this very message
	Received    []ProbeReport // 0 to 15
	Options
}

// A ProbeReport describes one probe, sent or received.
type ProbeReport struct {
	Src, Dst netip.Addr
	Nonce    uint32
	Data     uint32 // no meaning, to be copied back as it is
}

const (
	probeBase     = 16
	reportLen     = 40
	maxReports    = 15
	maxProbeState = 2
)

// Type is TypeKeepalive.
func (*Keepalive) Type() MessageType { return TypeKeepalive }

// Type is TypeProbe.
func (*Probe) Type() MessageType { return TypeProbe }

func (m *Keepalive) decode(b []byte) (int, *ParseError) {
	m.ReceiverTag = tagAt(b, 6)
	return 16, nil
}

func (m *Keepalive) encode(e *encoder) {
	e.tag("receiver context tag", m.ReceiverTag)
	e.zeros(4)
}

func (m *Probe) decode(b []byte) (int, *ParseError) {
	m.ReceiverTag = tagAt(b, 6)
	received, sent := int(b[12]>>4), int(b[12]&15)
	m.State = b[13] >> 6
	end := probeBase + reportLen*(sent+received)
	switch {
	case sent == 0:
		return 0, silent(ReasonBadProbe, 12, "no sent report")
	case m.State > maxProbeState:
		return 0, silent(ReasonBadProbe, 13, "state %d", m.State)
	case end > len(b):
		return 0, silent(ReasonBadProbe, 12, "%d sent and %d received reports in %d octets", sent, received, len(b))
	}
	m.Sent = reportsAt(b, probeBase, sent)
	m.Received = reportsAt(b, probeBase+reportLen*sent, received)
	return end, nil
}

func reportsAt(b []byte, off, n int) []ProbeReport {
	if n == 0 {
		return nil
	}
	rs := make([]ProbeReport, n)
	for i := range rs {
		r := b[off+i*reportLen:]
		rs[i] = ProbeReport{Src: addrAt(r, 0), Dst: addrAt(r, 16), Nonce: be.Uint32(r[32:]), Data: be.Uint32(r[36:])}
	}
	return rs
}

func (m *Probe) encode(e *encoder) {
	if n := len(m.Sent); n < 1 || n > maxReports {
		e.fail("%d sent reports", n)
	}
	if n := len(m.Received); n > maxReports {
		e.fail("%d received reports", n)
	}
	if m.State > maxProbeState {
		e.fail("state %d", m.State)
	}
	e.tag("receiver context tag", m.ReceiverTag)
	e.octet(byte(len(m.Received)<<4 | len(m.Sent)))
	e.octet(m.State << 6)
	e.zeros(2)
	for _, rs := range [][]ProbeReport{m.Sent, m.Received} {
		for _, r := range rs {
			e.addr("report source", r.Src)
			e.addr("report destination", r.Dst)
			e.u32(r.Nonce)
			e.u32(r.Data)
		}
	}
}

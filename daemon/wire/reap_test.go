// SPDX-License-Identifier: MIT

package wire_test

import (
	"fmt"
	"net/netip"
	"testing"

	"shim6/daemon/wire"
)

func reports(n int, nonce uint32) []wire.ProbeReport {
	var rs []wire.ProbeReport
	for i := range n {
		src := a1.As16()
		src[15] = byte(i)
		rs = append(rs, wire.ProbeReport{Src: netip.AddrFrom16(src), Dst: b1, Nonce: nonce + uint32(i), Data: ^uint32(i)})
	}
	return rs
}

// RFC 5534 section 5.2: "Psent This is a 4-bit field that indicates the number of sent probes included in this Probe
// message." "Precvd This is a 4-bit field that indicates the number of received probes". "Probe Data [...] is copied back
// with no changes."
func TestProbeReports(t *testing.T) {
	for sent := 1; sent <= 15; sent++ {
		for received := 0; received <= 15; received++ {
			m := &wire.Probe{ReceiverTag: tagInit, State: 2, Sent: reports(sent, 100), Received: reports(received, 200)}
			b, err := wire.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			if b[12] != byte(received<<4|sent) || int(b[1]) != 1+5*(sent+received) || len(b) > wire.MaxControl {
				t.Errorf("%d sent, %d received: %x, %d octets", sent, received, b[:16], len(b))
			}
			accepted(t, b, m)
		}
	}
}

// RFC 5534 section 5.2: "The first set of Probe fields pertains to the current message and MUST be present, so the minimum
// value for this field is 1."
func TestProbeWithoutSentReportIsDropped(t *testing.T) {
	b := load(t, "probe-inboundok")
	b[12] = 0x20
	dropped(t, sign(b), wire.ReasonBadProbe)
}

// RFC 5534 section 5.2: "Sta (State) [...] has three legal values".
func TestProbeState(t *testing.T) {
	for state := range byte(4) {
		b := load(t, "probe")
		b[13] = state<<6 | 0x3f
		if sign(b); state == 3 {
			dropped(t, b, wire.ReasonBadProbe)
			continue
		}
		want := *messages["probe"].(*wire.Probe)
		want.State = state
		accepted(t, b, &want)
	}
}

func TestProbeReportsPastTheEndAreDropped(t *testing.T) {
	for _, counts := range []byte{0x02, 0x11, 0x0f, 0xf1, 0xff} {
		b := load(t, "probe")
		b[12] = counts
		dropped(t, sign(b), wire.ReasonBadProbe)
	}
}

// RFC 5534 section 5.2: "Options For future extensions."
func TestProbeOptions(t *testing.T) {
	want := messages["probe-inboundok"]
	accepted(t, withOptions(t, "probe-inboundok", "4000 0003 0102 0300"), want)
	b := withOptions(t, "probe-inboundok", "4000 0003 0102 0300", "4001 0000 0000 0000")
	if pe := refused(t, b); !pe.Reply || pe.Code != wire.CodeUnknownCriticalOption || pe.Pointer != 104 {
		t.Errorf("%+v", pe)
	}
	// One report fewer than there are: the rest is read as options.
	b = load(t, "probe-inboundok")
	b[12] = 0x01
	if pe := refused(t, sign(b)); pe.Pointer != 56 {
		t.Errorf("%+v", pe)
	}
}

// RFC 5534 section 5.1 defines no option for Keepalive; RFC 5533 section 5.15: "If C=0, then the option is silently
// ignored, and the rest of the message is processed."
func TestKeepaliveOptions(t *testing.T) {
	for _, o := range []string{"0014 0004 0000 0014", "0002 0000 0000 0000", "fffe 0001 ff00 0000"} {
		accepted(t, withOptions(t, "keepalive", o), messages["keepalive"])
	}
}

// RFC 5534 section 5.3: "Type = 10 |0| Length = 4 | Reserved | Keepalive Timeout"; the value is "in seconds".
func TestKeepaliveTimeout(t *testing.T) {
	for _, seconds := range []uint16{0, 1, 20, 65535} {
		m := &wire.R2{ResponderTag: tagResp, InitNonce: 1, Options: wire.Options{KeepaliveTimeout: &seconds}}
		b, err := wire.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := fmt.Sprintf("%x", b[16:]), fmt.Sprintf("001400040000%04x", seconds); got != want {
			t.Errorf("option %s, want %s", got, want)
		}
		// "Reserved [...] MUST be ignored upon receipt."
		b[20], b[21] = 0xff, 0xff
		accepted(t, sign(b), m)
	}
}

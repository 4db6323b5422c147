// SPDX-License-Identifier: MIT

package ctl

import (
	"net/netip"
	"time"
)

// A Path is a locator pair of a context that was used or probed, with what is known of it.
type Path struct {
	Pair
	Current    bool       `json:"current"`
	InKernel   bool       `json:"in_kernel"` // payload may be sent on it
	Probes     uint64     `json:"probes"`    // sent on it
	Answered   uint64     `json:"answered"`  // of these
	Awaited    uint64     `json:"awaited"`   // of these, whose answer may still come; what is left was lost, or its answer was
	RTTMS      float64    `json:"rtt_ms"`    // smoothed; 0 before the first answer
	LeastRTTMS float64    `json:"least_rtt_ms"`
	AnsweredAt *time.Time `json:"answered_at,omitempty"` // the last time
	TxPackets  uint64     `json:"tx_packets"`            // of payload, while in the kernel
	TxBytes    uint64     `json:"tx_bytes"`
	RxPackets  uint64     `json:"rx_packets"`
	RxBytes    uint64     `json:"rx_bytes"`
}

// Loss is the part of the probes that were not answered, from 0 to 1; ok is false where none was decided yet.
func (p Path) Loss() (loss float64, ok bool) {
	decided := p.Probes - min(p.Awaited, p.Probes)
	if decided == 0 {
		return 0, false
	}
	return float64(decided-min(p.Answered, decided)) / float64(decided), true
}

// A ContextPath is a Path with its context.
type ContextPath struct {
	Tag       string     `json:"tag"`
	ULIDLocal netip.Addr `json:"ulid_local"`
	ULIDPeer  netip.Addr `json:"ulid_peer"`
	Path
}

// A Ranking orders the pairs of a context, the best first. Pairs that it lacks come last; none at all leaves the order to the
// configured preferences again.
type Ranking struct {
	Pairs []Pair `json:"pairs"`
}

// A Flow is between two ULIDs that have no context, though it may want one.
type Flow struct {
	ULIDLocal netip.Addr `json:"ulid_local"`
	ULIDPeer  netip.Addr `json:"ulid_peer"`
	Packets   uint64     `json:"packets"`
	Bytes     uint64     `json:"bytes"`
	AgeMS     int64      `json:"age_ms"`
	Wanted    bool       `json:"wanted"` // a heuristic asked for a context
	Code      string     `json:"code"`   // why there is none, as explain says
}

// SPDX-License-Identifier: MIT

package reap

import (
	"math/rand/v2"
	"slices"

	"shim6/daemon/wire"
)

// A history is what an exploration remembers of its probes, newest first.
type history struct {
	out []sentProbe        // at most maxSent
	in  []wire.ProbeReport // at most maxReports
}

type sentProbe struct {
	wire.ProbeReport
	seen bool // the peer reported it
}

func (h *history) sent(r wire.ProbeReport) {
	h.out = slices.Insert(h.out, 0, sentProbe{ProbeReport: r})
	h.out = h.out[:min(len(h.out), maxSent)]
}

// received remembers the first sent report of a probe of the peer. It is copied back as it is, Data included.
func (h *history) received(r wire.ProbeReport) {
	if slices.Contains(h.in, r) {
		return
	}
	h.in = slices.Insert(h.in, 0, r)
	h.in = h.in[:min(len(h.in), maxReports)]
}

func (h *history) forgetReceived() { h.in = nil }

// nonce gives one that no remembered probe has.
func (h *history) nonce(rng *rand.Rand) uint32 {
	for {
		n := rng.Uint32()
		if !slices.ContainsFunc(h.out, func(s sentProbe) bool { return s.Nonce == n }) {
			return n
		}
	}
}

// sentReports lists the newest probe, then earlier ones that the peer has not yet reported (RFC 5534 section 5.2).
func (h *history) sentReports() []wire.ProbeReport {
	var rs []wire.ProbeReport
	for i, s := range h.out {
		if (i == 0 || !s.seen) && len(rs) < maxReports {
			rs = append(rs, s.ProbeReport)
		}
	}
	return rs
}

func (h *history) receivedReports() []wire.ProbeReport { return slices.Clone(h.in) }

// answered gives the pairs of the remembered probes that are among reports, newest probe first, and marks them seen.
func (h *history) answered(reports []wire.ProbeReport) []Pair {
	var pairs []Pair
	for i := range h.out {
		s := &h.out[i]
		if slices.ContainsFunc(reports, func(r wire.ProbeReport) bool {
			return r.Nonce == s.Nonce && r.Src == s.Src && r.Dst == s.Dst
		}) {
			s.seen = true
			if p := (Pair{s.Src, s.Dst}); !slices.Contains(pairs, p) {
				pairs = append(pairs, p)
			}
		}
	}
	return pairs
}

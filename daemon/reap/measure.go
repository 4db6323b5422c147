// SPDX-License-Identifier: MIT

package reap

import (
	"slices"
	"time"

	"shim6/daemon/wire"
)

// A Measure is what the Probes on one pair have told so far.
type Measure struct {
	Pair     Pair
	Sent     uint64        // Probes
	Answered uint64        // of these
	Awaited  uint64        // of these, whose answer may still come; the rest is lost, or its answer is
	RTT      time.Duration // smoothed as in RFC 6298 section 2, zero before the first answer
	Least    time.Duration // the shortest
	Last     time.Time     // of the last answer, zero for none
}

// measures are those of a context, and the Probes whose answers are awaited.
type measures struct {
	list    []Measure // at most maxMeasures
	pending []pending // oldest first, at most maxSent
}

type pending struct {
	pair  Pair
	nonce uint32
	at    time.Time
}

// sent counts a Probe.
func (s *measures) sent(now time.Time, pair Pair, nonce uint32) {
	s.pending = slices.DeleteFunc(s.pending, func(p pending) bool { return now.Sub(p.at) > historyTime })
	if len(s.pending) == maxSent {
		s.pending = slices.Delete(s.pending, 0, 1)
	}
	s.pending = append(s.pending, pending{pair, nonce, now})
	i := slices.IndexFunc(s.list, func(m Measure) bool { return m.Pair == pair })
	if i < 0 {
		if len(s.list) == maxMeasures {
			s.list = slices.Delete(s.list, 0, 1)
		}
		i = len(s.list)
		s.list = append(s.list, Measure{Pair: pair})
	}
	s.list[i].Sent++
}

// reported counts answers. The first report of a Probe is about what made the peer send it, at once, so that it gives a
// round-trip time; the others may be late repetitions.
func (s *measures) reported(now time.Time, reports []wire.ProbeReport) {
	for n, r := range reports {
		i := slices.IndexFunc(s.pending, func(p pending) bool {
			return p.nonce == r.Nonce && p.pair == Pair{r.Src, r.Dst}
		})
		if i < 0 {
			continue
		}
		sent := s.pending[i]
		s.pending = slices.Delete(s.pending, i, i+1)
		j := slices.IndexFunc(s.list, func(m Measure) bool { return m.Pair == sent.pair })
		if j < 0 {
			continue
		}
		m := &s.list[j]
		m.Answered++
		m.Last = now
		if n == 0 {
			m.time(now.Sub(sent.at))
		}
	}
}

func (m *Measure) time(rtt time.Duration) {
	if m.RTT == 0 {
		m.RTT, m.Least = rtt, rtt
		return
	}
	m.RTT += (rtt - m.RTT) / 8
	m.Least = min(m.Least, rtt)
}

// keep forgets the pairs that are none any more.
func (s *measures) keep(is func(Pair) bool) {
	s.list = slices.DeleteFunc(s.list, func(m Measure) bool { return !is(m.Pair) })
}

// Measures gives what is known of the pairs that were probed.
func (m *Machine) Measures() []Measure {
	if m.episode == nil {
		return nil
	}
	list := slices.Clone(m.measures.list)
	for _, p := range m.measures.pending {
		if i := slices.IndexFunc(list, func(x Measure) bool { return x.Pair == p.pair }); i >= 0 {
			list[i].Awaited++
		}
	}
	return list
}

// Reports gives the Probes of the last exploration, newest first: those sent, with whether the peer reported them, and those
// received.
func (m *Machine) Reports() (sent []SentReport, received []wire.ProbeReport) {
	if m.episode == nil {
		return nil, nil
	}
	for _, s := range m.history.out {
		sent = append(sent, SentReport{s.ProbeReport, s.seen})
	}
	return sent, m.history.receivedReports()
}

// A SentReport is about one Probe of ours.
type SentReport struct {
	wire.ProbeReport
	Seen bool // the peer reported it
}

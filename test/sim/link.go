// SPDX-License-Identifier: MIT

package sim

import (
	"math/rand/v2"
	"net/netip"
	"time"
)

// Links say what happens to packets from one address to another.
type Links struct {
	Delay     time.Duration // one way
	Jitter    time.Duration // at most so much more, so that packets overtake each other
	Loss      float64       // fraction of packets
	Duplicate float64       // fraction of packets that arrive twice
	Corrupt   float64       // fraction of control messages that have a bit flipped
	cuts      map[[2]netip.Addr]bool
	refused   map[[2]netip.Addr]bool
}

func newLinks() Links {
	return Links{Delay: 10 * time.Millisecond, cuts: map[[2]netip.Addr]bool{}, refused: map[[2]netip.Addr]bool{}}
}

// Cut stops packets from src to dst silently.
func (l *Links) Cut(src, dst netip.Addr) { l.cuts[[2]netip.Addr{src, dst}] = true }

// Refuse stops packets from src to dst with an ICMP error that says so.
func (l *Links) Refuse(src, dst netip.Addr) { l.refused[[2]netip.Addr{src, dst}] = true }

// Heal lets packets from src to dst pass again.
func (l *Links) Heal(src, dst netip.Addr) {
	delete(l.cuts, [2]netip.Addr{src, dst})
	delete(l.refused, [2]netip.Addr{src, dst})
}

// Mend makes all links good, but for their Delay.
func (l *Links) Mend() {
	l.Jitter, l.Loss, l.Duplicate, l.Corrupt = 0, 0, 0, 0
	clear(l.cuts)
	clear(l.refused)
}

// pass gives the delays of the copies of a packet that get through, and how many these are.
func (l *Links) pass(rng *rand.Rand, src, dst netip.Addr) (delays [2]time.Duration, n int) {
	lost := rng.Float64() < l.Loss // drawn for each packet, so that a cut does not change the fate of others
	n = 1
	if l.Duplicate > 0 && rng.Float64() < l.Duplicate {
		n = 2
	}
	for i := range n {
		delays[i] = l.Delay
		if l.Jitter > 0 {
			delays[i] += time.Duration(rng.Int64N(int64(l.Jitter)))
		}
	}
	if way := [2]netip.Addr{src, dst}; lost || len(l.cuts) > 0 && l.cuts[way] || len(l.refused) > 0 && l.refused[way] {
		return delays, 0
	}
	return delays, n
}

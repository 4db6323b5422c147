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
	cuts      map[[2]netip.Addr]bool
}

func newLinks() Links {
	return Links{Delay: 10 * time.Millisecond, cuts: map[[2]netip.Addr]bool{}}
}

// Cut stops packets from src to dst silently.
func (l *Links) Cut(src, dst netip.Addr) { l.cuts[[2]netip.Addr{src, dst}] = true }

// Heal lets packets from src to dst pass again.
func (l *Links) Heal(src, dst netip.Addr) { delete(l.cuts, [2]netip.Addr{src, dst}) }

// Mend makes all links good, but for their Delay.
func (l *Links) Mend() {
	l.Jitter, l.Loss, l.Duplicate = 0, 0, 0
	clear(l.cuts)
}

// pass gives when a packet gets through: never, once, or twice.
func (l *Links) pass(rng *rand.Rand, src, dst netip.Addr) []time.Duration {
	lost := rng.Float64() < l.Loss // drawn for each packet, so that a cut does not change the fate of others
	copies := 1
	if l.Duplicate > 0 && rng.Float64() < l.Duplicate {
		copies = 2
	}
	delays := make([]time.Duration, copies)
	for i := range delays {
		delays[i] = l.Delay
		if l.Jitter > 0 {
			delays[i] += time.Duration(rng.Int64N(int64(l.Jitter)))
		}
	}
	if lost || l.cuts[[2]netip.Addr{src, dst}] {
		return nil
	}
	return delays
}

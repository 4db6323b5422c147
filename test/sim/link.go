// SPDX-License-Identifier: MIT

package sim

import (
	"math/rand/v2"
	"net/netip"
	"time"
)

// Links say what happens to packets from one address to another.
type Links struct {
	Delay time.Duration // one way
	Loss  float64       // fraction of packets
	cuts  map[[2]netip.Addr]bool
}

func newLinks() Links {
	return Links{Delay: 10 * time.Millisecond, cuts: map[[2]netip.Addr]bool{}}
}

// Cut stops packets from src to dst silently.
func (l *Links) Cut(src, dst netip.Addr) { l.cuts[[2]netip.Addr{src, dst}] = true }

// Heal lets packets from src to dst pass again.
func (l *Links) Heal(src, dst netip.Addr) { delete(l.cuts, [2]netip.Addr{src, dst}) }

// pass tells whether a packet gets through, and when.
func (l *Links) pass(rng *rand.Rand, src, dst netip.Addr) (time.Duration, bool) {
	lost := rng.Float64() < l.Loss // drawn for each packet, so that a cut does not change the fate of others
	return l.Delay, !lost && !l.cuts[[2]netip.Addr{src, dst}]
}

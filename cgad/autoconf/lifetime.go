// SPDX-License-Identifier: MIT

package autoconf

import (
	"time"

	"shim6/cgad/ra"
)

// forever is the end of an infinite lifetime.
var forever = time.Unix(1<<40, 0)

// twoHours is what an unauthenticated advertisement cannot shorten a valid lifetime below (RFC 4862 section 5.5.3 e).
const twoHours = 2 * time.Hour

// validLifetime gives the valid lifetime that an address has after an advertisement that says received, when remaining is
// left of what it had.
func validLifetime(remaining, received time.Duration) time.Duration {
	switch {
	case received > twoHours || received > remaining:
		return received
	case remaining <= twoHours:
		return remaining
	}
	return twoHours
}

func end(now time.Time, lifetime time.Duration) time.Time {
	if lifetime == ra.Infinite {
		return forever
	}
	return now.Add(lifetime)
}

func remaining(now, end time.Time) time.Duration {
	if end.Equal(forever) {
		return ra.Infinite
	}
	return max(end.Sub(now), 0)
}

// earlier gives the earlier of two instants, the zero time being none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// A bucket limits how often something happens.
type bucket struct {
	tokens float64
	filled time.Time
}

// take reports whether one more is allowed.
func (b *bucket) take(now time.Time, perSecond, burst float64) bool {
	if b.filled.IsZero() {
		b.tokens = burst
	} else if d := now.Sub(b.filled); d > 0 {
		b.tokens = min(b.tokens+d.Seconds()*perSecond, burst)
	}
	b.filled = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// SPDX-License-Identifier: MIT

package reap_test

import (
	"testing"
	"time"

	"shim6/daemon/reap"
)

// RFC 5534 section 6.4: a Send Timer that expires in InboundOk starts the exploration anew, with its initial probes half a second
// apart (section 4.3), however rare they had become.
func TestSendTimeoutRestartsTheBurst(t *testing.T) {
	b := in(reap.InboundOk)
	for range 9 {
		b.expire()
	}
	if gap := b.Deadline().Sub(b.now); gap < 10*time.Second {
		t.Fatalf("the next probe is due in %v, so nothing can be seen", gap)
	}
	n := len(b.probes)
	b.took(b.SendTimeoutExpired(b.now, b.epoch))
	if len(b.probes) != n+1 || b.State() != reap.Exploring {
		t.Fatalf("%d probes at once, %v", len(b.probes)-n, b.State())
	}
	for i, want := range []float64{.5, .5, .5, .5, 1, 2} {
		last := b.now
		b.expire()
		if gap := b.now.Sub(last).Seconds(); gap < .8*want || gap > 1.2*want {
			t.Errorf("gap %d: %.3f s, want about %v s", i, gap, want)
		}
	}
}

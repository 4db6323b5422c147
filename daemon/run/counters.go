// SPDX-License-Identifier: MIT

package run

import "sync/atomic"

// counters are those of the process; any goroutine may add to them.
type counters struct {
	packetsReceived  atomic.Uint64
	packetsSent      atomic.Uint64
	packetsNotSent   atomic.Uint64 // the kernel refused
	packetsNotQueued atomic.Uint64 // the socket took none for too long
	icmpErrors       atomic.Uint64 // that say that a host does not know Shim6
	kernelEvents     atomic.Uint64
	kernelLost       atomic.Uint64 // times that events were lost
	kernelErrors     atomic.Uint64 // requests that the kernel module refused
	signatures       atomic.Uint64
	verifications    atomic.Uint64
	workRefused      atomic.Uint64 // too many signatures to make and verify
	established      atomic.Uint64 // contexts that came to be, adopted ones too
	explorations     atomic.Uint64
	pathChanges      atomic.Uint64
	saves            atomic.Uint64
	saveErrors       atomic.Uint64
}

// byName returns the counters as the control interface names them.
func (c *counters) byName() map[string]uint64 {
	return map[string]uint64{
		"packets_received":   c.packetsReceived.Load(),
		"packets_sent":       c.packetsSent.Load(),
		"packets_not_sent":   c.packetsNotSent.Load(),
		"packets_not_queued": c.packetsNotQueued.Load(),
		"icmp_errors":        c.icmpErrors.Load(),
		"kernel_events":      c.kernelEvents.Load(),
		"kernel_events_lost": c.kernelLost.Load(),
		"kernel_errors":      c.kernelErrors.Load(),
		"signatures":         c.signatures.Load(),
		"verifications":      c.verifications.Load(),
		"work_refused":       c.workRefused.Load(),
		"established":        c.established.Load(),
		"explorations":       c.explorations.Load(),
		"path_changes":       c.pathChanges.Load(),
		"saves":              c.saves.Load(),
		"save_errors":        c.saveErrors.Load(),
	}
}

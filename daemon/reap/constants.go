// SPDX-License-Identifier: MIT

package reap

import "time"

// Specification constants (RFC 5534 section 7).
const (
	DefaultSendTimeout  = 15 * time.Second
	InitialProbeTimeout = 500 * time.Millisecond
	InitialProbes       = 4
	MaxProbeTimeout     = 60 * time.Second
)

// Implementation constants.
const (
	// maxReports is what the 4-bit counts of a Probe can say.
	maxReports = 15
	// maxSent bounds the probes whose answer is awaited: more than a peer can report, because answers overtake.
	maxSent = 32
	// jitter is how far a gap between probes may be off, as a fraction.
	jitter = 0.2
	// historyTime is how long reports of a finished exploration may still move the path.
	historyTime = 10 * time.Second
	// doubtTime is how long payload may have been under way, or waited in a queue.
	doubtTime = InitialProbes * InitialProbeTimeout
	// replyInterval and replyBurst bound the probes sent because of probes received: ten a second, ten at once.
	replyInterval = 100 * time.Millisecond
	replyBurst    = 10
	// watchesPerStable is how often a pair must answer before payload goes back to it, at least.
	watchesPerStable = 4
	// leastWatch is the least time between the probes of a watched pair, answerTime how long an answer may take.
	leastWatch = 4 * time.Second
	answerTime = 2 * time.Second
	// maxWatches is how many pairs the kernel can use beside the current one.
	maxWatches = 7
	// maxMeasures bounds the pairs that are measured, and those that can be ranked.
	maxMeasures = 64
	// firstHold, mostHold and holdHalfLife are those of the damping.
	firstHold    = 2 * time.Second
	mostHold     = 5 * time.Minute
	holdHalfLife = time.Minute
)

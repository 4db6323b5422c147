// SPDX-License-Identifier: MIT

package engine

import (
	"shim6/daemon/reap"
	"shim6/daemon/shim6"
	"shim6/daemon/wire"
)

// A Reason says in one word why input was refused. Each is a counter. The reasons of package wire and the faults of
// package shim6 are Reasons too.
type Reason string

// The reasons of the engine itself.
const (
	ReasonBadAddress    Reason = "bad-address"    // source or destination that no locator can be
	ReasonNotLocal      Reason = "not-local"      // for an address that is no local locator
	ReasonSelf          Reason = "self"           // the peer would be this host
	ReasonBadTag        Reason = "bad-tag"        // context tag zero
	ReasonNoContext     Reason = "no-context"     // nothing matches
	ReasonWrongState    Reason = "wrong-state"    // the context is not in a state for that
	ReasonContextExists Reason = "context-exists" // a trigger for what is there
	ReasonHolddown      Reason = "hold-down"      // a trigger too soon after a failure
	ReasonStaleNonce    Reason = "stale-nonce"    // responder nonce too old or never issued
	ReasonBadValidator  Reason = "bad-validator"  // responder validator that was not issued for this
	ReasonNotALocator   Reason = "not-a-locator"  // source is neither the ULID nor a locator of the peer
	ReasonVerifyFailed  Reason = "verify-failed"  // parameters, a locator or the signature do not verify
	ReasonVerifyPending Reason = "verify-pending" // the same is being verified
	ReasonVerifyFull    Reason = "verify-full"    // too many verifications
	ReasonVerifyRate    Reason = "verify-rate"    // too many verifications for that source
	ReasonR1Rate        Reason = "r1-rate"        // too many I1 from that source
	ReasonRecoveryRate  Reason = "recovery-rate"  // too many unknown tags from that source
	ReasonErrorRate     Reason = "error-rate"     // too many errors of that source
	ReasonContextsFull  Reason = "contexts-full"  // context table at its cap
	ReasonWaitingFull   Reason = "waiting-full"   // too many messages wait for our signature
	ReasonTooLong       Reason = "too-long"       // the answer would not fit a message
	ReasonStaleEvent    Reason = "stale-event"    // kernel event of an earlier epoch
	ReasonBadReport     Reason = "bad-report"     // probe whose first report is not about itself
	ReasonProbeRate     Reason = "probe-rate"     // more probes than a peer can need
	ReasonErrorMsg      Reason = "error-message"  // an Error of a peer: counted, never answered
	ReasonICMP          Reason = "icmp"           // an ICMP error that says nothing to us
	ReasonUnknownID     Reason = "unknown-id"     // answer to a question that was not asked
	ReasonSignFailed    Reason = "sign-failed"    // our own signature could not be made
	ReasonOwnParameters Reason = "own-parameters" // a local locator's parameters are of no use
	ReasonOwnLocator    Reason = "own-locator"    // a local locator that cannot be one, or one too many
	ReasonBadSnapshot   Reason = "bad-snapshot"   // a context that cannot be adopted
	ReasonBadTimeout    Reason = "bad-timeout"    // asked for, and out of range
	ReasonBadFork       Reason = "bad-fork"       // a fork on a pair that the context cannot use
	ReasonNotAsked      Reason = "not-asked"      // acknowledgement of a request that was not made
	ReasonPolicy        Reason = "policy"         // the configuration wants no context with that peer
	ReasonBadConfig     Reason = "bad-config"     // another configuration that cannot be one
	ReasonOvertaken     Reason = "overtaken"      // verified after a later Update Request was taken
)

// Reasons lists every Reason that can occur.
func Reasons() []Reason {
	rs := []Reason{
		ReasonBadAddress, ReasonNotLocal, ReasonSelf, ReasonBadTag, ReasonNoContext, ReasonWrongState, ReasonContextExists,
		ReasonHolddown, ReasonStaleNonce, ReasonBadValidator, ReasonNotALocator, ReasonVerifyFailed, ReasonVerifyPending,
		ReasonVerifyFull, ReasonVerifyRate, ReasonR1Rate, ReasonRecoveryRate, ReasonErrorRate, ReasonContextsFull,
		ReasonWaitingFull, ReasonTooLong, ReasonStaleEvent, ReasonBadReport, ReasonProbeRate, ReasonErrorMsg, ReasonICMP,
		ReasonUnknownID, ReasonSignFailed, ReasonOwnParameters, ReasonOwnLocator, ReasonBadSnapshot, ReasonNotAsked, ReasonBadTimeout,
		ReasonBadFork, ReasonPolicy, ReasonBadConfig, ReasonOvertaken,
	}
	for _, r := range wire.AllReasons {
		rs = append(rs, Reason(r))
	}
	for _, f := range shim6.Faults {
		rs = append(rs, Reason(f))
	}
	return rs
}

// String gives the reason as it is.
func (r Reason) String() string { return string(r) }

// reasonOf names what package reap refused.
func reasonOf(r reap.Refusal) Reason {
	switch r {
	case reap.StaleEvent:
		return ReasonStaleEvent
	case reap.BadReport:
		return ReasonBadReport
	}
	return ReasonProbeRate
}

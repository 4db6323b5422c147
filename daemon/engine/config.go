// SPDX-License-Identifier: MIT

package engine

import (
	"errors"
	"fmt"
	"time"

	"shim6/daemon/reap"
)

// A Config is what an Engine starts with. Zero values stand for the defaults; the Seed is always needed.
type Config struct {
	// Seed is where all randomness comes from: context tags, nonces, validator secrets. It must be unpredictable.
	Seed [32]byte
	// SendTimeout is the REAP Send Timeout, 100 ms to 1 h, by default 15 s (RFC 5534 section 7). Peers are told whole
	// seconds, rounded up: below half a second, one-way flows make them be explored for nothing.
	SendTimeout time.Duration
	// Teardown is how long a context lives without payload, at least 10 s, by default 10 min (RFC 5533 section 9).
	Teardown time.Duration
	// FailBack is how long a pair that locator preferences prefer must answer probes before payload goes back to it, 1 s to
	// 24 h; zero for never. Among equals the pair of the ULIDs is preferred.
	FailBack time.Duration
	// Multipath has the kernel given every locator pair that works, up to eight, and not the current one alone.
	Multipath bool
	Policies  []Policy
	Limits    Limits
}

// Limits bound what peers can make the engine keep and do. Rates are per second and source /64.
type Limits struct {
	Contexts     int // contexts of all states, default 16384; remembered failures give way
	Verifying    int // verifications that run, default 64
	Waiting      int // messages that wait for our own signature, default 64
	R1Rate       int // R1 and R2 sent because of an I1, default 100
	VerifyRate   int // Verify actions, default 20
	RecoveryRate int // R1bis sent, default 10
	ErrorRate    int // Error messages sent, default 5
}

// The range of Config.SendTimeout, the least Config.Teardown, and the range of Config.FailBack.
const (
	MinSendTimeout = 100 * time.Millisecond
	MaxSendTimeout = time.Hour
	MinTeardown    = 10 * time.Second
	MinFailBack    = time.Second
	MaxFailBack    = 24 * time.Hour
)

const defaultTeardown = 10 * time.Minute

var defaultLimits = Limits{
	Contexts: 16384, Verifying: 64, Waiting: 64, R1Rate: 100, VerifyRate: 20, RecoveryRate: 10, ErrorRate: 5,
}

// fields lists the limits by name.
func (l *Limits) fields() []struct {
	name  string
	value *int
} {
	return []struct {
		name  string
		value *int
	}{
		{"contexts", &l.Contexts}, {"verifying", &l.Verifying}, {"waiting", &l.Waiting}, {"r1 rate", &l.R1Rate},
		{"verify rate", &l.VerifyRate}, {"recovery rate", &l.RecoveryRate}, {"error rate", &l.ErrorRate},
	}
}

// Validate tells everything that is wrong with a Config.
func (c Config) Validate() error {
	var errs []error
	if c.Seed == ([32]byte{}) {
		errs = append(errs, errors.New("seed is missing"))
	}
	if d := c.SendTimeout; d != 0 && (d < MinSendTimeout || d > MaxSendTimeout) {
		errs = append(errs, fmt.Errorf("send timeout %v is not between %v and %v", d, MinSendTimeout, MaxSendTimeout))
	}
	if d := c.Teardown; d != 0 && d < MinTeardown {
		errs = append(errs, fmt.Errorf("teardown time %v is below %v", d, MinTeardown))
	}
	if d := c.FailBack; d != 0 && (d < MinFailBack || d > MaxFailBack) {
		errs = append(errs, fmt.Errorf("fail-back time %v is not between %v and %v", d, MinFailBack, MaxFailBack))
	}
	for _, p := range c.Policies {
		if err := p.validate(); err != nil {
			errs = append(errs, err)
		}
	}
	for _, f := range c.Limits.fields() {
		if *f.value < 0 {
			errs = append(errs, fmt.Errorf("limit of %s is negative", f.name))
		}
	}
	return errors.Join(errs...)
}

// withDefaults fills in what is zero.
func (c Config) withDefaults() Config {
	if c.SendTimeout == 0 {
		c.SendTimeout = reap.DefaultSendTimeout
	}
	if c.Teardown == 0 {
		c.Teardown = defaultTeardown
	}
	defaults := defaultLimits
	for i, f := range c.Limits.fields() {
		if *f.value == 0 {
			*f.value = *defaults.fields()[i].value
		}
	}
	return c
}

// SPDX-License-Identifier: MIT

package engine_test

import (
	"errors"
	"testing"
	"time"

	"shim6/daemon/engine"
)

func TestConfig(t *testing.T) {
	good := engine.Config{Seed: [32]byte{1}}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(c *engine.Config){
		"seed is missing":             func(c *engine.Config) { c.Seed = [32]byte{} },
		"send timeout 99ms is not":    func(c *engine.Config) { c.SendTimeout = 99 * time.Millisecond },
		"send timeout 1h0m1s is not":  func(c *engine.Config) { c.SendTimeout = time.Hour + time.Second },
		"send timeout -1s is not":     func(c *engine.Config) { c.SendTimeout = -time.Second },
		"teardown time 9s is below":   func(c *engine.Config) { c.Teardown = 9 * time.Second },
		"fail-back time 999ms is not": func(c *engine.Config) { c.FailBack = 999 * time.Millisecond },
		"limit of verifying is":       func(c *engine.Config) { c.Limits.Verifying = -1 },
		"limit of error rate is":      func(c *engine.Config) { c.Limits.ErrorRate = -5 },
	} {
		c := good
		change(&c)
		err := c.Validate()
		if err == nil || len(err.Error()) < len(name) || err.Error()[:len(name)] != name {
			t.Errorf("%v, want %q", err, name)
		}
		if _, err := engine.New(c); err == nil || errors.Unwrap(err) == nil {
			t.Errorf("New: %v", err)
		}
	}
	two := engine.Config{SendTimeout: 1, Limits: engine.Limits{Contexts: -1}}
	if n := len(two.Validate().(interface{ Unwrap() []error }).Unwrap()); n != 3 {
		t.Errorf("%d faults told, want 3", n)
	}
}

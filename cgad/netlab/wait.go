// SPDX-License-Identifier: MIT

package netlab

import (
	"testing"
	"time"
)

const (
	waitLimit = 10 * time.Second
	waitStep  = 5 * time.Millisecond
)

// Wait polls until ok, and fails the test when that takes too long.
func Wait(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(waitLimit); !ok(); time.Sleep(waitStep) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

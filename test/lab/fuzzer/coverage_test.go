// SPDX-License-Identifier: MIT

package fuzzer

import "testing"

func TestNewStepsAndNewNumbersOfThemAreNew(t *testing.T) {
	c := NewCoverage()
	for i, step := range []struct {
		pcs  []uint64
		want bool
	}{
		{nil, false},
		{[]uint64{10, 20}, true},
		{[]uint64{10, 20}, false},
		{[]uint64{20, 10}, true},
		{[]uint64{10, 20, 10, 20}, true}, // each step twice
		{[]uint64{10, 20, 10, 20}, false},
	} {
		if got := c.Add(step.pcs); got != step.want {
			t.Errorf("run %d: new is %v, want %v", i, got, step.want)
		}
	}
	if len(c.Blocks) != 2 {
		t.Errorf("%d blocks, want 2", len(c.Blocks))
	}
}

// SPDX-License-Identifier: MIT

package machine

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLeft(t *testing.T) {
	before := Inventory{"file": {"/a", "/b"}, "rule": {"0: local"}}
	after := Inventory{"file": {"/b", "/c"}, "rule": {"0: local"}}
	want := map[string][]string{"file": {"+/c", "-/a"}}
	if d := cmp.Diff(want, after.Left(before)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if left := before.Left(before); len(left) != 0 {
		t.Errorf("of the same: %v", left)
	}
}

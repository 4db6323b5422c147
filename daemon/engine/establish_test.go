// SPDX-License-Identifier: MIT

package engine_test

import (
	"testing"

	"shim6/daemon/engine"
	"shim6/daemon/shim6"
)

func TestExchange(t *testing.T) {
	w, a, b := pair(t, engine.Config{})
	a.take()
	b.take()
	a.trigger(b)
	w.settle()
	t.Log("a:", kinds(a.acts), "|", sent(t, a.acts), "|", reasons(a.acts))
	t.Log("b:", kinds(b.acts), "|", sent(t, b.acts), "|", reasons(b.acts))
	if s := a.only(); s.State != shim6.StateEstablished {
		t.Errorf("%+v", s)
	}
}

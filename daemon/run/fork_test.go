// SPDX-License-Identifier: MIT

package run

import (
	"errors"
	"net/http"
	"net/netip"
	"testing"

	"shim6/daemon/ctl"
	"shim6/daemon/nl"
)

// RFC 5533 section 7.7: a context is forked on a locator pair of the operator's choice; both are in the kernel, told apart by the
// Forked Instance Identifier.
func TestForkContext(t *testing.T) {
	p, c := served(t)
	ctx := t.Context()
	p.a.events.queue <- nl.Trigger{ULIDLocal: p.a1, ULIDPeer: p.b1}
	established := func(n int) (list []ctl.Context) {
		eventually(t, "a context", func() (ok bool) {
			list, _ = c.Contexts(ctx, ctl.Filter{})
			return len(list) == n && list[n-1].State == "ESTABLISHED" && list[n-1].Kernel != nil
		})
		return list
	}
	parent := established(1)[0]
	tag, err := ctl.ParseTag(parent.Tag)
	if err != nil {
		t.Fatal(err)
	}
	forked, err := c.Fork(ctx, tag, ctl.Fork{Local: &p.a2, SendTimeoutMS: new(int64(2000))})
	if err != nil {
		t.Fatal(err)
	}
	child := established(2)[1]
	if child.Tag != forked.Tag || child.FII != forked.FII || forked.FII == 0 || child.ULIDLocal != p.a1 || child.ULIDPeer != p.b1 ||
		child.Current != (ctl.Pair{Local: p.a2, Peer: p.b1}) || child.SendTimeoutMS != 2000 {
		t.Errorf("%+v forked %+v", forked, child)
	}
	if list := established(2); list[0].FII != 0 || list[0].Current.Local != p.a1 || list[0].SendTimeoutMS != 15000 {
		t.Errorf("the other one is %+v", list[0])
	}

	stranger := netip.MustParseAddr("2001:db8:99::1")
	for name, tt := range map[string]struct {
		tag    uint64
		fork   ctl.Fork
		status int
	}{
		"no context":          {1, ctl.Fork{}, http.StatusNotFound},
		"timeout of 1 ms":     {tag, ctl.Fork{SendTimeoutMS: new(int64(1))}, http.StatusBadRequest},
		"no locator of ours":  {tag, ctl.Fork{Local: &stranger}, http.StatusConflict},
		"no locator of peers": {tag, ctl.Fork{Peer: &stranger}, http.StatusConflict},
	} {
		_, err := c.Fork(ctx, tt.tag, tt.fork)
		var e *ctl.Error
		if !errors.As(err, &e) || e.Status != tt.status || e.Status == http.StatusConflict && e.Hint == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	established(2)
}

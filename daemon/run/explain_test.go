// SPDX-License-Identifier: MIT

package run

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"shim6/daemon/config"
	"shim6/daemon/ctl"
	"shim6/daemon/engine"
	"shim6/daemon/nl"
	"shim6/daemon/reap"
	"shim6/daemon/shim6"
	"shim6/internal/rtnl"
)

// good are the facts of a context in which nothing is wrong.
func good() facts {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	other := netip.MustParseAddr("2001:db8:a2::1")
	return facts{
		now: now, peer: ulidB, choice: choice{ulidA, ctl.CodeSourceSelected, "chosen"}, enabled: true, heuristic: "default",
		stack:    []nl.Heuristic{{Name: "default", Params: []nl.Param{{Name: "bytes", Value: 2048}}}},
		locators: []ctl.Locator{{Addr: ulidA, Link: "eth0", Proof: "CGA"}, {Addr: other, Link: "eth1", Proof: "CGA"}},
		routes: map[netip.Addr]rtnl.Route{
			ulidA: {Link: "eth0", Gateway: netip.MustParseAddr("fe80::1")}, other: {Link: "eth1"},
		},
		policyCode: ctl.CodePolicyAllows, limit: 10,
		context: &engine.Snapshot{
			ULIDs: engine.ULIDPair{Local: ulidA, Peer: ulidB}, State: shim6.StateEstablished, TagLocal: 7, Since: now.Add(-time.Minute),
			Current:       engine.LocatorPair{Local: ulidA, Peer: ulidB},
			LocatorsLocal: make([]engine.LocatorInfo, 2), LocatorsPeer: []engine.LocatorInfo{{Addr: ulidB, Verified: true}},
			Measures: []reap.Measure{{Pair: reap.Pair{Local: ulidA, Peer: ulidB}, RTT: 20 * time.Millisecond}},
		},
	}
}

// Every code comes about, and the first thing that is missing is the verdict.
func TestExplanations(t *testing.T) {
	seen := map[string]bool{ctl.CodeSourceOfContext: true, ctl.CodeSourceOfSocket: true} // below
	without := func(change func(*facts)) func(*facts) {
		return func(f *facts) {
			f.context = nil
			f.candidate = &nl.Candidate{Bytes: 100, Packets: 2, Age: time.Second}
			change(f)
		}
	}
	in := func(s shim6.State) func(*facts) {
		return func(f *facts) { f.context.State, f.context.Retry = s, f.now.Add(time.Minute) }
	}
	for name, tc := range map[string]struct {
		change    func(*facts)
		code      string // the verdict
		has       string // a code on the way
		protected bool
	}{
		"all is well":      {func(*facts) {}, ctl.CodeReapOperational, ctl.CodeProviderRoute, true},
		"switched off":     {func(f *facts) { f.enabled = false }, ctl.CodeModuleDisabled, "", false},
		"link-local peer":  {func(f *facts) { f.peer = netip.MustParseAddr("fe80::9") }, ctl.CodePeerNotUsable, "", false},
		"ourselves":        {func(f *facts) { f.peer = ulidA }, ctl.CodePeerIsLocal, "", false},
		"no route":         {func(f *facts) { f.choice = choice{code: ctl.CodeNoRoute, text: "no route"} }, ctl.CodeNoRoute, "", false},
		"no such socket":   {func(f *facts) { f.choice.code = ctl.CodeNoSocket }, ctl.CodeReapOperational, ctl.CodeNoSocket, true},
		"strange source":   {without(func(f *facts) { f.choice.local = netip.MustParseAddr("2001:db8:ff::1") }), ctl.CodeSourceNotLocator, "", false},
		"source is gone":   {func(f *facts) { f.choice.local = netip.MustParseAddr("2001:db8:ff::1") }, ctl.CodeReapOperational, ctl.CodeSourceNotLocator, true},
		"plain source":     {func(f *facts) { f.locators[0].Proof = "" }, ctl.CodeReapOperational, ctl.CodeSourceUnproved, true},
		"one provider":     {func(f *facts) { f.locators = f.locators[:1] }, ctl.CodeReapOperational, ctl.CodeOneLocator, true},
		"two providers":    {func(*facts) {}, ctl.CodeReapOperational, ctl.CodeLocators, true},
		"a route is gone":  {func(f *facts) { delete(f.routes, ulidA) }, ctl.CodeReapOperational, ctl.CodeProviderNoRoute, true},
		"by one interface": {func(f *facts) { f.routes[f.locators[1].Addr] = rtnl.Route{Link: "eth0"} }, ctl.CodeReapOperational, ctl.CodeProviderWrongLink, true},
		"refused":          {without(func(f *facts) { f.policy, f.policyCode = &config.Peer{}, ctl.CodePolicyRefuses }), ctl.CodePolicyRefuses, "", false},
		"never asked":      {without(func(f *facts) { f.policy, f.policyCode = &config.Peer{}, ctl.CodePolicyNever }), ctl.CodePolicyNever, "", false},
		"policy of a time": {func(f *facts) { f.policyCode = ctl.CodePolicyRefuses }, ctl.CodeReapOperational, ctl.CodePolicyAllows, true},
		"server":           {without(func(f *facts) { f.server = true }), ctl.CodeServer, "", false},
		"no heuristic":     {without(func(f *facts) { f.heuristic = "none" }), ctl.CodeHeuristicNone, "", false},
		"no flow":          {without(func(f *facts) { f.candidate = nil }), ctl.CodeFlowNotFollowed, "", false},
		"small flow":       {without(func(*facts) {}), ctl.CodeFlowBelowThreshold, "", false},
		"full":             {without(func(f *facts) { f.candidate.Asked, f.contexts = true, 10 }), ctl.CodeContextsFull, "", false},
		"asked for":        {without(func(f *facts) { f.candidate.Asked = true }), ctl.CodeFlowWanted, "", false},
		"no answer":        {in(shim6.StateEFailed), ctl.CodePeerSilent, "", false},
		"no support":       {in(shim6.StateNoSupport), ctl.CodePeerNoSupport, "", false},
		"under way":        {in(shim6.StateI2Sent), ctl.CodeExchangeRunning, "", false},
		"established":      {func(*facts) {}, ctl.CodeReapOperational, ctl.CodeContextEstablished, true},
		"unproved locator": {func(f *facts) {
			f.context.LocatorsPeer = append(f.context.LocatorsPeer, engine.LocatorInfo{Addr: ulidA})
		}, ctl.CodeReapOperational, ctl.CodePeerLocatorUnchecked, true},
		"peer's locators":    {func(*facts) {}, ctl.CodeReapOperational, ctl.CodePeerLocators, true},
		"nothing to move to": {func(f *facts) { f.context.LocatorsLocal = f.context.LocatorsLocal[:1] }, ctl.CodeNoAlternative, "", false},
		"exploring":          {func(f *facts) { f.context.Reap = reap.Exploring }, ctl.CodeReapExploring, "", true},
	} {
		f := good()
		tc.change(&f)
		got := f.explain()
		has := func(code string) bool {
			return slices.ContainsFunc(got.Steps, func(s ctl.Step) bool { return s.Code == code })
		}
		if got.Code != tc.code || got.Protected != tc.protected || tc.has != "" && !has(tc.has) {
			t.Errorf("%s: %+v", name, got)
		}
		for _, s := range got.Steps {
			seen[s.Code] = true
			if s.Name == "" || s.Text == "" || strings.Contains(s.Text, "%!") || (s.Result == ctl.ResultNo && s.Hint == "" && s.Code != ctl.CodePeerNotUsable && s.Code != ctl.CodePeerIsLocal) {
				t.Errorf("%s: step %+v", name, s)
			}
		}
	}
	for _, code := range ctl.Codes() {
		if !seen[code] {
			t.Errorf("code %s did not come about", code)
		}
	}
	for code := range seen {
		if !slices.Contains(ctl.Codes(), code) {
			t.Errorf("code %s is not listed", code)
		}
	}
}

// A running daemon finds its facts itself.
func TestExplain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		p.run(t)
		defer p.stop()
		explain := func(port uint16) []ctl.Explanation {
			t.Helper()
			list, err := p.a.loop.Backend().Explain(t.Context(), p.b1, port)
			if err != nil || len(list) == 0 {
				t.Fatalf("%+v, %v", list, err)
			}
			return list
		}
		if got := explain(0); got[0].Code != ctl.CodeFlowNotFollowed || got[0].ULIDLocal != p.a1 {
			t.Errorf("before a packet: %+v", got)
		}
		p.a.module.mu.Lock()
		p.a.module.asked = []nl.Candidate{{ULIDLocal: p.a1, ULIDPeer: p.b1, Bytes: 1}}
		p.a.module.mu.Unlock()
		if got := explain(0); got[0].Code != ctl.CodeFlowBelowThreshold {
			t.Errorf("after a packet: %+v", got)
		}
		p.establish(t)
		if got := explain(0); got[0].Code != ctl.CodeReapOperational || !got[0].Protected || got[0].Steps[1].Code != ctl.CodeSourceOfContext {
			t.Errorf("with a context: %+v", got)
		}
		if got := explain(443); len(got) != 1 || got[0].Steps[1].Code != ctl.CodeNoSocket {
			t.Errorf("with a port: %+v", got)
		}
		p.a.sockets = []netip.Addr{p.a2, p.a1}
		if got := explain(443); len(got) != 2 || got[0].Protected || !got[1].Protected || got[1].Steps[1].Code != ctl.CodeSourceOfSocket {
			t.Errorf("with sockets: %+v", got)
		}
	})
}

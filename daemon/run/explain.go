// SPDX-License-Identifier: MIT

package run

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"shim6/daemon/config"
	"shim6/daemon/ctl"
	"shim6/daemon/engine"
	"shim6/daemon/nl"
	"shim6/daemon/shim6"
	"shim6/internal/rtnl"
)

// A choice is where the local address of a flow comes from.
type choice struct {
	local netip.Addr // invalid for none
	code  string
	text  string
}

// facts are all that an explanation of one ULID pair is made from.
type facts struct {
	now        time.Time
	peer       netip.Addr
	choice     choice
	enabled    bool
	heuristic  string
	stack      []nl.Heuristic
	locators   []ctl.Locator
	routes     map[netip.Addr]rtnl.Route // by local locator, those that there are
	policy     *config.Peer
	policyCode string
	server     bool
	candidate  *nl.Candidate
	context    *engine.Snapshot
	contexts   int
	limit      int // of contexts
}

// Explain says what became of flows to a peer, or would. With a port it is about the sockets that are connected to it.
func (b backend) Explain(ctx context.Context, peer netip.Addr, port uint16) ([]ctl.Explanation, error) {
	settings, err := b.l.ports.Kernel.Settings()
	if err != nil {
		return nil, err
	}
	stack, err := b.l.ports.Kernel.Stack()
	if err != nil {
		return nil, err
	}
	candidates, err := b.l.ports.Kernel.Candidates()
	if err != nil {
		return nil, err
	}
	var known []engine.Snapshot
	f := facts{peer: peer, enabled: *settings.Enabled, heuristic: *settings.Heuristic, stack: stack, routes: make(map[netip.Addr]rtnl.Route)}
	err = b.l.call(ctx, func() {
		known = b.l.engine.Contexts()
		f.now, f.contexts, f.limit, f.server = b.l.now, len(known), b.l.cfg.Limits.Contexts, b.l.cfg.Server
		f.locators = slices.Clone(b.l.locators)
		f.policy, f.policyCode = b.l.cfg.PeerOf(peer), b.l.policyCode(peer)
	})
	if err != nil {
		return nil, err
	}
	for _, l := range f.locators {
		r, ok, err := b.l.ports.Route(l.Addr, peer)
		if err != nil {
			return nil, err
		}
		if ok {
			f.routes[l.Addr] = r
		}
	}
	choices, err := b.choices(peer, port, known)
	if err != nil {
		return nil, err
	}
	var all []ctl.Explanation
	for _, c := range choices {
		f.choice, f.candidate, f.context = c, nil, nil
		for i := range candidates {
			if candidates[i].ULIDLocal == c.local && candidates[i].ULIDPeer == peer {
				f.candidate = &candidates[i]
			}
		}
		for i := range known {
			if known[i].ULIDs == (engine.ULIDPair{Local: c.local, Peer: peer}) && known[i].FII == 0 {
				f.context = &known[i]
			}
		}
		all = append(all, f.explain())
	}
	return all, nil
}

// choices finds the local addresses of flows to a peer: of sockets with the port, or else of contexts, or else the one that the
// kernel would choose.
func (b backend) choices(peer netip.Addr, port uint16, known []engine.Snapshot) (list []choice, err error) {
	if port != 0 {
		sources, err := b.l.ports.Sockets(peer, port)
		if err != nil {
			return nil, err
		}
		for _, a := range sources {
			list = append(list, choice{a, ctl.CodeSourceOfSocket, fmt.Sprintf("a socket is connected from %v to port %d", a, port)})
		}
	}
	for _, s := range known {
		if s.ULIDs.Peer == peer && s.FII == 0 && port == 0 {
			list = append(list, choice{s.ULIDs.Local, ctl.CodeSourceOfContext, fmt.Sprintf("the flow is from %v, which has a context or had one", s.ULIDs.Local)})
		}
	}
	if len(list) > 0 {
		return list, nil
	}
	r, ok, err := b.l.ports.Route(netip.Addr{}, peer)
	switch {
	case err != nil:
		return nil, err
	case !ok || !r.Source.IsValid():
		return []choice{{code: ctl.CodeNoRoute, text: fmt.Sprintf("the kernel has no route to %v", peer)}}, nil
	case port != 0:
		return []choice{{r.Source, ctl.CodeNoSocket, fmt.Sprintf("no socket is connected to port %d; a new one would use %v", port, r.Source)}}, nil
	}
	return []choice{{r.Source, ctl.CodeSourceSelected, fmt.Sprintf("the kernel chooses %v, by %s", r.Source, r.Link)}}, nil
}

// policyCode says what the configuration says of a peer.
func (l *Loop) policyCode(peer netip.Addr) string {
	switch p := l.cfg.PeerOf(peer); {
	case p != nil && !p.Protect:
		return ctl.CodePolicyRefuses
	case p != nil && p.Trigger == config.TriggerNever:
		return ctl.CodePolicyNever
	}
	return ctl.CodePolicyAllows
}

func (l *Loop) isLocator(addr netip.Addr) bool {
	return slices.ContainsFunc(l.locators, func(k ctl.Locator) bool { return k.Addr == addr })
}

// explain walks from the first thing that must be so to the last.
func (f *facts) explain() ctl.Explanation {
	e := &explainer{facts: f, out: ctl.Explanation{ULIDLocal: f.choice.local, ULIDPeer: f.peer, Steps: []ctl.Step{}}}
	for _, step := range []func(){e.module, e.selection, e.ownLocators, e.providers, e.configured, e.decided, e.peerSide, e.reap} {
		if step(); e.out.Code != "" {
			break
		}
	}
	if e.out.Code == "" {
		last := e.out.Steps[len(e.out.Steps)-1]
		e.out.Protected, e.out.Code = true, last.Code
	}
	return e.out
}

// An explainer writes an Explanation. A step that says no is the last.
type explainer struct {
	*facts
	name string
	out  ctl.Explanation
}

func (e *explainer) say(result, code, hint, format string, args ...any) {
	e.out.Steps = append(e.out.Steps, ctl.Step{Name: e.name, Result: result, Code: code, Text: fmt.Sprintf(format, args...), Hint: hint})
	if result == ctl.ResultNo {
		e.out.Code = code
	}
}

func (e *explainer) module() {
	e.name = "kernel module"
	if !e.enabled {
		e.say(ctl.ResultNo, ctl.CodeModuleDisabled, "restart the daemon: systemctl restart shim6d", "it is switched off in this network namespace")
		return
	}
	e.say(ctl.ResultOK, ctl.CodeModuleEnabled, "", "it sees the packets of this network namespace")
}

func (e *explainer) selection() {
	e.name = "address selection"
	switch c := e.choice; {
	case !shim6.Usable(e.peer):
		e.say(ctl.ResultNo, ctl.CodePeerNotUsable, "", "%v is no global unicast address", e.peer)
	case slices.ContainsFunc(e.locators, func(l ctl.Locator) bool { return l.Addr == e.peer }):
		e.say(ctl.ResultNo, ctl.CodePeerIsLocal, "", "%v is an address of this host", e.peer)
	case !c.local.IsValid():
		e.say(ctl.ResultNo, c.code, "ip -6 route get "+e.peer.String(), "%s", c.text)
	default:
		result := ctl.ResultOK
		if c.code == ctl.CodeNoSocket {
			result = ctl.ResultInfo
		}
		e.say(result, c.code, "", "%s", c.text)
	}
}

func (e *explainer) ownLocators() {
	e.name = "local locators"
	i := slices.IndexFunc(e.locators, func(l ctl.Locator) bool { return l.Addr == e.choice.local })
	established := e.context != nil && e.context.State == shim6.StateEstablished
	switch {
	case i < 0 && established:
		e.say(ctl.ResultWarn, ctl.CodeSourceNotLocator, "", "%v is no address of this host any more; the context lives on", e.choice.local)
	case i < 0:
		e.say(ctl.ResultNo, ctl.CodeSourceNotLocator, "see which are: shim6ctl locators; the key interfaces of shim6.yaml(5) may leave it out",
			"%v is no locator", e.choice.local)
	case e.locators[i].Proof == "":
		e.say(ctl.ResultWarn, ctl.CodeSourceUnproved, "make addresses that prove themselves: cgad(8), or cgatool generate",
			"nothing proves %v, so the peer is told of no other locator", e.choice.local)
	case len(e.locators) < 2:
		e.say(ctl.ResultWarn, ctl.CodeOneLocator, "give this host an address of a second provider",
			"there is only one locator, so that only the peer's providers can be chosen among")
	default:
		n := 0
		for _, l := range e.locators {
			if l.Proof != "" && !l.Broken {
				n++
			}
		}
		e.say(ctl.ResultOK, ctl.CodeLocators, "", "%d of %d are proved and work", n, len(e.locators))
	}
}

func (e *explainer) providers() {
	e.name = "providers"
	for _, l := range e.locators {
		r, ok := e.routes[l.Addr]
		switch {
		case !ok:
			e.say(ctl.ResultWarn, ctl.CodeProviderNoRoute, fmt.Sprintf("ip -6 route get %v from %v", e.peer, l.Addr), "nothing leads from %v to the peer", l.Addr)
		case r.Link != l.Link:
			e.say(ctl.ResultWarn, ctl.CodeProviderWrongLink, fmt.Sprintf("have what is from %v leave by %s: ip -6 rule add from %v lookup TABLE", l.Addr, l.Link, l.Addr),
				"what is from %v, an address of %s, leaves by %s", l.Addr, l.Link, r.Link)
		case r.Gateway.IsValid():
			e.say(ctl.ResultOK, ctl.CodeProviderRoute, "", "%v leaves by %s to %v", l.Addr, r.Link, r.Gateway)
		default:
			e.say(ctl.ResultOK, ctl.CodeProviderRoute, "", "%v leaves by %s", l.Addr, r.Link)
		}
	}
}

func (e *explainer) configured() {
	e.name = "policy"
	alive := e.context != nil && e.context.State.Alive()
	switch {
	case alive || e.policyCode == ctl.CodePolicyAllows && e.policy == nil:
		e.say(ctl.ResultOK, ctl.CodePolicyAllows, "", "nothing is configured against it")
	case e.policyCode == ctl.CodePolicyRefuses:
		e.say(ctl.ResultNo, e.policyCode, "the key peers of shim6.yaml(5)", "protect is false for %v", e.policy.Prefix)
	case e.policyCode == ctl.CodePolicyNever:
		e.say(ctl.ResultNo, e.policyCode, "the peer has to ask; or change the key peers of shim6.yaml(5)", "trigger is never for %v", e.policy.Prefix)
	default:
		e.say(ctl.ResultOK, e.policyCode, "", "trigger is %s for %v", e.policy.Trigger, e.policy.Prefix)
	}
}

// decided is about what makes this host ask for a context.
func (e *explainer) decided() {
	e.name = "trigger"
	switch c := e.candidate; {
	case e.context != nil:
		return
	case e.server:
		e.say(ctl.ResultNo, ctl.CodeServer, "the client has to ask; see its explanation", "this host is configured to wait for its clients")
	case e.heuristic == "none":
		e.say(ctl.ResultNo, ctl.CodeHeuristicNone, "choose a heuristic: shim6ctl use default, or the key heuristic of shim6.yaml(5)",
			"no heuristic is in use: contexts are made when peers ask")
	case c == nil:
		e.say(ctl.ResultNo, ctl.CodeFlowNotFollowed, "send something; or see what the heuristics refuse: shim6ctl heuristics",
			"no packet went from %v in the last half minute that %s follows", e.choice.local, e.heuristic)
	case !c.Asked:
		e.say(ctl.ResultNo, ctl.CodeFlowBelowThreshold, "wait; or change what is enough: shim6ctl tune default.bytes=1",
			"%d packets, %d octets in %v are not enough for %s", c.Packets, c.Bytes, c.Age.Round(time.Millisecond), e.thresholds())
	case e.contexts >= e.limit:
		e.say(ctl.ResultNo, ctl.CodeContextsFull, "the key limits.contexts of shim6.yaml(5)", "there are %d contexts, as many as may be", e.contexts)
	default:
		e.say(ctl.ResultNo, ctl.CodeFlowWanted, "ask again in a moment", "%d octets are enough, a context was asked for", c.Bytes)
	}
}

// thresholds names the heuristics in use with their parameters.
func (e *explainer) thresholds() string {
	var all []string
	for _, h := range e.stack {
		var params []string
		for _, p := range h.Params {
			params = append(params, fmt.Sprintf("%s=%d", p.Name, p.Value))
		}
		all = append(all, strings.TrimSpace(h.Name+" "+strings.Join(params, " ")))
	}
	return strings.Join(all, ", ")
}

// peerSide is about the exchange with the peer.
func (e *explainer) peerSide() {
	e.name = "peer"
	c := e.context
	retry := fmt.Sprintf("it is asked again in %v at the earliest", c.Retry.Sub(e.now).Round(time.Second))
	switch c.State {
	case shim6.StateNoSupport:
		e.say(ctl.ResultNo, ctl.CodePeerNoSupport, "install shim6 there", "%v says that it does not know protocol 140; %s", e.peer, retry)
		return
	case shim6.StateEFailed:
		e.say(ctl.ResultNo, ctl.CodePeerSilent, "does it run shim6? does a firewall drop protocol 140? shim6ctl doctor looks for one here",
			"%v did not answer; %s", e.peer, retry)
		return
	case shim6.StateEstablished:
	default:
		e.say(ctl.ResultNo, ctl.CodeExchangeRunning, "ask again in a moment", "the context is in state %v", c.State)
		return
	}
	e.say(ctl.ResultOK, ctl.CodeContextEstablished, "", "context %s, for %v", tag(c.TagLocal), e.now.Sub(c.Since).Round(time.Second))
	usable := 0
	for _, l := range c.LocatorsPeer {
		if l.Verified {
			usable++
			continue
		}
		e.say(ctl.ResultWarn, ctl.CodePeerLocatorUnchecked, "", "locator %v is not proved and not used", l.Addr)
	}
	if usable*len(c.LocatorsLocal) < 2 {
		e.say(ctl.ResultNo, ctl.CodeNoAlternative, "one of both hosts needs a second provider, and addresses that prove themselves",
			"both hosts have one locator in this context")
		return
	}
	e.say(ctl.ResultOK, ctl.CodePeerLocators, "", "%d of its %d locators are verified", usable, len(c.LocatorsPeer))
}

func (e *explainer) reap() {
	e.name = "reap"
	c := e.context
	where := "the addresses that applications use"
	if c.Current != engine.LocatorPair(c.ULIDs) {
		where = fmt.Sprintf("%v and %v", c.Current.Local, c.Current.Peer)
	}
	if c.Reap.String() != "Operational" {
		e.say(ctl.ResultWarn, ctl.CodeReapExploring, "watch it: shim6ctl monitor --context "+tag(c.TagLocal), "%v: the path on %s failed and others are tried", c.Reap, where)
		return
	}
	rtt := ""
	for _, m := range c.Measures {
		if engine.LocatorPair(m.Pair) == c.Current && m.RTT > 0 {
			rtt = fmt.Sprintf(", round-trip time %v", m.RTT.Round(10*time.Microsecond))
		}
	}
	e.say(ctl.ResultOK, ctl.CodeReapOperational, "", "payload goes on %s%s", where, rtt)
}

// SPDX-License-Identifier: MIT

package ctl

import (
	"net/http"
	"net/netip"
	"strconv"
)

// An Explanation says whether what goes between two addresses is protected, and what led to that, step by step.
type Explanation struct {
	ULIDLocal netip.Addr `json:"ulid_local,omitzero"` // none where no source could be chosen
	ULIDPeer  netip.Addr `json:"ulid_peer"`
	Protected bool       `json:"protected"`
	Code      string     `json:"code"` // of the step that decided
	Steps     []Step     `json:"steps"`
}

// A Step is one thing that must be as it should.
type Step struct {
	Name   string `json:"step"`
	Result string `json:"result"`         // ok, no, warn or info; what comes after the first "no" did not count
	Code   string `json:"code"`           // one of the Code constants, which stay as they are
	Text   string `json:"text"`           // for people
	Hint   string `json:"hint,omitempty"` // what to do about it
}

// The values of Step.Result.
const (
	ResultOK   = "ok"
	ResultNo   = "no"
	ResultWarn = "warn"
	ResultInfo = "info"
)

// The codes of steps.
const (
	CodeModuleEnabled        = "module-enabled"
	CodeModuleDisabled       = "module-disabled"
	CodePeerNotUsable        = "peer-not-usable"
	CodePeerIsLocal          = "peer-is-local"
	CodeNoRoute              = "no-route"
	CodeSourceSelected       = "source-selected"
	CodeSourceOfContext      = "source-of-context"
	CodeSourceOfSocket       = "source-of-socket"
	CodeNoSocket             = "no-socket"
	CodeSourceNotLocator     = "source-not-locator"
	CodeSourceUnproved       = "source-unproved"
	CodeOneLocator           = "one-locator"
	CodeLocators             = "locators"
	CodeProviderRoute        = "provider-route"
	CodeProviderNoRoute      = "provider-no-route"
	CodeProviderWrongLink    = "provider-wrong-link"
	CodePolicyRefuses        = "policy-refuses"
	CodePolicyNever          = "policy-never"
	CodePolicyAllows         = "policy-allows"
	CodeServer               = "server"
	CodeHeuristicNone        = "heuristic-none"
	CodeFlowNotFollowed      = "flow-not-followed"
	CodeFlowBelowThreshold   = "flow-below-threshold"
	CodeFlowWanted           = "flow-wanted"
	CodeContextsFull         = "contexts-full"
	CodePeerSilent           = "peer-silent"
	CodePeerNoSupport        = "peer-no-support"
	CodeExchangeRunning      = "exchange-running"
	CodeContextEstablished   = "context-established"
	CodePeerLocatorUnchecked = "peer-locator-unverified"
	CodePeerLocators         = "peer-locators"
	CodeNoAlternative        = "no-alternative"
	CodeReapOperational      = "reap-operational"
	CodeReapExploring        = "reap-exploring"
)

// Codes lists every code that a Step can have.
func Codes() []string {
	return []string{
		CodeModuleEnabled, CodeModuleDisabled, CodePeerNotUsable, CodePeerIsLocal, CodeNoRoute, CodeSourceSelected, CodeSourceOfContext,
		CodeSourceOfSocket, CodeNoSocket, CodeSourceNotLocator, CodeSourceUnproved, CodeOneLocator, CodeLocators, CodeProviderRoute,
		CodeProviderNoRoute, CodeProviderWrongLink, CodePolicyRefuses, CodePolicyNever, CodePolicyAllows, CodeServer, CodeHeuristicNone,
		CodeFlowNotFollowed, CodeFlowBelowThreshold, CodeFlowWanted, CodeContextsFull, CodePeerSilent, CodePeerNoSupport,
		CodeExchangeRunning, CodeContextEstablished, CodePeerLocatorUnchecked, CodePeerLocators, CodeNoAlternative, CodeReapOperational,
		CodeReapExploring,
	}
}

func (s *Server) explain(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if err := onlyParams(q, "peer", "port"); err != nil {
		fail(w, err)
		return
	}
	peer, err := netip.ParseAddr(q.Get("peer"))
	if err != nil || peer.Zone() != "" || !peer.Is6() || peer.Is4In6() {
		fail(w, &Error{http.StatusBadRequest, "peer: " + strconv.Quote(q.Get("peer")) + " is not an IPv6 address", ""})
		return
	}
	port := uint64(0)
	if p := q.Get("port"); p != "" {
		if port, err = strconv.ParseUint(p, 10, 16); err != nil || port == 0 {
			fail(w, &Error{http.StatusBadRequest, "port: " + strconv.Quote(p) + " is not a port", ""})
			return
		}
	}
	list, err := s.backend.Explain(r.Context(), peer, uint16(port))
	if err != nil {
		fail(w, err)
		return
	}
	reply(w, http.StatusOK, list)
}

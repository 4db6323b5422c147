// SPDX-License-Identifier: MIT

package ctl

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// A Filter picks contexts; what is empty picks all.
type Filter struct {
	Tag   string // of the context
	State string // ESTABLISHED, in capitals or not
	Reap  string // exploring, in capitals or not
	Local netip.Prefix
	Peer  netip.Prefix // of the ULIDs or of the current locators, like Local
}

// states are what Filter.State may be, and reaps what Filter.Reap.
var (
	states = []string{"I1-SENT", "I2-SENT", "ESTABLISHED", "I2BIS-SENT", "E-FAILED", "NO-SUPPORT"}
	reaps  = []string{"Operational", "Exploring", "InboundOk"}
)

// ParseFilter reads the words of a filter, such as a query of HTTP has them: tag, state, reap, local and peer, which are prefixes
// or addresses.
func ParseFilter(tag, state, reap, local, peer string) (f Filter, err error) {
	if tag != "" {
		t, err := ParseTag(tag)
		if err != nil {
			return f, err
		}
		f.Tag = FormatTag(t)
	}
	oneOf := func(what, s string, known []string) string {
		i := slices.IndexFunc(known, func(k string) bool { return strings.EqualFold(k, s) })
		switch {
		case s == "":
		case i >= 0:
			return known[i]
		case err == nil:
			err = fmt.Errorf("%s %q is none of %s", what, s, strings.Join(known, ", "))
		}
		return ""
	}
	f.State = oneOf("state", state, states)
	f.Reap = oneOf("REAP state", reap, reaps)
	prefix := func(s string) netip.Prefix {
		if s == "" {
			return netip.Prefix{}
		}
		if a, addrErr := netip.ParseAddr(s); addrErr == nil {
			return netip.PrefixFrom(a, a.BitLen())
		}
		p, prefixErr := netip.ParsePrefix(s)
		if prefixErr != nil && err == nil {
			err = fmt.Errorf("%q is neither an address nor a prefix", s)
		}
		return p
	}
	f.Local, f.Peer = prefix(local), prefix(peer)
	return f, err
}

// query writes a filter as ParseFilter reads it.
func (f Filter) query() string {
	v := url.Values{}
	for name, s := range map[string]string{"tag": f.Tag, "state": f.State, "reap": f.Reap} {
		if s != "" {
			v.Set(name, s)
		}
	}
	for name, p := range map[string]netip.Prefix{"local": f.Local, "peer": f.Peer} {
		if p.IsValid() {
			v.Set(name, p.String())
		}
	}
	if len(v) == 0 {
		return ""
	}
	return "?" + v.Encode()
}

// Picks tells whether a context is among those that are wanted.
func (f Filter) Picks(c Context) bool {
	within := func(p netip.Prefix, addrs ...netip.Addr) bool {
		return !p.IsValid() || slices.ContainsFunc(addrs, p.Contains)
	}
	return (f.Tag == "" || f.Tag == c.Tag) && (f.State == "" || f.State == c.State) &&
		(f.Reap == "" || f.Reap == c.Reap && c.State == "ESTABLISHED") &&
		within(f.Local, c.ULIDLocal, c.Current.Local) && within(f.Peer, c.ULIDPeer, c.Current.Peer)
}

// filtered reads a filter from a request and the contexts that it picks.
func (s *Server) filtered(r *http.Request) ([]Context, error) {
	q := r.URL.Query()
	if err := onlyParams(q, "tag", "state", "reap", "local", "peer"); err != nil {
		return nil, err
	}
	f, err := ParseFilter(q.Get("tag"), q.Get("state"), q.Get("reap"), q.Get("local"), q.Get("peer"))
	if err != nil {
		return nil, &Error{http.StatusBadRequest, err.Error(), ""}
	}
	all, err := s.backend.Contexts(r.Context())
	picked := []Context{}
	for _, c := range all {
		if f.Picks(c) {
			picked = append(picked, c)
		}
	}
	return picked, err
}

// paths lists those of contexts.
func paths(list []Context) []ContextPath {
	all := []ContextPath{}
	for _, c := range list {
		for _, p := range c.Paths {
			all = append(all, ContextPath{c.Tag, c.ULIDLocal, c.ULIDPeer, p})
		}
	}
	return all
}

// onlyParams refuses a query with a parameter that means nothing: it would be thought to have been heard.
func onlyParams(q url.Values, known ...string) error {
	for name := range q {
		if !slices.Contains(known, name) {
			return &Error{http.StatusBadRequest, fmt.Sprintf("query: %s is none of %s", strconv.Quote(name), strings.Join(known, ", ")), ""}
		}
	}
	return nil
}

// SPDX-License-Identifier: MIT

package ctl

import (
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"time"
)

// logSize is how many events are remembered.
const logSize = 8192

// A LogFilter picks events; what is empty picks all.
type LogFilter struct {
	Tag   string
	Peer  netip.Addr // a ULID
	Since time.Time
}

// Picks tells whether an event is among those that are wanted.
func (f LogFilter) Picks(ev Event) bool {
	return (f.Tag == "" || f.Tag == ev.Tag) && (!f.Peer.IsValid() || f.Peer == ev.ULIDPeer || f.Peer == ev.Src) && !ev.Time.Before(f.Since)
}

// query writes a filter as a query of HTTP.
func (f LogFilter) query() string {
	v := url.Values{}
	if f.Tag != "" {
		v.Set("tag", f.Tag)
	}
	if f.Peer.IsValid() {
		v.Set("peer", f.Peer.String())
	}
	if !f.Since.IsZero() {
		v.Set("since", f.Since.Format(time.RFC3339Nano))
	}
	return "?" + v.Encode()
}

// remember keeps an event, in the place of the oldest where there is no room. It is called with mu held.
func (e *Events) remember(ev Event) {
	if len(e.past) < logSize {
		e.past = append(e.past, ev)
		return
	}
	e.past[e.oldest] = ev
	e.oldest = (e.oldest + 1) % logSize
}

// Past gives the remembered events that a filter picks, the oldest first.
func (e *Events) Past(f LogFilter) []Event {
	e.mu.Lock()
	all := slices.Concat(e.past[e.oldest:], e.past[:e.oldest])
	e.mu.Unlock()
	picked := []Event{}
	for _, ev := range all {
		if f.Picks(ev) {
			picked = append(picked, ev)
		}
	}
	return picked
}

func (s *Server) log(w http.ResponseWriter, r *http.Request) {
	f, err := logFilter(r.URL.Query())
	if err != nil {
		fail(w, err)
		return
	}
	reply(w, http.StatusOK, s.events.Past(f))
}

func logFilter(q url.Values) (f LogFilter, err error) {
	if err := onlyParams(q, "tag", "peer", "since"); err != nil {
		return f, err
	}
	if s := q.Get("tag"); s != "" {
		tag, err := ParseTag(s)
		if err != nil {
			return f, &Error{http.StatusBadRequest, err.Error(), ""}
		}
		f.Tag = FormatTag(tag)
	}
	if s := q.Get("peer"); s != "" {
		if f.Peer, err = netip.ParseAddr(s); err != nil {
			return f, &Error{http.StatusBadRequest, "peer: " + err.Error(), ""}
		}
	}
	if s := q.Get("since"); s != "" {
		if f.Since, err = time.Parse(time.RFC3339Nano, s); err != nil {
			return f, &Error{http.StatusBadRequest, "since: " + err.Error(), ""}
		}
	}
	return f, nil
}

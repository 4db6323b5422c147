// SPDX-License-Identifier: MIT

package ctl

import (
	"encoding/json"
	"net/http"
	"time"
)

// stream writes events, one per line, until the client goes, the server stops or the client is too slow.
func (s *Server) stream(w http.ResponseWriter, r *http.Request) {
	sub := s.events.subscribe(peer(r).uid)
	if sub == nil {
		fail(w, &Error{http.StatusServiceUnavailable, "too many readers of the event stream", "end one, such as shim6ctl monitor"})
		return
	}
	defer s.events.unsubscribe(sub)

	control := http.NewResponseController(w)
	// A stream has no end that a deadline for the whole answer could mean; each write has its own.
	if control.SetReadDeadline(time.Time{}) != nil {
		return
	}
	w.Header().Set("Content-Type", "application/jsonl")
	w.WriteHeader(http.StatusOK)
	write := func(b []byte) bool {
		if control.SetWriteDeadline(time.Now().Add(requestTimeout)) != nil {
			return false
		}
		_, err := w.Write(b)
		return err == nil && control.Flush() == nil
	}
	if !write(nil) {
		return
	}
	for {
		select {
		case <-r.Context().Done():
			return
		case ev, ok := <-sub.queue:
			if !ok {
				if sub.slow {
					write(line(Event{Time: time.Now(), Event: EventOverflow, Why: "the reader was too slow"}))
				}
				return
			}
			if !write(line(ev)) {
				return
			}
		}
	}
}

func line(ev Event) []byte {
	b, err := json.Marshal(ev)
	if err != nil {
		// An Event has no value that JSON lacks.
		panic(err)
	}
	return append(b, '\n')
}

// SPDX-License-Identifier: MIT

package ctl

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// FuzzRequest gives the server requests as they come from the socket. Whatever they are, the answer is JSON, with a status that
// says whose fault it is: never the daemon's.
func FuzzRequest(f *testing.F) {
	const body = "{\"send_timeout_ms\":3000}"
	for _, s := range []string{
		"GET /v1/status", "GET /v1/contexts", "GET /v1/contexts/112233445566", "GET /v1/contexts/x", "GET /v1/locators", "GET /v1/stats",
		"GET /v1/events", "GET /v1/events?since=1", "POST /v1/contexts/112233445566/delete", "POST /v1/contexts/112233445566/probe",
		"POST /v1/contexts/112233445566/fork", "POST /v1/contexts/112233445566/switch", "POST /v1/contexts/1/prefer", "POST /v1/reload",
		"GET /v1/paths?peer=2001:db8::/32&reap=x", "GET /v1/contexts?tag=1&local=::", "GET /v1/log?since=2030-01-01T00:00:00Z&peer=::1",
		"GET /v1/explain?peer=2001:db8::1&port=443", "GET /v1/flows?x", "GET /v1/explain?peer=%",
		"POST /v1/contexts/112233445566/set", "POST /v1/contexts/%31/set", "POST /v1/flush", "PUT /v1/../v1/flush", "GET //",
	} {
		f.Add([]byte(s+" HTTP/1.1\r\nHost: x\r\nContent-Length: 24\r\n\r\n"), []byte(body))
	}
	f.Add([]byte("POST /v1/contexts/112233445566/set HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"), []byte("5\r\n{\"a\":\r\n0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, head, body []byte) {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(append(bytes.Clone(head), body...))))
		if err != nil {
			return
		}
		m := &memory{contexts: []Context{sample()}}
		s := NewServer(m, new(Events), slog.New(slog.DiscardHandler))
		// The client of a stream is gone at once.
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), connKey{}, &peerConn{allowed: true}))
		cancel()
		w := httptest.NewRecorder()
		s.http.Handler.ServeHTTP(w, r.WithContext(ctx))
		switch w.Code {
		case http.StatusOK, http.StatusMovedPermanently, http.StatusTemporaryRedirect, http.StatusNotFound, http.StatusMethodNotAllowed,
			http.StatusBadRequest, http.StatusRequestEntityTooLarge:
		default:
			t.Errorf("%q is answered with %d: %s", head, w.Code, w.Body)
		}
		if w.Header().Get("Content-Type") == "application/json" && !json.Valid(w.Body.Bytes()) {
			t.Errorf("%q is answered with %q", head, w.Body)
		}
		if len(m.contexts) == 0 && !strings.HasPrefix(r.URL.Path, "/v1/") {
			t.Errorf("%q removed a context", head)
		}
		if r.Method != http.MethodPost && (len(m.contexts) != 1 || len(m.set)+len(m.probed)+len(m.forks)+len(m.switched)+len(m.ranked) > 0) {
			t.Errorf("%q changed something", head)
		}
	})
}

// FuzzTag: what is read as a tag is one, and is written as it was read but for capitals.
func FuzzTag(f *testing.F) {
	for _, s := range []string{"112233445566", "7fffffffffff", "800000000000", "000000000000", "0x1", "", "FFFFFFFFFFF1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tag, err := ParseTag(s)
		if err != nil {
			return
		}
		again, err := ParseTag(FormatTag(tag))
		if tag == 0 || tag >= 1<<47 || again != tag || err != nil {
			t.Errorf("%q is %x, and %x when written: %v", s, tag, again, err)
		}
	})
}

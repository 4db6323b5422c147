// SPDX-License-Identifier: MIT

package run

import (
	"context"
	"net"
	"net/http"
	"testing"
	"time"

	"shim6/cgad/netlab"
)

// Any local user can connect to the port for metrics: what that costs is bounded.
func TestConnectionsAreBounded(t *testing.T) {
	if err := netlab.LoopbackUp(); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = serve(t.Context(), "test", l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	}()
	ask := func(limit time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+l.Addr().String(), nil)
		if err != nil {
			return err
		}
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := client.Do(req)
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	if err := ask(statusTimeout); err != nil {
		t.Fatalf("nobody else is connected: %v", err)
	}
	var idle []net.Conn
	for range connectionsMost {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		idle = append(idle, c)
	}
	if err := ask(200 * time.Millisecond); err == nil {
		t.Errorf("one more than %d connections is served", connectionsMost)
	}
	idle[0].Close()
	if err := ask(statusTimeout); err != nil {
		t.Errorf("after one went: %v", err)
	}
}

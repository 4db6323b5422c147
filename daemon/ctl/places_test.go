// SPDX-License-Identifier: MIT

package ctl

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestPlaces(t *testing.T) {
	const of = 64
	p := new(places)
	fill := func(uid uint32) (n int) {
		for p.take(uid, of) {
			n++
		}
		return n
	}
	for _, tc := range []struct {
		uid  uint32
		want int
	}{{1000, 16}, {1001, 16}, {1000, 0}, {1002, 16}, {1003, 0}, {root, 16}, {root, 0}} {
		if n := fill(tc.uid); n != tc.want {
			t.Errorf("user %d got %d places, want %d", tc.uid, n, tc.want)
		}
	}
	p.free(1000)
	if n := fill(1001); n != 0 {
		t.Errorf("a user with a quarter got %d places more", n)
	}
	if n := fill(1003); n != 1 {
		t.Errorf("a user got %d places, want the one that another gave back", n)
	}
	for range 15 {
		p.free(1000)
	}
	for range 16 {
		p.free(1001)
		p.free(1002)
		p.free(root)
	}
	p.free(1003)
	if len(p.taken) > 0 || p.all != 0 || p.others != 0 {
		t.Errorf("left when all have gone: %v, %d, %d", p.taken, p.all, p.others)
	}
	if n := fill(root); n != of {
		t.Errorf("root got %d places, want all", n)
	}
}

// someone is a user other than root, and as runs f on a thread of its own as that user: us, where we are no root.
func someone(t *testing.T) (as func(f func())) {
	t.Helper()
	if os.Geteuid() != root {
		return func(f func()) { f() }
	}
	const nobody = 65534
	return func(f func()) {
		done := make(chan error)
		go func() {
			// Never unlocked: the thread ends with the goroutine.
			runtime.LockOSThread()
			keep := ^uintptr(0)
			_, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, keep, nobody, keep)
			if errno != 0 {
				done <- errno
				return
			}
			defer close(done)
			f()
		}()
		if err := <-done; err != nil {
			t.Fatalf("become another user: %v", err)
		}
	}
}

// reachable lets others than the owner of a socket come to it.
func reachable(t *testing.T, path string) {
	t.Helper()
	if err := os.Chmod(filepath.Dir(filepath.Dir(path)), 0o755); err != nil {
		t.Fatal(err)
	}
}

// Somebody who may use the socket cannot keep it from root, nor from others.
func TestUserHoldsAQuarter(t *testing.T) {
	path, _ := serve(t, new(memory))
	reachable(t, path)
	as := someone(t)
	var open []net.Conn
	dial := func() net.Conn {
		var c net.Conn
		var err error
		as(func() { c, err = net.Dial("unix", path) })
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	for range quarter(maxConnections) {
		open = append(open, dial())
	}
	if _, err := dial().Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("a connection too many: %v, want the end of file", err)
	}
	if os.Geteuid() == root {
		client := NewClient(path)
		defer client.Close()
		if _, err := client.Status(t.Context()); err != nil {
			t.Errorf("root meanwhile: %v", err)
		}
	}
	for i, c := range open {
		if _, err := io.WriteString(c, "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, len("HTTP/1.1 200"))); err != nil {
			t.Errorf("connection %d: %v", i, err)
		}
	}
}

// ours is how many of so many places we have.
func ours(of int) int {
	if os.Geteuid() == root {
		return of
	}
	return quarter(of)
}

func TestReadersAreSharedByUsers(t *testing.T) {
	e := new(Events)
	for _, tc := range []struct {
		uid  uint32
		want int
	}{{1000, 4}, {1001, 4}, {1002, 4}, {1003, 0}, {root, 4}} {
		n := 0
		for e.subscribe(tc.uid) != nil {
			n++
		}
		if n != tc.want {
			t.Errorf("user %d reads %d times, want %d", tc.uid, n, tc.want)
		}
	}
	e.mu.Lock()
	for s := range e.subs {
		if s.uid == 1001 {
			e.drop(s)
		}
	}
	e.mu.Unlock()
	if e.subscribe(1003) == nil {
		t.Error("the places of readers that have gone are taken")
	}
}

// A connection on which nothing is asked, or never all of a request, gives its place back; a stream stays.
func TestIdleConnectionsEnd(t *testing.T) {
	const short = 100 * time.Millisecond
	path, events := serveWith(t, new(memory), func(s *http.Server) {
		if s.IdleTimeout != idleTimeout || s.ReadHeaderTimeout != headerTimeout || s.ReadTimeout != requestTimeout {
			t.Error("the server waits for other times than the manual says")
		}
		s.IdleTimeout, s.ReadHeaderTimeout, s.ReadTimeout, s.WriteTimeout = short, short, short, short
	})
	client := NewClient(path)
	defer client.Close()
	stream, err := client.Events(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	for name, request := range map[string]string{
		"nothing is asked":        "",
		"half a header":           "GET /v1/status HTTP/1.1\r\nX: ",
		"half a content":          "POST /v1/contexts/1/set HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
		"nothing after an answer": "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, request); err != nil {
			t.Fatal(err)
		}
		c.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.Copy(io.Discard, c); err != nil {
			t.Errorf("%s: the connection does not end: %v", name, err)
		}
	}
	// It has been silent for longer than each of them.
	events.Publish(Event{Event: EventTCPKick})
	if ev, err := stream.Next(); err != nil || ev.Event != EventTCPKick {
		t.Errorf("the stream has ended: %v, %v", ev, err)
	}
}

// SPDX-License-Identifier: MIT

package ctl

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestEventStream(t *testing.T) {
	path, events := serve(t, new(memory))
	c := NewClient(path)
	defer c.Close()
	s, err := c.Events(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	zero, nonce := 0, uint32(7)
	want := []Event{
		{Time: start, Event: EventStateChanged, ULIDLocal: addrA, ULIDPeer: addrB, Tag: "112233445566", From: "IDLE", To: "I1-SENT", Why: "trigger"},
		{Time: start, Event: EventProbeSent, Pair: Pair{addrA, addrB}.String(), State: "Exploring", Nonce: &nonce},
		{Time: start, Event: EventProbeReceived, Reports: &zero},
	}
	for _, ev := range want {
		events.Publish(ev)
	}
	for _, ev := range want {
		got, err := s.Next()
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(ev, got, addrs); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	}
	if n := events.Subscribers(); n != 1 {
		t.Errorf("%d subscribers, want 1", n)
	}
	s.Close()
	for deadline := time.Now().Add(5 * time.Second); events.Subscribers() > 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the closed stream is still subscribed")
		}
	}
}

func TestEventLine(t *testing.T) {
	got := string(line(Event{Time: start, Event: EventPathChanged, Tag: "000000000001", From: Pair{addrA, addrB}.String()}))
	want := `{"time":"2030-01-02T03:04:05.000000006Z","event":"path changed","tag":"000000000001",` +
		`"from":"2001:db8:a1::1 -\u003e 2001:db8:b1::1"}` + "\n"
	if got != want {
		t.Errorf("line %s, want %s", got, want)
	}
	var back Event
	if err := json.Unmarshal([]byte(got), &back); err != nil || back.From != "2001:db8:a1::1 -> 2001:db8:b1::1" {
		t.Errorf("read back as %q, %v", back.From, err)
	}
}

func TestStreamEndsWithTheServer(t *testing.T) {
	path, events := serve(t, new(memory))
	c := NewClient(path)
	defer c.Close()
	s, err := c.Events(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	events.Publish(Event{Event: EventTCPKick})
	events.Close()
	if ev, err := s.Next(); err != nil || ev.Event != EventTCPKick {
		t.Errorf("the last event: %v, %v", ev, err)
	}
	if _, err := s.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("the end: %v", err)
	}
	var e *Error
	if _, err := c.Events(t.Context()); !errors.As(err, &e) || e.Status != http.StatusServiceUnavailable {
		t.Errorf("a stream after the end: %v", err)
	}
}

func TestSubscribersAreBounded(t *testing.T) {
	path, _ := serve(t, new(memory))
	c := NewClient(path)
	defer c.Close()
	for range ours(maxSubscribers) {
		s, err := c.Events(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
	}
	var e *Error
	if _, err := c.Events(t.Context()); !errors.As(err, &e) || e.Message != "too many readers of the event stream" {
		t.Errorf("a reader too many: %v", err)
	}
	if _, err := c.Status(t.Context()); err != nil {
		t.Errorf("other requests: %v", err)
	}
}

func TestSlowSubscriberIsDroppedAndTold(t *testing.T) {
	path, events := serve(t, new(memory))
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	for events.Subscribers() == 0 {
		time.Sleep(time.Millisecond)
	}
	// Nobody reads: the socket's buffer fills, then the queue.
	ev := Event{Event: EventDropped, Detail: strings.Repeat("x", 4000)}
	for n := 0; events.Subscribers() > 0; n++ {
		if n > 100000 {
			t.Fatal("the reader was not dropped")
		}
		before := time.Now()
		events.Publish(ev)
		if d := time.Since(before); d > time.Second {
			t.Fatalf("publishing took %v", d)
		}
	}
	c.SetReadDeadline(time.Now().Add(20 * time.Second))
	var all strings.Builder
	for !strings.Contains(all.String(), `"event":"overflow"`) {
		b := make([]byte, 64<<10)
		n, err := c.Read(b)
		if err != nil {
			t.Fatalf("the reader was not told: %v", err)
		}
		all.Write(b[:n])
	}
	if !strings.Contains(all.String(), `"why":"the reader was too slow"`) {
		t.Error("the reader was not told why")
	}
}

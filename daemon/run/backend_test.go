// SPDX-License-Identifier: MIT

package run

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"shim6/daemon/ctl"
	"shim6/daemon/nl"
)

// served is a pair of daemons in real time, and a client of a's control socket.
func served(t *testing.T) (*pair, *ctl.Client) {
	t.Helper()
	p := newPair(t)
	p.run(t)
	path := filepath.Join(t.TempDir(), "s")
	l, err := ctl.Listen(path, os.Getgid())
	if err != nil {
		t.Fatal(err)
	}
	s := ctl.NewServer(p.a.loop.Backend(), p.a.stream, discard)
	done := make(chan error)
	go func() { done <- s.Serve(l) }()
	c := ctl.NewClient(path)
	t.Cleanup(func() {
		c.Close()
		p.stop()
		if err := errors.Join(s.Shutdown(context.Background()), <-done); err != nil {
			t.Error(err)
		}
	})
	return p, c
}

// eventually waits until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come about", what)
		}
	}
}

func TestControl(t *testing.T) {
	p, c := served(t)
	ctx := t.Context()
	stream, err := c.Events(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()

	status, err := c.Status(ctx)
	if err != nil || status.Version != "test" || !status.Enabled || status.Heuristic != "default" || status.GSO != "auto" ||
		status.SendTimeoutMS != 15000 || status.TeardownMS != 600000 || status.Locators != 2 || status.PID != os.Getpid() ||
		status.Subscribers != 1 || len(status.Heuristics) != 2 || time.Since(status.Started) > time.Minute {
		t.Errorf("status %+v, %v", status, err)
	}
	if list, err := c.Contexts(ctx, ctl.Filter{}); err != nil || list == nil || len(list) != 0 {
		t.Errorf("contexts %v, %v", list, err)
	}
	locators, err := c.Locators(ctx)
	if err != nil || len(locators) != 2 || locators[0].Addr != p.a1 || locators[0].Proof != "CGA" || locators[0].KeyID != "host" {
		t.Errorf("locators %+v, %v", locators, err)
	}

	devices, err := c.Devices(ctx)
	if want := []ctl.Device{{Name: "eth0", Index: 2, GSO: "segment", Why: "hardware"}, {Name: "wg0", Index: 3, GSO: "whole", Why: "gso_devices"}}; err != nil || !slices.Equal(devices, want) {
		t.Errorf("devices %+v, %v, want %+v", devices, err, want)
	}

	p.a.events.queue <- nl.Trigger{ULIDLocal: p.a1, ULIDPeer: p.b1}
	eventually(t, "a context", func() bool {
		list, err := c.Contexts(ctx, ctl.Filter{})
		return err == nil && len(list) == 1 && list[0].State == "ESTABLISHED" && list[0].Kernel != nil
	})
	for _, to := range []string{"I1-SENT", "I2-SENT", "ESTABLISHED"} {
		ev, err := stream.Next()
		for err == nil && ev.Event != ctl.EventStateChanged {
			ev, err = stream.Next()
		}
		if err != nil || ev.To != to || ev.ULIDLocal != p.a1 || ev.ULIDPeer != p.b1 {
			t.Errorf("event %+v, %v; want the change to %s", ev, err, to)
		}
	}
	list, err := c.Contexts(ctx, ctl.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	tag, err := ctl.ParseTag(list[0].Tag)
	if err != nil {
		t.Fatal(err)
	}
	one, err := c.Context(ctx, tag)
	if err != nil || one.ULIDPeer != p.b1 || len(one.Kernel.Paths) != 1 || one.Kernel.Reap != "Operational" || one.TagPeer == "" {
		t.Errorf("context %+v, %v", one, err)
	}

	if err := c.Probe(ctx, tag); err != nil {
		t.Errorf("probe: %v", err)
	}
	eventually(t, "a probe", func() bool {
		one, err := c.Context(ctx, tag)
		return err == nil && one.ProbesSent > 0
	})
	stats, err := c.Stats(ctx)
	if err != nil || stats.Engine["sent Probe"] == 0 || stats.Daemon["packets_sent"] == 0 || stats.Kernel["tcp_kicks"] != 4 {
		t.Errorf("stats %+v, %v", stats, err)
	}

	if err := c.Set(ctx, tag, ctl.Timeouts{SendTimeoutMS: new(int64(2000)), TeardownMS: new(int64(0))}); err != nil {
		t.Errorf("set: %v", err)
	}
	if one, err := c.Context(ctx, tag); err != nil || one.SendTimeoutMS != 2000 || one.TeardownMS != 0 {
		t.Errorf("after set: %+v, %v", one, err)
	}
	for _, bad := range []ctl.Timeouts{
		{SendTimeoutMS: new(int64(99))}, {SendTimeoutMS: new(int64(-1))}, {SendTimeoutMS: new(int64(3600001))},
		{TeardownMS: new(int64(9999))}, {TeardownMS: new(int64(-1))}, {TeardownMS: new(int64(1 << 62))},
	} {
		var e *ctl.Error
		if err := c.Set(ctx, tag, bad); !errors.As(err, &e) || e.Status != 400 {
			t.Errorf("%+v: %v", bad, err)
		}
	}

	var e *ctl.Error
	if err := c.Delete(ctx, tag+1); !errors.As(err, &e) || e.Status != 404 {
		t.Errorf("deleting what is not there: %v", err)
	}
	if err := c.Delete(ctx, tag); err != nil {
		t.Errorf("delete: %v", err)
	}
	if list, err := c.Contexts(ctx, ctl.Filter{}); err != nil || len(list) != 0 {
		t.Errorf("contexts after the deletion %+v, %v", list, err)
	}
	if k, _ := p.a.module.Contexts(); len(k) != 0 {
		t.Errorf("the kernel kept %+v", k)
	}
}

func TestFlush(t *testing.T) {
	p, c := served(t)
	ctx := t.Context()
	p.a.events.queue <- nl.Trigger{ULIDLocal: p.a1, ULIDPeer: p.b1}
	p.a.events.queue <- nl.Trigger{ULIDLocal: p.a2, ULIDPeer: p.b1}
	eventually(t, "two contexts", func() bool {
		list, _ := p.a.module.Contexts()
		return len(list) == 2
	})
	before := len(p.a.module.called())
	if n, err := c.Flush(ctx); n != 2 || err != nil {
		t.Errorf("flush %d, %v", n, err)
	}
	if k, _ := p.a.module.Contexts(); len(k) != 0 {
		t.Errorf("the kernel kept %+v", k)
	}
	if list, err := c.Contexts(ctx, ctl.Filter{}); err != nil || len(list) != 0 {
		t.Errorf("contexts %+v, %v", list, err)
	}
	if calls := p.a.module.called()[before:]; !slices.Contains(calls, "flush") || slices.ContainsFunc(calls, func(c string) bool { return strings.HasPrefix(c, "delete") }) {
		t.Errorf("the kernel was not flushed at once: %v", calls)
	}
}

func TestProbeNeedsAnEstablishedContext(t *testing.T) {
	p, c := served(t)
	// Nobody answers.
	p.wires.setCut(p.a1, p.b1, true)
	p.a.events.queue <- nl.Trigger{ULIDLocal: p.a1, ULIDPeer: p.b1}
	var list []ctl.Context
	eventually(t, "a context", func() bool {
		list, _ = c.Contexts(t.Context(), ctl.Filter{})
		return len(list) == 1
	})
	tag, err := ctl.ParseTag(list[0].Tag)
	if err != nil {
		t.Fatal(err)
	}
	var e *ctl.Error
	if err := c.Probe(t.Context(), tag); !errors.As(err, &e) || e.Status != 409 || e.Message != "the context is in state I1-SENT" {
		t.Errorf("probe: %v", err)
	}
}

func TestKernelErrorsReachTheClient(t *testing.T) {
	p, c := served(t)
	broken := &nl.Error{Op: "list", Errno: 1}
	p.a.module.mu.Lock()
	for _, word := range []string{"list", "settings?", "stats", "flush"} {
		p.a.module.fail[word] = broken
	}
	p.a.module.mu.Unlock()
	_, statusErr := c.Status(t.Context())
	_, listErr := c.Contexts(t.Context(), ctl.Filter{})
	_, statsErr := c.Stats(t.Context())
	_, flushErr := c.Flush(t.Context())
	for what, err := range map[string]error{"status": statusErr, "contexts": listErr, "stats": statsErr, "flush": flushErr} {
		var e *ctl.Error
		if !errors.As(err, &e) || e.Status != 500 || e.Message != "list: operation not permitted" {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestRequestsEndWithTheLoop(t *testing.T) {
	p := newPair(t)
	p.a.run(t, p.wires)
	b := p.a.loop.Backend()
	p.a.stop()
	if _, err := b.Locators(t.Context()); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Contexts(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

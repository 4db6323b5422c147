// SPDX-License-Identifier: MIT

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"shim6/daemon/ctl"
	"shim6/daemon/doctor"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"shim6ctl": main})
}

var (
	ulidA = netip.MustParseAddr("2001:db8:a1:ffff:1234:5678:9abc:def0")
	locA  = netip.MustParseAddr("2001:db8:a2:ffff:1234:5678:9abc:def0")
	ulidB = netip.MustParseAddr("2001:db8:b1::1")
)

// A daemon answers like shim6d from two fixed contexts.
type daemon struct {
	heuristics []ctl.Heuristic
	contexts   []ctl.Context
	reloaded   bool
	events     *ctl.Events
}

func newDaemon() *daemon {
	since := time.Now().Add(-90 * time.Minute)
	heuristics := []ctl.Heuristic{
		{Name: "default", Used: true, Triggers: 12, Refusals: 3, Vetoes: 1, Params: []ctl.HeuristicParam{{Name: "bytes", Value: 4096, Initial: 2048, Max: 1<<64 - 1}}},
		{Name: "none"}, {Name: "eui64"},
	}
	return &daemon{events: new(ctl.Events), heuristics: heuristics, contexts: []ctl.Context{
		{
			Tag: "112233445566", TagPeer: "010203040506", ULIDLocal: ulidA, ULIDPeer: ulidB, FII: 7, State: "ESTABLISHED",
			Since: since, Current: ctl.Pair{Local: locA, Peer: ulidB}, GenerationLocal: 5, GenerationPeer: 6,
			LocatorsLocal: []ctl.ContextLocator{{Addr: ulidA, Method: "CGA", Verified: true, Broken: true}, {Addr: locA, Method: "CGA", Verified: true}},
			LocatorsPeer:  []ctl.ContextLocator{{Addr: ulidB, Verified: true, Probed: true}, {Addr: locA, Method: "HBA"}},
			Reap:          "Exploring", SendTimeoutMS: 15000, KeepaliveTimeoutMS: 15000, KeepaliveIntervalMS: 5000,
			ProbesSent: 3, ProbesReceived: 2, KeepalivesSent: 1, Ranking: []ctl.Pair{{Local: locA, Peer: ulidB}},
			Paths: []ctl.Path{
				{Pair: ctl.Pair{Local: locA, Peer: ulidB}, Current: true, InKernel: true, Probes: 8, Answered: 6, RTTMS: 12.345, LeastRTTMS: 9, TxPackets: 5, RxPackets: 6},
				{Pair: ctl.Pair{Local: ulidA, Peer: ulidB}, InKernel: true, Probes: 1, Awaited: 1},
			},
			ReportsSent:     []ctl.ProbeReport{{Pair: ctl.Pair{Local: locA, Peer: ulidB}, Nonce: 0xabc, Seen: true}, {Pair: ctl.Pair{Local: ulidA, Peer: ulidB}, Nonce: 2}},
			ReportsReceived: []ctl.ProbeReport{{Pair: ctl.Pair{Local: locA, Peer: ulidB}, Nonce: 3, Seen: true}},
			Kernel: &ctl.KernelContext{
				Paths: []ctl.Pair{{Local: locA, Peer: ulidB}, {Local: ulidA, Peer: ulidB}},
				Reap:  "Exploring", TxPackets: 10, TxBytes: 1000, RxPackets: 20, RxBytes: 2000, IdleMS: 1500,
			},
		},
		{
			Tag: "00000000000a", RetryAt: new(time.Now().Add(time.Hour)), ULIDLocal: ulidA, ULIDPeer: locA, State: "I1-SENT", Since: since,
			Current: ctl.Pair{Local: ulidA, Peer: locA}, Reap: "Operational",
			LocatorsLocal: []ctl.ContextLocator{}, LocatorsPeer: []ctl.ContextLocator{},
		},
	}}
}

func (d *daemon) Status(context.Context) (ctl.Status, error) {
	return ctl.Status{
		API: 1, Version: "1.2.3", Config: "/etc/shim6/shim6.yaml", Server: true, Metrics: "[::1]:9556", PID: 77, Started: time.Now().Add(-time.Hour), Enabled: true, Heuristic: "default",
		Heuristics: []string{"none", "default"}, GSO: "segment", MarkMask: 255, SendTimeoutMS: 15000, TeardownMS: 600000,
		Contexts: len(d.contexts), Locators: 2, Subscribers: d.events.Subscribers(),
	}, nil
}

func (d *daemon) Contexts(context.Context) ([]ctl.Context, error) { return d.contexts, nil }

func (d *daemon) Locators(context.Context) ([]ctl.Locator, error) {
	return []ctl.Locator{
		{Addr: ulidA, Link: "eth0", Carrier: true, Proof: "CGA", KeyID: "host", Sec: 1, Priority: 3, Params: bytes.Repeat([]byte{0xab, 0xcd}, 20)},
		{Addr: locA, Link: "wlan0", Deprecated: true, Temporary: true},
	}, nil
}

func (d *daemon) Devices(context.Context) ([]ctl.Device, error) {
	return []ctl.Device{
		{Name: "eth0", Index: 2, GSO: "segment", Why: "hardware"}, {Name: "wg0", Index: 3, GSO: "whole", Why: "software"},
		{Name: "veth-0123456789", Index: 4, GSO: "whole", Why: "gso_devices"},
	}, nil
}

func (d *daemon) Heuristics(context.Context) ([]ctl.Heuristic, error) { return d.heuristics, nil }

func (d *daemon) ChangeHeuristics(_ context.Context, change ctl.HeuristicChange) error {
	if change.Use != "" {
		d.heuristics[0].Name = change.Use
	}
	for name, value := range change.Params {
		if name != "default.bytes" {
			return &ctl.Error{Status: 400, Message: name + " is not known", Hint: "list them and their parameters: shim6ctl heuristics"}
		}
		d.heuristics[0].Params[0].Value = value
	}
	return nil
}

func (d *daemon) Stats(context.Context) (ctl.Stats, error) {
	return ctl.Stats{
		Kernel: map[string]uint64{"tx_rewritten": 12, "events_lost": 0},
		Engine: map[string]uint64{"bad-checksum": 3},
		Daemon: map[string]uint64{"packets_sent": 1<<64 - 1},
	}, nil
}

func (d *daemon) DeleteContext(_ context.Context, tag uint64) error {
	for i, c := range d.contexts {
		if c.Tag == ctl.FormatTag(tag) {
			d.contexts = append(d.contexts[:i], d.contexts[i+1:]...)
			return nil
		}
	}
	return ctl.ErrNoContext
}

func (d *daemon) SetContext(_ context.Context, tag uint64, t ctl.Timeouts) error {
	for i, c := range d.contexts {
		if c.Tag == ctl.FormatTag(tag) {
			if t.SendTimeoutMS != nil {
				d.contexts[i].SendTimeoutMS = *t.SendTimeoutMS
			}
			if t.TeardownMS != nil {
				d.contexts[i].TeardownMS = *t.TeardownMS
			}
			return nil
		}
	}
	return ctl.ErrNoContext
}

// ForkContext tells in the context's path and timeout what it was asked for.
func (d *daemon) ForkContext(_ context.Context, tag uint64, f ctl.Fork) (ctl.Forked, error) {
	for _, c := range d.contexts {
		if c.Tag != ctl.FormatTag(tag) {
			continue
		}
		c.Tag, c.FII = "665544332211", 7
		if f.Local != nil {
			c.Current.Local = *f.Local
		}
		if f.Peer != nil {
			c.Current.Peer = *f.Peer
		}
		if f.SendTimeoutMS != nil {
			c.SendTimeoutMS = *f.SendTimeoutMS
		}
		d.contexts = append(d.contexts, c)
		return ctl.Forked{Tag: c.Tag, FII: c.FII}, nil
	}
	return ctl.Forked{}, ctl.ErrNoContext
}

// ProbeContext tells what a probe of a real daemon would.
func (d *daemon) ProbeContext(_ context.Context, tag uint64) error {
	at := time.Date(2030, 1, 2, 3, 4, 5, 6e6, time.UTC)
	nonce, reports, sockets := uint32(9), 1, uint32(2)
	ids := ctl.Event{Time: at, ULIDLocal: ulidA, ULIDPeer: ulidB, Tag: ctl.FormatTag(tag)}
	pair := ctl.Pair{Local: locA, Peer: ulidB}.String()
	for _, change := range []func(*ctl.Event){
		func(e *ctl.Event) {
			e.Event, e.From, e.To, e.Why = ctl.EventStateChanged, "I2-SENT", "ESTABLISHED", "R2"
		},
		func(e *ctl.Event) {
			e.Event, e.From, e.To, e.Why = ctl.EventReapChanged, "Operational", "Exploring", "operator"
		},
		func(e *ctl.Event) { e.Event, e.Pair, e.State, e.Nonce = ctl.EventProbeSent, pair, "Exploring", &nonce },
		func(e *ctl.Event) {
			e.Event, e.Pair, e.State, e.Reports = ctl.EventProbeReceived, pair, "InboundOk", &reports
		},
		func(e *ctl.Event) {
			e.Event, e.From, e.To = ctl.EventPathChanged, pair, ctl.Pair{Local: ulidA, Peer: ulidB}.String()
		},
		func(e *ctl.Event) { e.Event, e.Tag, e.Sockets = ctl.EventTCPKick, "", &sockets },
		func(e *ctl.Event) {
			*e = ctl.Event{Time: at, Event: ctl.EventDropped, Src: ulidB, Dst: ulidA, Reason: "bad-checksum", Detail: "0000"}
		},
	} {
		ev := ids
		change(&ev)
		d.events.Publish(ev)
	}
	d.events.Close()
	return nil
}

// SwitchContext moves at once, but not to a path from nowhere.
func (d *daemon) SwitchContext(_ context.Context, tag uint64, to ctl.Pair) error {
	for i, c := range d.contexts {
		if c.Tag != ctl.FormatTag(tag) {
			continue
		}
		ev := ctl.Event{Time: time.Now(), Tag: c.Tag, Event: ctl.EventPathChanged, From: c.Current.String(), To: to.String()}
		if to.Local == ulidB {
			ev = ctl.Event{Time: time.Now(), Tag: c.Tag, Event: ctl.EventSwitchFailed, Pair: to.String(), Why: "no answer"}
		} else {
			d.contexts[i].Current = to
		}
		d.events.Publish(ev)
		return nil
	}
	return ctl.ErrNoContext
}

func (d *daemon) PreferPaths(_ context.Context, tag uint64, r ctl.Ranking) error {
	for i, c := range d.contexts {
		if c.Tag == ctl.FormatTag(tag) {
			d.contexts[i].Ranking = r.Pairs
			return nil
		}
	}
	return ctl.ErrNoContext
}

// Reload is right once.
func (d *daemon) Reload(context.Context) (ctl.Reloaded, error) {
	if d.reloaded {
		return ctl.Reloaded{}, &ctl.Error{Status: 400, Message: "f.yaml:1: unknown key \"x\"\nf.yaml:2: unknown key \"y\"", Hint: "nothing was changed"}
	}
	d.reloaded = true
	return ctl.Reloaded{Applied: []string{"teardown"}, Restart: []string{"socket"}, Warnings: []string{"unwise"}}, nil
}

func (d *daemon) Flows(context.Context) ([]ctl.Flow, error) {
	return []ctl.Flow{
		{ULIDLocal: ulidA, ULIDPeer: ulidB, Packets: 3, Bytes: 4000, AgeMS: 1234, Wanted: true, Code: ctl.CodePeerSilent},
	}, nil
}

func (d *daemon) Explain(_ context.Context, peer netip.Addr, port uint16) ([]ctl.Explanation, error) {
	return []ctl.Explanation{
		{ULIDLocal: ulidA, ULIDPeer: peer, Protected: true, Code: ctl.CodeReapOperational, Steps: []ctl.Step{
			{Name: "reap", Result: ctl.ResultOK, Code: ctl.CodeReapOperational, Text: fmt.Sprintf("port %d, and a long text with an address %v that must go on in the next line", port, ulidA)},
		}},
		{ULIDPeer: peer, Code: ctl.CodeNoRoute, Steps: []ctl.Step{
			{Name: "address selection", Result: ctl.ResultNo, Code: ctl.CodeNoRoute, Text: "no route", Hint: "ip -6 route get " + peer.String()},
		}},
	}, nil
}

func (d *daemon) Flush(context.Context) (int, error) {
	n := len(d.contexts)
	d.contexts = []ctl.Context{}
	return n, nil
}

// serve runs a daemon on the socket until the test ends, and returns when its event stream got a reader.
func serve(t testing.TB, defers func(func()), path string) *daemon {
	l, err := ctl.Listen(path, os.Getgid())
	if err != nil {
		t.Fatal(err)
	}
	d := newDaemon()
	s := ctl.NewServer(d, d.events, slog.New(slog.DiscardHandler))
	done := make(chan error)
	go func() { done <- s.Serve(l) }()
	defers(func() {
		if err := errors.Join(s.Shutdown(context.Background()), <-done); err != nil {
			t.Error(err)
		}
	})
	return d
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv("TZ", "UTC")
			// The work directory of a script may be too deep for a socket.
			dir, err := os.MkdirTemp("", "s")
			if err != nil {
				return err
			}
			path := filepath.Join(dir, "s")
			e.Setenv("SOCK", path)
			e.Defer(func() { os.RemoveAll(dir) })
			serve(t, e.Defer, path)
			// testscript expands no variables in files.
			for _, name := range []string{"keys.yaml"} {
				file := filepath.Join(e.WorkDir, name)
				if b, err := os.ReadFile(file); err == nil {
					b = bytes.ReplaceAll(b, []byte("$WORK"), []byte(e.WorkDir))
					if err := os.WriteFile(file, b, 0o644); err != nil {
						return err
					}
				}
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"columns": columns, "reader": reader, "status": status, "bundle": checkBundle,
		},
	})
}

// status fails unless a program ends with the exit status; what it prints goes to the log.
func status(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if args[0] != fmt.Sprint(code) {
		ts.Fatalf("%q ends with %d, not %s", args[1:], code, args[0])
	}
}

// checkBundle fails unless an archive has the files, and no private key.
func checkBundle(ts *testscript.TestScript, _ bool, args []string) {
	f, err := os.Open(ts.MkAbs(args[0]))
	ts.Check(err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	ts.Check(err)
	has := make(map[string]bool)
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		ts.Check(err)
		b, err := io.ReadAll(r)
		ts.Check(err)
		has[strings.TrimPrefix(h.Name, "shim6-debug/")] = true
		if bytes.Contains(b, []byte("SECRET")) {
			ts.Fatalf("%s tells a private key", h.Name)
		}
	}
	for _, name := range args[1:] {
		if !has[name] {
			ts.Fatalf("%s is not in the bundle, which has %v", name, has)
		}
	}
}

// columns fails when a line of the last standard output is longer than 80 characters.
func columns(ts *testscript.TestScript, _ bool, _ []string) {
	for line := range strings.Lines(ts.ReadFile("stdout")) {
		if line := strings.TrimSuffix(line, "\n"); len(line) > 80 {
			ts.Fatalf("%d columns: %s", len(line), line)
		}
	}
}

// reader waits until the daemon has a reader of its events.
func reader(ts *testscript.TestScript, _ bool, _ []string) {
	c := ctl.NewClient(ts.Getenv("SOCK"))
	defer c.Close()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if s, err := c.Status(context.Background()); err != nil {
			ts.Fatalf("%v", err)
		} else if s.Subscribers > 0 {
			return
		}
	}
	ts.Fatalf("nobody reads the events")
}

func TestInterruptEndsMonitorWell(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	d := serve(t, t.Cleanup, path)
	ctx, cancel := context.WithCancel(t.Context())
	var stdout, stderr bytes.Buffer
	e := &env{stdout: &stdout, stderr: &stderr, now: time.Now}
	code := make(chan int)
	go func() { code <- e.run(ctx, []string{"monitor", "--socket", path}) }()
	for d.events.Subscribers() == 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if got := <-code; got != exitOK || stderr.Len() > 0 {
		t.Errorf("exit status %d, %s", got, stderr.String())
	}
}

// Every command and flag is in the manual, and every flag in the help of its command.
func TestManual(t *testing.T) {
	b, err := os.ReadFile("shim6ctl.8")
	if err != nil {
		t.Fatal(err)
	}
	manual := string(b)
	e := &env{stdout: new(bytes.Buffer), stderr: new(bytes.Buffer), now: time.Now}
	root := e.command()
	root.InitDefaultHelpFlag()
	if n := len(root.Commands()); n != 26 {
		t.Errorf("%d commands, want 26", n)
	}
	for _, c := range append(root.Commands(), root) {
		if c != root && !strings.Contains(manual, "\n.It Cm "+c.Name()) {
			t.Errorf("command %s is not in the manual", c.Name())
		}
		c.Flags().VisitAll(func(f *pflag.Flag) { checkFlag(t, manual, c, f) })
		c.PersistentFlags().VisitAll(func(f *pflag.Flag) { checkFlag(t, manual, c, f) })
	}
}

// Every code that can be printed is in the manual.
func TestManualHasEveryCode(t *testing.T) {
	b, err := os.ReadFile("shim6ctl.8")
	if err != nil {
		t.Fatal(err)
	}
	has := make(map[string]bool)
	for line := range strings.Lines(string(b)) {
		if list, ok := strings.CutPrefix(line, ".It Li "); ok {
			for _, code := range strings.Split(strings.TrimSpace(list), " , ") {
				has[code] = true
			}
		}
	}
	for _, code := range append(ctl.Codes(), doctor.Codes()...) {
		if !has[code] {
			t.Errorf("code %s is not in the manual", code)
		}
	}
}

func TestTerminalIsSafe(t *testing.T) {
	var b bytes.Buffer
	e := &env{stdout: &b, now: time.Now}
	e.printLocators([]ctl.Locator{{Addr: ulidA, Link: "eth\x1b[2J\nX", Carrier: true}})
	if err := e.printEvent(ctl.Event{Event: ctl.EventDropped, Detail: "a\x1b]0;b\x07"}); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(b.String(), "\x1b\x07") || strings.Contains(b.String(), "\nX") {
		t.Errorf("printed %q", b.String())
	}
}

func checkFlag(t *testing.T, manual string, c *cobra.Command, f *pflag.Flag) {
	t.Helper()
	if !strings.Contains(manual, ".It Fl -"+f.Name) && !strings.Contains(manual, " , Fl -"+f.Name) {
		t.Errorf("flag --%s of %s is not in the manual", f.Name, c.Name())
	}
	if !strings.Contains(c.UsageString(), "--"+f.Name) {
		t.Errorf("flag --%s is not in the help of %s", f.Name, c.Name())
	}
}

// SPDX-License-Identifier: MIT

package metrics

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"shim6/daemon/ctl"
)

var (
	ulidA = netip.MustParseAddr("2001:db8:a1::1")
	ulidB = netip.MustParseAddr("2001:db8:b1::1")
	locA  = netip.MustParseAddr("2001:db8:a2::1")
)

// A daemon that has some of everything.
type source struct {
	asked atomic.Int32
	err   error
}

func (s *source) Status(context.Context) (ctl.Status, error) {
	s.asked.Add(1)
	return ctl.Status{Version: "1.2", Started: time.Unix(1000, 0)}, s.err
}

func (s *source) Contexts(context.Context) ([]ctl.Context, error) {
	ulids, other := ctl.Pair{Local: ulidA, Peer: ulidB}, ctl.Pair{Local: locA, Peer: ulidB}
	return []ctl.Context{
		{State: "ESTABLISHED", Reap: "Operational", ULIDLocal: ulidA, ULIDPeer: ulidB, Current: ulids},
		{State: "ESTABLISHED", Reap: "Exploring", ULIDLocal: ulidA, ULIDPeer: ulidB, Current: other, Paths: []ctl.Path{
			{Pair: other, Current: true, Probes: 4, Answered: 3, RTTMS: 20}, {Pair: ulids, Probes: 9, RTTMS: 5000},
		}},
		{State: "E-FAILED", ULIDLocal: ulidA, ULIDPeer: locA},
	}, s.err
}

func (s *source) Flows(context.Context) ([]ctl.Flow, error) {
	return []ctl.Flow{{Wanted: true, Code: ctl.CodePeerSilent}, {Code: ctl.CodeFlowBelowThreshold}, {Wanted: true, Code: "news"}}, s.err
}

func (s *source) Locators(context.Context) ([]ctl.Locator, error) {
	return []ctl.Locator{{Proof: "CGA"}, {Broken: true}}, s.err
}

func (s *source) Stats(context.Context) (ctl.Stats, error) {
	return ctl.Stats{
		Kernel: map[string]uint64{"tx_no_route": 7}, Daemon: map[string]uint64{"path_changes": 2, "explorations": 3},
		Engine: map[string]uint64{"sent I1": 5, "received UpdateAck": 6, "dropped bad-checksum": 1<<53 + 1},
	}, s.err
}

func (s *source) Heuristics(context.Context) ([]ctl.Heuristic, error) {
	return []ctl.Heuristic{{Name: "default", Used: true, Triggers: 4}, {Name: "eui64"}}, s.err
}

// serve runs a server on a port of its own and gives what asks it.
func serve(t *testing.T, s *source) (get func(path string) (int, string), address string) {
	t.Helper()
	l, err := Listen("[::1]:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- Serve(ctx, l, s, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	return func(path string) (int, string) {
		t.Helper()
		resp, err := client.Get("http://" + l.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(b)
	}, l.Addr().String()
}

func TestMetrics(t *testing.T) {
	s := new(source)
	get, _ := serve(t, s)
	status, text := get(Path)
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	for _, want := range []string{
		`shim6_build_info{version="1.2"} 1`, `shim6_start_time_seconds 1000`,
		`shim6_contexts{state="ESTABLISHED"} 2`, `shim6_contexts{state="E-FAILED"} 1`, `shim6_contexts{state="I1-SENT"} 0`,
		`shim6_established_contexts{reap="Exploring"} 1`, `shim6_established_contexts{reap="InboundOk"} 0`, `shim6_moved_contexts 1`,
		`shim6_path_rtt_seconds{quantile="0.5"} 0.02`, `shim6_path_rtt_seconds_count 1`, `shim6_path_loss_ratio{quantile="1"} 0.25`,
		`shim6_flows_without_context 3`, `shim6_flows_unprotected{code="peer-silent"} 1`, `shim6_flows_unprotected{code="news"} 1`,
		`shim6_flows_unprotected{code="contexts-full"} 0`,
		`shim6_locators{proof="CGA"} 1`, `shim6_locators{proof="HBA"} 0`, `shim6_locators{proof="none"} 1`, `shim6_locators_broken 1`,
		`shim6_kernel_total{counter="tx_no_route"} 7`, `shim6_daemon_total{counter="path_changes"} 2`,
		`shim6_messages_total{direction="sent",type="I1"} 5`, `shim6_messages_total{direction="received",type="UpdateAck"} 6`,
		`shim6_refused_total{reason="bad-checksum"} 9.007199254740992e+15`,
		`shim6_heuristic_decisions_total{decision="trigger",heuristic="default"} 4`,
	} {
		if !strings.Contains(text, "\n"+want+"\n") {
			t.Errorf("there is no %s", want)
		}
	}
	if strings.Contains(text, `heuristic="eui64"`) || strings.Contains(text, "flow-below-threshold") {
		t.Error("what is not used, or not wanted, is counted")
	}
	if !strings.Contains(text, "go_goroutines") || !strings.Contains(text, "process_open_fds") {
		t.Error("the process is not measured")
	}
	if status, _ := get("/"); status != http.StatusNotFound {
		t.Errorf("another path is answered with %d", status)
	}
	// Whoever asks all the time costs the daemon nothing.
	for range 20 {
		get(Path)
	}
	if n := s.asked.Load(); n > 3 {
		t.Errorf("the daemon was asked %d times", n)
	}
}

func TestDaemonThatDoesNotAnswer(t *testing.T) {
	get, _ := serve(t, &source{err: errors.New("kernel on fire")})
	if status, text := get(Path); status != http.StatusInternalServerError || !strings.Contains(text, "kernel on fire") {
		t.Errorf("%d %s", status, text)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	get, address := serve(t, new(source))
	var held []net.Conn
	for range connectionsMost {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
	}
	time.Sleep(50 * time.Millisecond)
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := bufio.NewReader(c).ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("one connection too many: %v", err)
	}
	for _, c := range held {
		c.Close()
	}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		resp, err := http.Get("http://" + address + Path)
		if err == nil {
			resp.Body.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	get(Path)
}

// The shipped dashboard asks for what there is.
func TestDashboard(t *testing.T) {
	b, err := os.ReadFile("../../configs/grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(b, &board); err != nil {
		t.Fatal(err)
	}
	get, _ := serve(t, new(source))
	_, text := get(Path)
	name := regexp.MustCompile(`shim6_[a-z_]+`)
	used := make(map[string]bool)
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			names := name.FindAllString(target.Expr, -1)
			if len(names) == 0 {
				t.Errorf("%s asks %s", p.Title, target.Expr)
			}
			for _, n := range names {
				used[n] = true
				if !strings.Contains(text, "\n# TYPE "+n+" ") {
					t.Errorf("%s asks for %s, which there is not", p.Title, n)
				}
			}
		}
	}
	if !used["shim6_flows_unprotected"] || len(used) < 10 {
		t.Errorf("the dashboard shows only %v", used)
	}
}

// Every metric is in the manual.
func TestManual(t *testing.T) {
	b, err := os.ReadFile("../shim6d/shim6d.8")
	if err != nil {
		t.Fatal(err)
	}
	get, _ := serve(t, new(source))
	_, text := get(Path)
	for _, m := range regexp.MustCompile(`# TYPE (shim6_\S+)`).FindAllStringSubmatch(text, -1) {
		if !strings.Contains(string(b), "\n.It Li "+m[1]+"\n") {
			t.Errorf("%s is not in shim6d.8", m[1])
		}
	}
}

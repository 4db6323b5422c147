// SPDX-License-Identifier: MIT

package ctl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// memory is a Backend that holds contexts and nothing else.
type memory struct {
	contexts []Context
	probed   []uint64
	set      []Timeouts
	changes  []HeuristicChange
	forks    []Fork
	switched []Pair
	ranked   []Ranking
	asked    []string
	err      error
}

func (m *memory) Heuristics(context.Context) ([]Heuristic, error) {
	return []Heuristic{sampleHeuristic}, m.err
}
func (m *memory) Devices(context.Context) ([]Device, error) {
	return []Device{{"eth0", 2, "segment", "hardware"}}, m.err
}

func (m *memory) ChangeHeuristics(_ context.Context, c HeuristicChange) error {
	m.changes = append(m.changes, c)
	return m.err
}

var sampleHeuristic = Heuristic{
	Name: "limit", Used: true, Vetoes: 3, Params: []HeuristicParam{{Name: "contexts", Value: 7, Initial: 1024, Max: 1<<64 - 1}},
}

func (m *memory) Status(context.Context) (Status, error) {
	return Status{Version: "1.2", Started: start, Enabled: true, Heuristic: "default", Contexts: len(m.contexts)}, m.err
}
func (m *memory) Contexts(context.Context) ([]Context, error) { return m.contexts, m.err }
func (m *memory) Locators(context.Context) ([]Locator, error) {
	return []Locator{{Addr: addrA, Link: "eth0", Carrier: true, Proof: "CGA", KeyID: "k"}}, m.err
}
func (m *memory) Stats(context.Context) (Stats, error) {
	return Stats{Kernel: map[string]uint64{"tcp_kicks": 1<<64 - 1}}, m.err
}
func (m *memory) DeleteContext(_ context.Context, tag uint64) error {
	for i, c := range m.contexts {
		if c.Tag == FormatTag(tag) {
			m.contexts = append(m.contexts[:i], m.contexts[i+1:]...)
			return nil
		}
	}
	return ErrNoContext
}
func (m *memory) ProbeContext(_ context.Context, tag uint64) error {
	m.probed = append(m.probed, tag)
	return m.err
}
func (m *memory) SetContext(_ context.Context, _ uint64, t Timeouts) error {
	m.set = append(m.set, t)
	return m.err
}
func (m *memory) SwitchContext(_ context.Context, _ uint64, to Pair) error {
	m.switched = append(m.switched, to)
	return m.err
}
func (m *memory) PreferPaths(_ context.Context, _ uint64, r Ranking) error {
	m.ranked = append(m.ranked, r)
	return m.err
}
func (m *memory) Reload(context.Context) (Reloaded, error) {
	return Reloaded{Applied: []string{"teardown"}}, m.err
}
func (m *memory) Flows(context.Context) ([]Flow, error) {
	return []Flow{{ULIDLocal: addrA, ULIDPeer: addrB, Bytes: 3, Code: CodePeerSilent}}, m.err
}
func (m *memory) Explain(_ context.Context, peer netip.Addr, port uint16) ([]Explanation, error) {
	m.asked = append(m.asked, netip.AddrPortFrom(peer, port).String())
	return []Explanation{{ULIDPeer: peer, Code: CodeNoRoute, Steps: []Step{}}}, m.err
}
func (m *memory) ForkContext(_ context.Context, _ uint64, f Fork) (Forked, error) {
	m.forks = append(m.forks, f)
	return Forked{"665544332211", 1<<32 - 1}, m.err
}
func (m *memory) Flush(context.Context) (int, error) {
	n := len(m.contexts)
	m.contexts = []Context{}
	return n, m.err
}

var (
	start = time.Date(2030, 1, 2, 3, 4, 5, 6, time.UTC)
	addrA = netip.MustParseAddr("2001:db8:a1::1")
	addrB = netip.MustParseAddr("2001:db8:b1::1")
	addrs = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
)

var samplePath = Path{Pair: Pair{addrA, addrB}, Current: true, Probes: 4, Answered: 2, Awaited: 1, RTTMS: 1.5, AnsweredAt: &start}

func sample() Context {
	return Context{
		Tag: "112233445566", TagPeer: "010203040506", ULIDLocal: addrA, ULIDPeer: addrB, State: "ESTABLISHED", Since: start,
		Current: Pair{addrA, addrB}, LocatorsLocal: []ContextLocator{{Addr: addrA, Method: "CGA", Verified: true}},
		LocatorsPeer: []ContextLocator{}, Reap: "Operational", SendTimeoutMS: 15000, Paths: []Path{samplePath},
		Kernel: &KernelContext{Paths: []Pair{{addrA, addrB}}, Reap: "Operational", TxBytes: 5},
	}
}

// serve runs a server on a socket of its own.
func serve(t *testing.T, b Backend) (path string, events *Events) {
	t.Helper()
	return serveWith(t, b, func(*http.Server) {})
}

// serveWith runs a server that was changed before.
func serveWith(t *testing.T, b Backend, change func(*http.Server)) (path string, events *Events) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "s")
	l, err := Listen(path, os.Getgid())
	if err != nil {
		t.Fatal(err)
	}
	events = new(Events)
	s := NewServer(b, events, slog.New(slog.DiscardHandler))
	change(s.http)
	done := make(chan error)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := errors.Join(s.Shutdown(ctx), <-done); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the socket is still there: %v", err)
		}
	})
	return path, events
}

func TestRequests(t *testing.T) {
	m := &memory{contexts: []Context{sample()}}
	path, _ := serve(t, m)
	c, ctx := NewClient(path), t.Context()
	defer c.Close()

	check := func(what string, got, want any, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		} else if d := cmp.Diff(want, got, addrs); d != "" {
			t.Errorf("%s (-want +got):\n%s", what, d)
		}
	}
	status, err := c.Status(ctx)
	check("status", status, Status{Version: "1.2", Started: start, Enabled: true, Heuristic: "default", Contexts: 1}, err)
	list, err := c.Contexts(ctx, Filter{})
	check("contexts", list, []Context{sample()}, err)
	one, err := c.Context(ctx, 0x112233445566)
	check("context", one, sample(), err)
	heuristics, err := c.Heuristics(ctx)
	check("heuristics", heuristics, []Heuristic{sampleHeuristic}, err)
	change := HeuristicChange{Use: "default+limit", Params: map[string]uint64{"limit.contexts": 1<<64 - 1}}
	err = c.ChangeHeuristics(ctx, change)
	check("change of heuristics", m.changes, []HeuristicChange{change}, err)
	devices, err := c.Devices(ctx)
	check("devices", devices, []Device{{"eth0", 2, "segment", "hardware"}}, err)
	locators, err := c.Locators(ctx)
	check("locators", locators, []Locator{{Addr: addrA, Link: "eth0", Carrier: true, Proof: "CGA", KeyID: "k"}}, err)
	stats, err := c.Stats(ctx)
	check("stats", stats, Stats{Kernel: map[string]uint64{"tcp_kicks": 1<<64 - 1}}, err)
	check("probe", nil, nil, c.Probe(ctx, 0x112233445566))
	check("probed", m.probed, []uint64{0x112233445566}, nil)
	want := Timeouts{SendTimeoutMS: new(int64(3000)), TeardownMS: new(int64(0))}
	check("set", nil, nil, c.Set(ctx, 0x112233445566, want))
	check("was set", m.set, []Timeouts{want}, nil)
	check("switch", nil, nil, c.Switch(ctx, 0x112233445566, Pair{addrA, addrB}))
	check("was switched", m.switched, []Pair{{addrA, addrB}}, nil)
	check("prefer", nil, nil, c.Prefer(ctx, 0x112233445566, nil))
	check("prefer two", nil, nil, c.Prefer(ctx, 0x112233445566, []Pair{{addrA, addrB}, {addrB, addrA}}))
	check("was ranked", m.ranked, []Ranking{{[]Pair{}}, {[]Pair{{addrA, addrB}, {addrB, addrA}}}}, nil)
	reloaded, err := c.Reload(ctx)
	check("reload", reloaded, Reloaded{Applied: []string{"teardown"}}, err)
	flows, err := c.Flows(ctx)
	check("flows", flows, []Flow{{ULIDLocal: addrA, ULIDPeer: addrB, Bytes: 3, Code: CodePeerSilent}}, err)
	why, err := c.Explain(ctx, addrB, 443)
	check("explain", why, []Explanation{{ULIDPeer: addrB, Code: CodeNoRoute, Steps: []Step{}}}, err)
	_, err = c.Explain(ctx, addrB, 0)
	check("asked", m.asked, []string{"[2001:db8:b1::1]:443", "[2001:db8:b1::1]:0"}, err)
	paths, err := c.Paths(ctx, Filter{})
	check("paths", paths, []ContextPath{{"112233445566", addrA, addrB, samplePath}}, err)
	fork := Fork{Local: &addrA, SendTimeoutMS: new(int64(3000))}
	forked, err := c.Fork(ctx, 0x112233445566, fork)
	check("fork", forked, Forked{"665544332211", 1<<32 - 1}, err)
	check("was forked", m.forks, []Fork{fork}, nil)
	check("delete", nil, nil, c.Delete(ctx, 0x112233445566))
	list, err = c.Contexts(ctx, Filter{})
	check("no contexts", list, []Context{}, err)
	m.contexts = []Context{sample(), sample()}
	n, err := c.Flush(ctx)
	check("flush", n, 2, err)
	check("flushed", m.contexts, []Context{}, nil)
}

func TestErrors(t *testing.T) {
	m := new(memory)
	path, _ := serve(t, m)
	c, ctx := NewClient(path), t.Context()
	defer c.Close()

	want := func(err error, status int, text string) {
		t.Helper()
		var e *Error
		if !errors.As(err, &e) || e.Status != status || e.Message != text {
			t.Errorf("error %#v, want %d %q", err, status, text)
		}
	}
	want(c.Delete(ctx, 1), 404, "no such context")
	_, err := c.Context(ctx, 1)
	want(err, 404, "no such context")
	m.err = errors.New("kernel on fire")
	_, err = c.Status(ctx)
	want(err, 500, "kernel on fire")
	_, err = c.Context(ctx, 1)
	want(err, 500, "kernel on fire")
	want(c.Probe(ctx, 1), 500, "kernel on fire")
	_, err = c.Fork(ctx, 1, Fork{})
	want(err, 500, "kernel on fire")
	_, err = c.Flush(ctx)
	want(err, 500, "kernel on fire")
	m.err = context.DeadlineExceeded
	_, err = c.Status(ctx)
	want(err, 503, "the daemon is stopping or too busy")
	m.err = &Error{409, "not now", "later"}
	_, err = c.Status(ctx)
	want(err, 409, "not now")
}

// raw sends one request as bytes and returns the status line and the body.
func raw(t *testing.T, path, request string) (status int, body string) {
	t.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(c)
	if err != nil && !errors.Is(err, unix.ECONNRESET) {
		t.Fatal(err)
	}
	line, rest, _ := strings.Cut(string(all), "\r\n")
	if _, err := fmt.Sscanf(line, "HTTP/1.1 %d", &status); err != nil {
		t.Fatalf("answer %q: %v", all, err)
	}
	_, body, _ = strings.Cut(rest, "\r\n\r\n")
	return status, body
}

func TestHostileRequests(t *testing.T) {
	path, _ := serve(t, &memory{contexts: []Context{sample()}})
	line := func(method, target string) string {
		return method + " " + target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	}
	for name, tc := range map[string]struct {
		request string
		status  int
	}{
		"no such path":         {line("GET", "/v1/nothing"), 404},
		"other version":        {line("GET", "/v2/status"), 404},
		"write with GET":       {line("GET", "/v1/flush"), 405},
		"read with POST":       {line("POST", "/v1/status"), 405},
		"tag with letters":     {line("GET", "/v1/contexts/xyz"), 400},
		"zero tag":             {line("POST", "/v1/contexts/0/delete"), 400},
		"tag of 48 bits":       {line("POST", "/v1/contexts/800000000000/probe"), 400},
		"tag of 13 digits":     {line("POST", "/v1/contexts/0000000000001/probe"), 400},
		"negative tag":         {line("POST", "/v1/contexts/-1/probe"), 400},
		"set without a body":   {line("POST", "/v1/contexts/1/set"), 400},
		"set what is unknown":  {"POST /v1/contexts/1/set HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 7\r\n\r\n{\"x\":1}", 400},
		"escaped slash in tag": {line("GET", "/v1/contexts/1%2f2"), 400},
		"not HTTP":             {"hello\r\n\r\n", 400},
		"huge header":          {"GET /v1/status HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("a", 64<<10) + "\r\n\r\n", 431},
	} {
		t.Run(name, func(t *testing.T) {
			if status, body := raw(t, path, tc.request); status != tc.status {
				t.Errorf("status %d, want %d; %s", status, tc.status, body)
			}
		})
	}
	t.Run("error is JSON", func(t *testing.T) {
		_, body := raw(t, path, line("GET", "/v1/contexts/xyz"))
		var e Error
		if err := json.Unmarshal([]byte(body), &e); err != nil || !strings.Contains(e.Message, "is not a context tag") {
			t.Errorf("body %q: %v", body, err)
		}
	})
}

func TestPermitted(t *testing.T) {
	for name, tc := range map[string]struct {
		cred   unix.Ucred
		groups []uint32
		want   bool
	}{
		"root":                      {unix.Ucred{Uid: 0, Gid: 5}, nil, true},
		"primary group":             {unix.Ucred{Uid: 1000, Gid: 77}, nil, true},
		"supplementary group":       {unix.Ucred{Uid: 1000, Gid: 1000}, []uint32{4, 77}, true},
		"stranger":                  {unix.Ucred{Uid: 1000, Gid: 1000}, []uint32{4, 78}, false},
		"root of another namespace": {unix.Ucred{Uid: 65534, Gid: 65534}, nil, false},
	} {
		if got := permitted(&tc.cred, tc.groups, 77); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

func TestPeerGroupsAreOurs(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	got, err := peerGroups(fds[0])
	if err != nil {
		t.Fatal(err)
	}
	ours, err := os.Getgroups()
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got) != fmt.Sprint(ours) {
		t.Errorf("groups %v, want %v", got, ours)
	}
}

// The mode keeps strangers from connecting; a connection that came about otherwise is refused too.
func TestStrangersAreRefused(t *testing.T) {
	h := guard(http.NotFoundHandler())
	for name, conn := range map[string]net.Conn{"stranger": &peerConn{uid: 1000}, "unknown connection": &net.UnixConn{}} {
		r, err := http.NewRequestWithContext(context.WithValue(t.Context(), connKey{}, conn), "GET", "/v1/status", nil)
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "permission denied") {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	path, _ := serve(t, new(memory))
	var open []net.Conn
	for range ours(maxConnections) {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
	}
	client := NewClient(path)
	defer client.Close()
	_, err := client.Status(t.Context())
	var e *Error
	if !errors.As(err, &e) || e.Message != "shim6d closed the connection without an answer" || !strings.Contains(e.Hint, "too many connections") {
		t.Errorf("a connection too many: %#v", err)
	}
	for _, c := range open {
		c.Close()
	}
	// The places are free again once the server has seen the ends.
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, err := client.Status(t.Context()); err == nil {
			break
		} else if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

type slow struct {
	*memory
	takes time.Duration
}

func (s slow) Flush(ctx context.Context) (int, error) {
	time.Sleep(s.takes)
	return s.memory.Flush(ctx)
}

// To flush 100 000 contexts took longer than a request may, and shim6ctl had no answer.
func TestSlowRequestIsAnswered(t *testing.T) {
	const short = 50 * time.Millisecond
	path, _ := serveWith(t, slow{&memory{contexts: make([]Context, 3)}, 4 * short}, func(s *http.Server) { s.ReadTimeout, s.WriteTimeout = short, short })
	client := NewClient(path)
	defer client.Close()
	if n, err := client.Flush(t.Context()); n != 3 || err != nil {
		t.Errorf("%d contexts, %v", n, err)
	}
}

// Whether the end comes before the request is written or after it is a matter of luck; what the client says must not be.
func TestNoAnswer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	client := NewClient(path)
	for range 500 {
		_, err := client.Status(t.Context())
		var e *Error
		if !errors.As(err, &e) || e.Message != "shim6d closed the connection without an answer" {
			t.Fatalf("%#v", err)
		}
	}
}

func TestNotRunning(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	_, err := NewClient(path).Status(t.Context())
	if !errors.Is(err, ErrNotRunning) || err.Error() != "shim6d is not running: nobody listens on "+path {
		t.Errorf("no socket: %v", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	if _, err := NewClient(path).Status(t.Context()); !errors.Is(err, ErrNotRunning) {
		t.Errorf("stale socket: %v", err)
	}
}

func TestClientSurvivesAnotherServer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/status":
			io.WriteString(w, "<html>")
		case "/v1/events":
			io.WriteString(w, "{}\nnot JSON\n")
		default:
			http.Error(w, "<html>teapot", http.StatusTeapot)
		}
	}))
	c := NewClient(path)
	defer c.Close()
	if _, err := c.Status(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "answer of shim6d: ") {
		t.Errorf("not JSON: %v", err)
	}
	var e *Error
	if _, err := c.Stats(t.Context()); !errors.As(err, &e) || e.Error() != "shim6d answered 418 I'm a teapot: <html>teapot" {
		t.Errorf("not our error: %v", err)
	}
	s, err := c.Events(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Next(); err != nil {
		t.Errorf("first line: %v", err)
	}
	if _, err := s.Next(); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("second line: %v", err)
	}
}

func TestTags(t *testing.T) {
	for s, want := range map[string]uint64{
		"000000000001": 1, "1": 1, "7fffffffffff": 1<<47 - 1, "ABC": 0xabc,
		"": 0, "0": 0, "000000000000": 0, "800000000000": 0, "0000000000001": 0, "+1": 0, "0x1": 0, "1 ": 0,
	} {
		got, err := ParseTag(s)
		if got != want || (err == nil) != (want != 0) {
			t.Errorf("ParseTag(%q) = %x, %v", s, got, err)
		}
	}
	if FormatTag(0) != "" || FormatTag(0xabc) != "000000000abc" {
		t.Errorf("FormatTag: %q, %q", FormatTag(0), FormatTag(0xabc))
	}
}

// The manual, the package's comment and the server have the same requests, and the manual has every event.
func TestInterfaceIsDocumented(t *testing.T) {
	read := func(name string) string {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	manual, comment := read("../shim6d/shim6-api.7"), read("types.go")
	served := regexp.MustCompile(`HandleFunc\("((?:GET|POST) \S+)"`).FindAllStringSubmatch(read("server.go"), -1)
	if len(served) < 20 {
		t.Fatalf("only %d requests", len(served))
	}
	for _, m := range served {
		method, path, _ := strings.Cut(m[1], " ")
		if !strings.Contains(manual, "\n.It Li "+m[1]+"\n") {
			t.Errorf("%s is not in shim6-api.7", m[1])
		}
		if !regexp.MustCompile(`(?m)^//\t` + method + ` +` + regexp.QuoteMeta(path) + ` `).MatchString(comment) {
			t.Errorf("%s is not in the package's comment", m[1])
		}
	}
	if n := strings.Count(manual, "\n.It Li GET ") + strings.Count(manual, "\n.It Li POST "); n != len(served) {
		t.Errorf("the manual has %d requests, the server %d", n, len(served))
	}
	events := regexp.MustCompile(`Event\w+ += "([a-z ]+)"`).FindAllStringSubmatch(comment, -1)
	if len(events) < 10 {
		t.Fatalf("only %d events", len(events))
	}
	for _, m := range events {
		if !strings.Contains(manual, "\n.It Li "+m[1]+"\n") {
			t.Errorf("event %q is not in shim6-api.7", m[1])
		}
	}
}

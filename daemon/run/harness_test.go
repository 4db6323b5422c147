// SPDX-License-Identifier: MIT

package run

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"shim6/daemon/config"
	"shim6/daemon/ctl"
	"shim6/daemon/nl"
	"shim6/daemon/rawsock"
	"shim6/internal/cga"
	"shim6/internal/rtnl"
)

// A module is the kernel module's side of its interface, without packets: it keeps contexts and refuses what the module
// refuses.
type module struct {
	mu       sync.Mutex
	contexts map[uint64]*nl.Context
	settings nl.Settings
	calls    []string
	fail     map[string]error // by the first word of the call
	loaded   error
	asked    []nl.Candidate
}

func newModule() *module {
	return &module{contexts: make(map[uint64]*nl.Context), fail: make(map[string]error)}
}

// call notes a call and returns the error that the test wants of it.
func (m *module) call(format string, args ...any) error {
	s := fmt.Sprintf(format, args...)
	m.calls = append(m.calls, s)
	word, _, _ := strings.Cut(s, " ")
	return m.fail[word]
}

func (m *module) NewContext(c nl.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.call("new %012x", c.TagLocal); err != nil {
		return err
	}
	for _, k := range m.contexts {
		if k.TagLocal == c.TagLocal || k.ULIDLocal == c.ULIDLocal && k.ULIDPeer == c.ULIDPeer && k.FII == c.FII {
			return unix.EEXIST
		}
	}
	m.contexts[c.TagLocal] = &c
	return nil
}

func (m *module) SetContext(c nl.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.call("set %012x", c.TagLocal); err != nil {
		return err
	}
	k := m.contexts[c.TagLocal]
	if k == nil {
		return unix.ENOENT
	}
	k.TagPeer, k.Paths, k.LocatorsLocal = c.TagPeer, c.Paths, c.LocatorsLocal
	return nil
}

func (m *module) DeleteContext(tag uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.call("delete %012x", tag); err != nil {
		return err
	}
	if m.contexts[tag] == nil {
		return unix.ENOENT
	}
	delete(m.contexts, tag)
	return nil
}

func (m *module) Flush() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.contexts)
	return m.call("flush")
}

func (m *module) SetReap(r nl.Reap) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.call("reap %012x %d", r.TagLocal, r.State); err != nil {
		return err
	}
	k := m.contexts[r.TagLocal]
	if k == nil {
		return unix.ENOENT
	}
	k.ReapState, k.ReapEpoch = r.State, r.Epoch
	return nil
}

func (m *module) Contexts() ([]nl.Context, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.fail["list"]; err != nil {
		return nil, err
	}
	var list []nl.Context
	for _, c := range m.contexts {
		list = append(list, *c)
	}
	slices.SortFunc(list, func(a, b nl.Context) int { return int(a.TagLocal) - int(b.TagLocal) })
	return list, nil
}

func (m *module) Candidates() ([]nl.Candidate, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.asked), m.fail["candidates"]
}

func (m *module) SetSettings(s nl.Settings) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	word := "settings"
	if s.Heuristic != nil {
		word = "heuristic " + *s.Heuristic
		m.settings.Heuristic = s.Heuristic
	}
	if s.Enabled != nil {
		m.settings.Enabled, m.settings.TCPKick, m.settings.GSOMode, m.settings.MarkMask = s.Enabled, s.TCPKick, s.GSOMode, s.MarkMask
		m.settings.GSODevices = s.GSODevices
	}
	return m.call("%s", word)
}

func (m *module) Settings() (nl.Settings, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.settings
	s.Heuristics = []string{"none", "default"}
	return s, m.fail["settings?"]
}

func (m *module) Stats() (nl.Stats, error) { return nl.Stats{nl.StatTCPKicks: 4}, m.fail["stats"] }

func (m *module) Devices() ([]nl.Device, error) {
	return []nl.Device{
		{Name: "eth0", GSO: nl.GSOSegment, Index: 2, Why: nl.GSOWhyHardware}, {Name: "wg0", GSO: nl.GSOWhole, Index: 3, Why: nl.GSOWhyDevice},
	}, m.fail["devices"]
}

func (m *module) Stack() ([]nl.Heuristic, error) {
	return []nl.Heuristic{{Name: "default", Triggers: 3, Params: []nl.Param{{Name: "bytes", Value: 2048, Initial: 2048, Max: 1 << 32}}}}, m.fail["stack"]
}

func (m *module) SetParam(heuristic, param string, value uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.call("param %s.%s %d", heuristic, param, value)
}

func (m *module) Loaded() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.loaded
}

// only returns the one context that the module has.
func (m *module) only(t *testing.T) nl.Context {
	t.Helper()
	list, err := m.Contexts()
	if err != nil || len(list) != 1 {
		t.Fatalf("the kernel has contexts %+v, %v; want one", list, err)
	}
	return list[0]
}

func (m *module) called() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.calls)
}

// events are what the module tells.
type events struct {
	queue chan nl.Event
	once  sync.Once
	end   chan struct{}
}

func newEvents() *events { return &events{queue: make(chan nl.Event, 16), end: make(chan struct{})} }

func (e *events) Next() (nl.Event, error) {
	select {
	case ev := <-e.queue:
		return ev, nil
	case <-e.end:
		return nil, net.ErrClosed
	}
}

func (e *events) Close() error {
	e.once.Do(func() { close(e.end) })
	return nil
}

// A datagram is a control message on its way.
type datagram struct {
	src, dst netip.Addr
	payload  []byte
}

// A wire carries datagrams between sockets, but for the pairs that are cut.
type wires struct {
	mu   sync.Mutex
	ends map[netip.Addr]*socket
	cut  map[[2]netip.Addr]bool
}

// A socket is one host's raw socket.
type socket struct {
	wires *wires
	in    chan datagram
	once  sync.Once
	end   chan struct{}
}

func (w *wires) socket(addrs ...netip.Addr) *socket {
	s := &socket{wires: w, in: make(chan datagram, 64), end: make(chan struct{})}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range addrs {
		w.ends[a] = s
	}
	return s
}

func newWires() *wires {
	return &wires{ends: make(map[netip.Addr]*socket), cut: make(map[[2]netip.Addr]bool)}
}

func (w *wires) setCut(a, b netip.Addr, cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut[[2]netip.Addr{a, b}], w.cut[[2]netip.Addr{b, a}] = cut, cut
}

func (s *socket) ReadFrom(buf []byte) (int, netip.Addr, netip.Addr, uint8, error) {
	select {
	case d := <-s.in:
		return copy(buf, d.payload), d.src, d.dst, 64, nil
	case <-s.end:
		return 0, netip.Addr{}, netip.Addr{}, 0, net.ErrClosed
	}
}

func (s *socket) WriteTo(b []byte, src, dst netip.Addr) error {
	s.wires.mu.Lock()
	to, cut := s.wires.ends[dst], s.wires.cut[[2]netip.Addr{src, dst}]
	s.wires.mu.Unlock()
	switch {
	case to == nil:
		return unix.ENETUNREACH
	case !cut:
		to.in <- datagram{src, dst, bytes.Clone(b)}
	}
	return nil
}

func (s *socket) Close() error {
	s.once.Do(func() { close(s.end) })
	return nil
}

// refusals are the ICMPv6 errors that a host gets.
type refusals struct {
	unreachable atomic.Bool
	queue       chan rawsock.Error
	once        sync.Once
	end         chan struct{}
}

func newRefusals() *refusals {
	return &refusals{queue: make(chan rawsock.Error), end: make(chan struct{})}
}

func (r *refusals) Read([]byte) (rawsock.Error, error) {
	select {
	case e := <-r.queue:
		return e, nil
	case <-r.end:
		return rawsock.Error{}, net.ErrClosed
	}
}

func (r *refusals) Want(unreachable bool) error {
	r.unreachable.Store(unreachable)
	return nil
}

func (r *refusals) Close() error {
	r.once.Do(func() { close(r.end) })
	return nil
}

// A journal is a log that tests read.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(b)
}

// lines returns the lines with the message, decoded.
func (j *journal) lines(t *testing.T, msg string) []map[string]any {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	var all []map[string]any
	for line := range bytes.Lines(j.buf.Bytes()) {
		var m map[string]any
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatalf("log line %q: %v", line, err)
		}
		if m["msg"] == msg {
			all = append(all, m)
		}
	}
	return all
}

// keys are one key and its parameters; the addresses under two prefixes are made from them.
type keys struct {
	key    cga.Signer
	params *cga.Params
}

func (k *keys) ParamsFor(addr netip.Addr) (*cga.Params, string, bool) {
	p, err := k.params.For(addr)
	return p, "host", err == nil
}

func (k *keys) Key(id string) cga.Signer {
	if id != "host" {
		return nil
	}
	return k.key
}

func newKeys(t *testing.T) *keys {
	t.Helper()
	key, err := cga.NewKey(1024)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := cga.NewSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	p, err := cga.Generate(context.Background(), cga.GenerateOptions{PublicKey: signer.PublicKey()})
	if err != nil {
		t.Fatal(err)
	}
	return &keys{signer, p}
}

// addr is the address under a prefix such as 2001:db8:a1::.
func (k *keys) addr(t *testing.T, prefix string) netip.Addr {
	t.Helper()
	p := *k.params
	b := netip.MustParseAddr(prefix).As16()
	p.Prefix = [8]byte(b[:8])
	a, err := p.Address(0)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func address(a netip.Addr, link string) rtnl.Address {
	return rtnl.Address{
		Prefix: netip.PrefixFrom(a, 64), Link: link, LinkIndex: 7, Up: true, Carrier: true, Global: true, Valid: rtnl.Forever,
		Preferred: rtnl.Forever,
	}
}

// A host is a Loop with everything around it.
type host struct {
	module  *module
	events  *events
	socket  *socket
	icmp    *refusals
	journal *journal
	stream  *ctl.Events
	keys    *keys
	changes chan struct{}
	cfg     *config.Config
	loop    *Loop

	mu    sync.Mutex
	addrs []rtnl.Address
	// what the routes of addresses that went were, call by call, and how the next ones fail
	kept      []string
	keepFails error
	cut       map[netip.Addr]bool // sources without a route

	sockets []netip.Addr // local addresses of connections
	open    atomic.Pointer[map[rtnl.AddressPair]bool]
	room    atomic.Int64 // of the module, zero for not known
	yaml    string       // that a reload reads

	stop func()
	err  error
}

func newHost(t *testing.T, w *wires, k *keys, addrs ...netip.Addr) *host {
	t.Helper()
	h := &host{module: newModule(), keys: k, cfg: config.Default(), changes: make(chan struct{}, 1)}
	h.cfg.State = filepath.Join(t.TempDir(), "contexts.json")
	h.cfg.Keys = t.TempDir()
	for i, a := range addrs {
		h.addrs = append(h.addrs, address(a, fmt.Sprintf("eth%d", i)))
	}
	h.socket = w.socket(addrs...)
	return h
}

// run starts a Loop; calling it again after stop starts the next daemon over the same kernel.
func (h *host) run(t *testing.T, w *wires) {
	t.Helper()
	h.build(t, w)
	h.start(t)
}

// start starts the Loop that was built.
func (h *host) start(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		h.err = h.loop.Run(ctx)
		close(done)
	}()
	h.stop = func() {
		cancel()
		<-done
	}
	select {
	case <-h.loop.Ready():
	case <-done:
		t.Fatalf("the loop ended: %v", h.err)
	}
}

// testBoot is what the kernel's boot is called here.
const testBoot = "a-boot"

// file is where the host's contexts are saved.
func (h *host) file() savedFile {
	return newSavedFile(h.cfg.StateFile(), testBoot, h.cfg.Limits.Contexts)
}

func (h *host) build(t *testing.T, w *wires) {
	t.Helper()
	h.events, h.icmp, h.journal, h.stream = newEvents(), newRefusals(), new(journal), new(ctl.Events)
	addrs := make([]netip.Addr, 0, len(h.addrs))
	for _, a := range h.addrs {
		addrs = append(addrs, a.Prefix.Addr())
	}
	h.socket = w.socket(addrs...)
	log, level, err := NewLogger(h.journal, config.Log{Level: "debug", Format: "json"})
	if err != nil {
		t.Fatal(err)
	}
	h.loop, err = New(Options{
		Config: h.cfg, Level: level, Load: h.load, Version: "test", Boot: testBoot, Seed: [32]byte{1, byte(len(addrs)), addrs[0].As16()[5]}, Log: log, Events: h.stream,
		Ports: Ports{
			Kernel: h.module, Events: h.events, Socket: h.socket, Errors: h.icmp, Addresses: h.addresses,
			Reaches: h.reaches, Changes: h.changes,
			KeepSources: h.keepSources,
			Route:       h.route,
			Sockets:     func(netip.Addr, uint16) ([]netip.Addr, error) { return h.sockets, nil },
			Connections: h.connections,
			Room:        func() int { return int(h.room.Load()) },
			LoadKeys:    func(string) (Keys, error) { return h.keys, nil },
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	h.loop.strict = true
}

// connect makes these the pairs between which a socket is connected.
func (h *host) connect(pairs ...rtnl.AddressPair) {
	open := make(map[rtnl.AddressPair]bool)
	for _, p := range pairs {
		open[p] = true
	}
	h.open.Store(&open)
}

func (h *host) connections() (map[rtnl.AddressPair]bool, error) {
	if open := h.open.Load(); open != nil {
		return *open, nil
	}
	return nil, nil
}

// keepSources notes what it is asked for.
func (h *host) keepSources(gone, cutOff []netip.Addr, link int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	what := fmt.Sprint(gone)
	if len(cutOff) > 0 {
		what += fmt.Sprint(" and ", cutOff)
	}
	h.kept = append(h.kept, fmt.Sprintf("%s by %d", what, link))
	return h.keepFails
}

// keptSources returns what was asked for since the last call.
func (h *host) keptSources() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	kept := h.kept
	h.kept = nil
	return kept
}

func (h *host) addresses() ([]rtnl.Address, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.addrs), nil
}

// load reads the host's configuration file.
func (h *host) load() (*config.Config, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c, err := config.Parse(strings.NewReader(h.yaml), "shim6.yaml")
	if err == nil {
		c.State, c.Keys = h.cfg.State, h.cfg.Keys
	}
	return c, err
}

// route leads from any address by its own interface, from the first one where none is given.
func (h *host) route(src, dst netip.Addr) (rtnl.Route, bool, error) {
	list, err := h.addresses()
	for _, a := range list {
		if addr := a.Prefix.Addr(); addr == src || !src.IsValid() {
			ok, err := h.reaches(addr, dst)
			return rtnl.Route{Source: addr, Link: a.Link, MTU: 1500}, ok, err
		}
	}
	return rtnl.Route{}, false, err
}

func (h *host) reaches(src, _ netip.Addr) (bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := slices.IndexFunc(h.addrs, func(a rtnl.Address) bool { return a.Prefix.Addr() == src })
	return i >= 0 && h.addrs[i].Carrier && !h.cut[src], nil
}

// setRoutes takes the routes of these sources.
func (h *host) setRoutes(cut ...netip.Addr) {
	h.mu.Lock()
	h.cut = make(map[netip.Addr]bool)
	for _, a := range cut {
		h.cut[a] = true
	}
	h.mu.Unlock()
	h.changes <- struct{}{}
}

func (h *host) setAddresses(list ...rtnl.Address) {
	h.mu.Lock()
	h.addrs = list
	h.mu.Unlock()
	h.changes <- struct{}{}
}

// contexts asks the control interface's backend.
func (h *host) contexts(t *testing.T) []ctl.Context {
	t.Helper()
	list, err := h.loop.Backend().Contexts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// two hosts with two addresses each.
type pair struct {
	wires          *wires
	a, b           *host
	a1, a2, b1, b2 netip.Addr
}

func newPair(t *testing.T) *pair {
	t.Helper()
	w, ka, kb := newWires(), newKeys(t), newKeys(t)
	p := &pair{
		wires: w, a1: ka.addr(t, "2001:db8:a1::"), a2: ka.addr(t, "2001:db8:a2::"), b1: kb.addr(t, "2001:db8:b1::"),
		b2: kb.addr(t, "2001:db8:b2::"),
	}
	p.a, p.b = newHost(t, w, ka, p.a1, p.a2), newHost(t, w, kb, p.b1, p.b2)
	return p
}

func (p *pair) run(t *testing.T) {
	t.Helper()
	p.a.run(t, p.wires)
	p.b.run(t, p.wires)
}

// establishedPair makes a pair that runs until the test ends and has a context.
func establishedPair(t *testing.T) *pair {
	t.Helper()
	p := newPair(t)
	p.run(t)
	t.Cleanup(p.stop)
	p.establish(t)
	return p
}

func (p *pair) stop() {
	p.a.stop()
	p.b.stop()
}

// establish has a's kernel ask for a context, and waits until both kernels have it.
func (p *pair) establish(t *testing.T) {
	t.Helper()
	p.a.events.queue <- nl.Trigger{ULIDLocal: p.a1, ULIDPeer: p.b1}
	time.Sleep(3 * time.Second)
	a, b := p.a.module.only(t), p.b.module.only(t)
	if a.TagLocal != b.TagPeer || a.TagPeer != b.TagLocal {
		t.Fatalf("tags of a %x, %x and of b %x, %x", a.TagLocal, a.TagPeer, b.TagLocal, b.TagPeer)
	}
}

var discard = slog.New(slog.DiscardHandler)

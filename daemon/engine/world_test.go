// SPDX-License-Identifier: MIT

package engine_test

import (
	"crypto/rsa"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"shim6/daemon/engine"
	"shim6/daemon/shim6"
	"shim6/daemon/wire"
	"shim6/internal/cga"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// keys are two RSA keys, made once.
var keys = sync.OnceValue(func() map[string]*rsa.PrivateKey {
	m := map[string]*rsa.PrivateKey{}
	for _, name := range []string{"a", "b"} {
		k, err := cga.NewKey(cga.MinKeyBits)
		if err != nil {
			panic(err)
		}
		m[name] = k
	}
	return m
})

// locators makes CGAs with one key, one for each prefix.
func locators(t testing.TB, key string, prefixes ...string) []engine.LocalLocator {
	t.Helper()
	spki, err := cga.MarshalPublicKey(&keys()[key].PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	var ls []engine.LocalLocator
	for _, p := range prefixes {
		b := netip.MustParsePrefix(p).Addr().As16()
		params := &cga.Params{Modifier: [16]byte{1}, Prefix: [8]byte(b[:8]), PublicKey: spki}
		addr, err := params.Address(0)
		if err != nil {
			t.Fatal(err)
		}
		ls = append(ls, engine.LocalLocator{Addr: addr, PDS: params.Marshal(), KeyID: key})
	}
	return ls
}

// plain makes locators that nothing proves.
func plain(addrs ...string) []engine.LocalLocator {
	var ls []engine.LocalLocator
	for _, a := range addrs {
		ls = append(ls, engine.LocalLocator{Addr: netip.MustParseAddr(a)})
	}
	return ls
}

// A world is a few hosts, a clock and packets that take no time. Signatures and verifications are real.
type world struct {
	t     testing.TB
	now   time.Time
	hosts []*host
	queue []func()
	lost  func(engine.SendPacket) bool
}

type host struct {
	w        *world
	name     string
	e        *engine.Engine
	locs     []engine.LocalLocator
	acts     []engine.Action // since the last take
	noSign   bool            // Sign actions are not answered
	noVerify bool
	epochs   map[wire.ContextTag]uint32
	paths    map[wire.ContextTag]engine.LocatorPair
}

func newWorld(t testing.TB) *world { return &world{t: t, now: start} }

// add makes a host. The first letter of its name seeds it.
func (w *world) add(name string, cfg engine.Config, locs []engine.LocalLocator) *host {
	w.t.Helper()
	copy(cfg.Seed[:], name)
	e, err := engine.New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	h := &host{w: w, name: name, e: e, epochs: map[wire.ContextTag]uint32{}, paths: map[wire.ContextTag]engine.LocatorPair{}}
	w.hosts = append(w.hosts, h)
	h.setLocators(locs)
	return h
}

func (h *host) setLocators(locs []engine.LocalLocator) {
	h.locs = locs
	h.handle(engine.LocalLocators{Locators: locs})
	h.w.settle()
}

// pair makes two hosts with two CGAs each, ready to talk.
func pair(t testing.TB, cfg engine.Config) (w *world, a, b *host) {
	t.Helper()
	w = newWorld(t)
	a = w.add("a", cfg, locators(t, "a", "2001:db8:a1::/64", "2001:db8:a2::/64"))
	b = w.add("b", cfg, locators(t, "b", "2001:db8:b1::/64", "2001:db8:b2::/64"))
	return w, a, b
}

// established makes two hosts with a context between their first addresses.
func established(t testing.TB, cfg engine.Config) (w *world, a, b *host) {
	t.Helper()
	w, a, b = pair(t, cfg)
	a.trigger(b)
	w.settle()
	for _, h := range []*host{a, b} {
		if h.only().State != shim6.StateEstablished {
			t.Fatalf("%s: %v", h.name, h.only().State)
		}
		h.take()
	}
	return w, a, b
}

func (h *host) addr(i int) netip.Addr { return h.locs[i].Addr }

func (h *host) trigger(to *host) []engine.Action {
	return h.handle(engine.Trigger{ULIDs: engine.ULIDPair{Local: h.addr(0), Peer: to.addr(0)}})
}

// handle gives an event to the engine, and what it asks for to the world.
func (h *host) handle(ev engine.Event) []engine.Action {
	h.w.t.Helper()
	acts := h.e.Handle(h.w.now, ev)
	if d := h.e.Deadline(); !d.IsZero() && !d.After(h.w.now) {
		h.w.t.Fatalf("%s: deadline %v is not after %v", h.name, d, h.w.now)
	}
	for _, a := range acts {
		h.acts = append(h.acts, a)
		switch a := a.(type) {
		case engine.SendPacket:
			if h.w.lost == nil || !h.w.lost(a) {
				h.w.queue = append(h.w.queue, func() { h.w.deliver(a) })
			}
		case engine.Sign:
			if !h.noSign {
				h.w.queue = append(h.w.queue, func() { h.handle(h.sign(a)) })
			}
		case engine.Verify:
			if !h.noVerify {
				h.w.queue = append(h.w.queue, func() { h.handle(verify(a)) })
			}
		case engine.SetReap:
			h.epochs[a.Tag] = a.Epoch
		case engine.ProgramContext:
			h.paths[a.TagLocal] = a.Paths[0]
		case engine.RemoveContext:
			delete(h.paths, a.Tag)
		}
	}
	return acts
}

func (h *host) sign(a engine.Sign) engine.SignDone {
	sig, err := cga.Sign(keys()[a.KeyID], a.Data)
	return engine.SignDone{ID: a.ID, Signature: sig, Err: err}
}

func verify(a engine.Verify) engine.VerifyDone {
	var ls []cga.PeerLocator
	var generation uint32
	if a.List != nil {
		generation = a.List.Generation
		for _, l := range a.List.Locators {
			ls = append(ls, cga.PeerLocator{Addr: l.Addr, Method: uint8(l.Method)})
		}
	}
	bad, err := cga.VerifyLocators(a.ULID, a.PDS, ls, generation, a.Signature)
	return engine.VerifyDone{ID: a.ID, BadLocator: bad, Err: err}
}

// deliver brings a packet to the host that has its destination.
func (w *world) deliver(p engine.SendPacket) {
	for _, h := range w.hosts {
		if slices.ContainsFunc(h.locs, func(l engine.LocalLocator) bool { return l.Addr == p.Dst }) {
			h.handle(engine.PacketIn{Src: p.Src, Dst: p.Dst, HopLimit: 64, Payload: p.Payload})
		}
	}
}

// settle lets everything happen that takes no time.
func (w *world) settle() {
	for len(w.queue) > 0 {
		f := w.queue[0]
		w.queue = w.queue[1:]
		f()
	}
}

// advance moves the clock, stopping at each deadline.
func (w *world) advance(d time.Duration) {
	for end := w.now.Add(d); ; {
		next := end
		for _, h := range w.hosts {
			if d := h.e.Deadline(); !d.IsZero() && d.Before(next) {
				next = d
			}
		}
		w.now = next
		for _, h := range w.hosts {
			h.handle(engine.Tick{})
		}
		w.settle()
		if next.Equal(end) {
			return
		}
	}
}

// send gives a message to a host as if it came from src.
func (h *host) send(src, dst netip.Addr, m wire.Message) []engine.Action {
	h.w.t.Helper()
	b, err := wire.Marshal(m)
	if err != nil {
		h.w.t.Fatal(err)
	}
	return h.sendRaw(src, dst, b)
}

func (h *host) sendRaw(src, dst netip.Addr, b []byte) []engine.Action {
	h.w.t.Helper()
	return h.handle(engine.PacketIn{Src: src, Dst: dst, HopLimit: 64, Payload: b})
}

// take gives what happened since the last take.
func (h *host) take() []engine.Action {
	acts := h.acts
	h.acts = nil
	return acts
}

// only gives the one context of a host.
func (h *host) only() engine.Snapshot {
	h.w.t.Helper()
	cs := h.e.Contexts()
	if len(cs) != 1 {
		h.w.t.Fatalf("%s has %d contexts", h.name, len(cs))
	}
	return cs[0]
}

// pick gives the actions of one kind.
func pick[A engine.Action](acts []engine.Action) []A {
	var as []A
	for _, a := range acts {
		if a, ok := a.(A); ok {
			as = append(as, a)
		}
	}
	return as
}

// messages gives the messages of one kind that were sent.
func messages[M wire.Message](t testing.TB, acts []engine.Action) []M {
	t.Helper()
	var ms []M
	for _, p := range pick[engine.SendPacket](acts) {
		m, err := wire.Parse(p.Payload)
		if err != nil {
			t.Fatal(err)
		}
		if m, ok := m.(M); ok {
			ms = append(ms, m)
		}
	}
	return ms
}

// sent names the messages that were sent.
func sent(t testing.TB, acts []engine.Action) string {
	t.Helper()
	var names []string
	for _, m := range messages[wire.Message](t, acts) {
		names = append(names, m.Type().String())
	}
	return strings.Join(names, " ")
}

// reasons names what was refused.
func reasons(acts []engine.Action) string {
	var names []string
	for _, d := range pick[engine.Dropped](acts) {
		names = append(names, d.Reason.String())
	}
	return strings.Join(names, " ")
}

// kinds names all actions.
func kinds(acts []engine.Action) string {
	var names []string
	for _, a := range acts {
		names = append(names, strings.TrimPrefix(fmt.Sprintf("%T", a), "engine."))
	}
	return strings.Join(names, " ")
}

// silent asserts that something was refused for one reason, and that nothing else happened.
func silent(t testing.TB, acts []engine.Action, want engine.Reason) {
	t.Helper()
	if len(acts) != 1 || reasons(acts) != string(want) {
		t.Errorf("%s: %q, want it dropped for %q alone", kinds(acts), reasons(acts), want)
	}
}

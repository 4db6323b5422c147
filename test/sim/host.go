// SPDX-License-Identifier: MIT

package sim

import (
	"crypto/rsa"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"shim6/daemon/engine"
	"shim6/daemon/reap"
	"shim6/daemon/wire"
	"shim6/internal/cga"
)

// cryptoTime is how long a signature or its verification takes.
const cryptoTime = time.Millisecond

// A Host is an engine, its model of the kernel and its addresses.
type Host struct {
	Name   string
	Engine *engine.Engine

	w        *World
	kernel   *kernel
	key      *rsa.PrivateKey
	keyless  bool                  // the key cannot be used
	locators []engine.LocalLocator // all it ever has
	up       []bool                // which it has now
	flows    []*Flow
	foreign  bool          // knows nothing of Shim6
	skew     time.Duration // of its clock
	wall     time.Duration // so much more of the daemon's, which starts from the time of day
	frozen   time.Time     // what its clock shows while it is suspended
	pending  []func()      // what it finds when it wakes up
	cfg      engine.Config
	life     int               // how often a daemon was started
	chance   int               // how often it had other random numbers than the one before
	saved    []engine.Snapshot // for the next daemon
	saving   bool
	open     map[engine.ULIDPair]bool // that a socket is connected between
	invariants
}

// Locators of a host: what proves them. Of a mixed host all but the last are a set that is CGA-compatible, and the last is a CGA
// of the same key. A foreign host has plain ones, and neither daemon nor module.
const (
	Plain   = "plain"
	CGA     = "cga"
	HBA     = "hba"
	Mixed   = "mixed"
	Foreign = "foreign"
)

// keys are made once for each host name, and locators once for each way to make them; traces do not depend on them.
var keys = struct {
	sync.Mutex
	m        map[string]*rsa.PrivateKey
	locators map[string][]engine.LocalLocator
}{m: map[string]*rsa.PrivateKey{}, locators: map[string][]engine.LocalLocator{}}

func keyOf(host string) (*rsa.PrivateKey, error) {
	keys.Lock()
	defer keys.Unlock()
	if k := keys.m[host]; k != nil {
		return k, nil
	}
	k, err := cga.NewKey(cga.MinKeyBits)
	keys.m[host] = k
	return k, err
}

// AddHost makes a host with a locator for each name, each in a prefix of its own.
func (w *World) AddHost(name, kind string, cfg engine.Config, locators ...string) (*Host, error) {
	e, err := engine.New(cfg)
	if err != nil {
		return nil, err
	}
	h := &Host{
		Name: name, Engine: e, w: w, cfg: cfg, foreign: kind == Foreign, open: make(map[engine.ULIDPair]bool), invariants: newInvariants(),
	}
	h.kernel = &kernel{host: h}
	if h.foreign {
		h.Engine = nil
	}
	if h.key, err = keyOf(name); err != nil {
		return nil, err
	}
	if h.locators, err = h.makeLocators(kind, len(w.hosts)+1, len(locators)); err != nil {
		return nil, fmt.Errorf("host %s: %w", name, err)
	}
	for i, l := range h.locators {
		w.owner[l.Addr] = h
		w.names[l.Addr] = locators[i]
		h.up = append(h.up, true)
	}
	w.hosts = append(w.hosts, h)
	h.announce()
	h.poll()
	return h, nil
}

func (h *Host) makeLocators(kind string, host, n int) ([]engine.LocalLocator, error) {
	id := fmt.Sprint(h.Name, " ", kind, host, n)
	keys.Lock()
	defer keys.Unlock()
	ls, ok := keys.locators[id]
	if !ok {
		var err error
		if ls, err = h.newLocators(kind, host, n); err != nil {
			return nil, err
		}
		keys.locators[id] = ls
	}
	return slices.Clone(ls), nil
}

func (h *Host) newLocators(kind string, host, n int) ([]engine.LocalLocator, error) {
	spki, err := cga.MarshalPublicKey(&h.key.PublicKey)
	if err != nil {
		return nil, err
	}
	var prefixes [][8]byte
	for i := range n {
		prefixes = append(prefixes, [8]byte{0x20, 0x01, 0x0d, 0xb8, 0, byte(host), 0, byte(i + 1)})
	}
	params := &cga.Params{Modifier: [16]byte{byte(host)}, PublicKey: spki}
	keyID := h.Name
	switch kind {
	case HBA:
		mp := cga.MultiPrefix{Prefixes: prefixes}
		params.Extensions, keyID = []cga.Extension{mp.Extension()}, ""
	case Mixed:
		mp := cga.MultiPrefix{P: true, Prefixes: prefixes[:max(1, n-1)]}
		params.Extensions = []cga.Extension{mp.Extension()}
	case Plain, CGA, Foreign:
	default:
		return nil, fmt.Errorf("no such kind of locators: %q", kind)
	}
	var ls []engine.LocalLocator
	for i, prefix := range prefixes {
		p := *params
		p.Prefix = prefix
		if kind == Mixed && i > 0 && i == n-1 {
			p.Extensions = nil
		}
		a, err := p.Address(0)
		if err != nil {
			return nil, err
		}
		l := engine.LocalLocator{Addr: a, PDS: p.Marshal(), KeyID: keyID}
		if kind == Plain || kind == Foreign {
			l = engine.LocalLocator{Addr: a}
		}
		ls = append(ls, l)
	}
	return ls, nil
}

// Addr gives the address with a name, the zero address where the host has none.
func (h *Host) Addr(name string) netip.Addr {
	for _, l := range h.locators {
		if h.w.names[l.Addr] == name {
			return l.Addr
		}
	}
	return netip.Addr{}
}

// ULID gives the address that applications use: the first.
func (h *Host) ULID() netip.Addr { return h.locators[0].Addr }

func (h *Host) has(a netip.Addr) bool {
	i := slices.IndexFunc(h.locators, func(l engine.LocalLocator) bool { return l.Addr == a })
	return i >= 0 && h.up[i]
}

// SetUp takes an address from the host, or gives it back.
func (h *Host) SetUp(a netip.Addr, up bool) {
	for i, l := range h.locators {
		if l.Addr == a {
			h.up[i] = up
		}
	}
	h.announce()
}

// Connect opens a connection to a peer, at both ends, or closes it.
func (h *Host) Connect(u engine.ULIDPair, open bool) {
	h.open[u] = open
	if peer := h.w.owner[u.Peer]; peer != nil {
		peer.open[engine.ULIDPair{Local: u.Peer, Peer: u.Local}] = open
	}
}

// Move makes these the addresses of the host, at once.
func (h *Host) Move(to []netip.Addr) {
	for i, l := range h.locators {
		h.up[i] = slices.Contains(to, l.Addr)
	}
	h.announce()
}

// End says how long an address that the host has not stays valid.
func (h *Host) End(a netip.Addr, d time.Duration) {
	at := h.now().Add(d)
	h.Handle(engine.ULIDEnds{ULID: a, At: at})
	if h.Engine != nil && !h.has(a) {
		h.ends[a] = at
	}
	h.save()
}

// Prefer sets what peers are told about an address.
func (h *Host) Prefer(a netip.Addr, p engine.Preference) {
	for i := range h.locators {
		if h.locators[i].Addr == a {
			h.locators[i].Preference = p
		}
	}
	h.announce()
}

func (h *Host) announce() {
	var ev engine.LocalLocators
	for i, l := range h.locators {
		if h.up[i] {
			delete(h.ends, l.Addr)
			ev.Locators = append(ev.Locators, l)
		}
	}
	h.Handle(ev)
}

// traceAction writes what is worth reading in a script's output.
func (h *Host) traceAction(a engine.Action) {
	w := h.w
	if w.silent {
		return
	}
	switch a := a.(type) {
	case engine.SendPacket:
		m, err := wire.Parse(a.Payload)
		if err != nil {
			w.tracef("%s sends nonsense: %v", h.Name, err)
			return
		}
		if p, ok := m.(*wire.Probe); ok {
			w.tracef("%s sends Probe %v %s>%s, %d sent, %d received", h.Name, probeState(p), w.Name(a.Src), w.Name(a.Dst),
				len(p.Sent), len(p.Received))
			return
		}
		w.tracef("%s sends %v %s>%s%s", h.Name, m.Type(), w.Name(a.Src), w.Name(a.Dst), w.told(m))
	case engine.StateChanged:
		w.tracef("%s context with %s: %v to %v (%s)", h.Name, w.Name(a.ULIDs.Peer), a.From, a.To, a.Why)
	case engine.ReapChanged:
		w.tracef("%s REAP with %s: %v to %v (%s)", h.Name, w.Name(a.ULIDs.Peer), a.From, a.To, a.Why)
	case engine.PathChanged:
		w.tracef("%s path to %s: %s to %s", h.Name, w.Name(a.ULIDs.Peer), w.pair(a.From), w.pair(a.To))
	case engine.SwitchFailed:
		w.tracef("%s does not switch to %s (%s)", h.Name, w.pair(a.To), a.Why)
	case engine.Dropped:
		if !a.Src.IsValid() {
			w.tracef("%s refuses (%v)", h.Name, a.Reason)
			return
		}
		w.tracef("%s drops %s>%s (%v)", h.Name, w.Name(a.Src), w.Name(a.Dst), a.Reason)
	}
}

// told says what an Update Request tells.
func (w *World) told(m wire.Message) string {
	r, ok := m.(*wire.UpdateRequest)
	if !ok {
		return ""
	}
	var b strings.Builder
	if r.Locators != nil {
		for _, l := range r.Locators.Locators {
			fmt.Fprintf(&b, " %s", w.Name(l.Addr))
		}
	}
	if r.Preferences != nil {
		for _, p := range r.Preferences.Elements {
			fmt.Fprintf(&b, " %d/%d/%d", p.Flags, p.Priority, p.Weight)
		}
	}
	return b.String()
}

func probeState(p *wire.Probe) reap.State { return reap.State(p.State) }

// SPDX-License-Identifier: MIT

package run

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"shim6/cgad/autoconf"
	"shim6/cgad/config"
	"shim6/cgad/identity"
	"shim6/cgad/kernel"
	"shim6/cgad/netlab"
	"shim6/cgad/ra"
	"shim6/cgad/rasock"
	"shim6/internal/nstest"
)

func TestMain(m *testing.M) { os.Exit(nstest.Main(m)) }

// A world is what a Daemon runs in: the kernel, or something that behaves like it.
type world interface {
	System
	socket(t *testing.T) Socket
	advertise(t *testing.T, link int, router string, a netlab.Advertisement)
	addresses(t *testing.T, link int) []string // global ones, "address" or "address deprecated"
	routing(t *testing.T) []string             // rules "prefix", and routes "table prefix via router"
	// taken makes the next n duplicate address detections on the link fail.
	taken(t *testing.T, link, n int)
	setUp(t *testing.T, link int, up bool)
}

// both runs a test in the fake world and in the real one, each with two links.
func both(t *testing.T, body func(t *testing.T, w world, one, two int)) {
	t.Run("fake", func(t *testing.T) {
		f := newFake()
		body(t, f, f.link("h0"), f.link("h1"))
	})
	t.Run("kernel", func(t *testing.T) {
		r := &realWorld{links: make(map[int]*netlab.Link)}
		var err error
		if r.Kernel, err = kernel.New(filepath.Join(t.TempDir(), "settings.json")); err != nil {
			t.Fatal(err)
		}
		body(t, r, r.link(t, "h0", "r0"), r.link(t, "h1", "r1"))
	})
}

// A realWorld is the network namespace of the test.
type realWorld struct {
	*kernel.Kernel
	links map[int]*netlab.Link
}

func (r *realWorld) link(t *testing.T, host, far string) int {
	l := netlab.NewLink(t, host, far)
	r.links[l.Host.Attrs().Index] = l
	return l.Host.Attrs().Index
}

func (r *realWorld) socket(t *testing.T) Socket {
	t.Helper()
	c, err := rasock.Listen()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (r *realWorld) advertise(t *testing.T, link int, router string, a netlab.Advertisement) {
	t.Helper()
	r.links[link].Advertise(t, router, a)
}

func (r *realWorld) addresses(t *testing.T, link int) []string {
	t.Helper()
	var list []string
	for _, a := range netlab.Addresses(t, r.links[link].Host) {
		if a.IP.IsLinkLocalUnicast() || a.Flags&unix.IFA_F_TENTATIVE != 0 {
			continue
		}
		s := a.IP.String()
		if a.Flags&unix.IFA_F_DEPRECATED != 0 {
			s += " deprecated"
		}
		list = append(list, s)
	}
	slices.Sort(list)
	return list
}

func (r *realWorld) routing(t *testing.T) []string {
	t.Helper()
	rules, err := netlink.RuleList(netlink.FAMILY_V6)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, u := range rules {
		if u.Protocol == kernel.Protocol && u.Src != nil {
			list = append(list, u.Src.String())
		}
	}
	filter := &netlink.Route{Protocol: kernel.Protocol}
	routes, err := netlink.RouteListFiltered(netlink.FAMILY_V6, filter, netlink.RT_FILTER_PROTOCOL|netlink.RT_FILTER_TABLE)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range routes {
		to := "::/0"
		if f.Dst != nil {
			to = f.Dst.String()
		}
		list = append(list, fmt.Sprintf("%d %s via %s", f.Table-0x53360000, to, f.Gw))
	}
	slices.Sort(list)
	return list
}

func (r *realWorld) taken(t *testing.T, link, n int) {
	t.Helper()
	capture := r.links[link].Capture(t)
	go func() {
		var last netip.Addr
		for end := time.Now().Add(8 * time.Second); n > 0 && time.Now().Before(end); time.Sleep(time.Millisecond) {
			p, ok := capture.Read()
			if !ok || p.Body[0] != 135 || p.Source != "::" || p.Body[8] == 0xfe {
				continue
			}
			if addr := netip.AddrFrom16([16]byte(p.Body[8:24])); addr != last {
				r.links[link].Claim(t, addr.String())
				last = addr
				n--
			}
		}
	}()
}

func (r *realWorld) setUp(t *testing.T, link int, up bool) {
	t.Helper()
	change := netlink.LinkSetDown
	if up {
		change = netlink.LinkSetUp
	}
	if err := change(r.links[link].Host); err != nil {
		t.Fatal(err)
	}
}

// A fake is a host in memory. Duplicate address detection takes fakeDAD.
type fake struct {
	mu      sync.Mutex
	names   map[int]string
	up      map[int]bool
	addrs   map[int]map[netip.Addr]*fakeAddr
	routes  map[autoconf.Route]bool
	rules   map[autoconf.Rule]bool
	claimed map[int]int
	events  chan autoconf.Event
	inbox   chan rasock.Message
}

type fakeAddr struct {
	tentative, deprecated bool
}

const fakeDAD = 20 * time.Millisecond

func newFake() *fake {
	return &fake{
		names: make(map[int]string), up: make(map[int]bool), addrs: make(map[int]map[netip.Addr]*fakeAddr),
		routes: make(map[autoconf.Route]bool), rules: make(map[autoconf.Rule]bool), claimed: make(map[int]int),
		events: make(chan autoconf.Event, 1000), inbox: make(chan rasock.Message),
	}
}

func (f *fake) link(name string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	index := len(f.names) + 2
	f.names[index], f.up[index], f.addrs[index] = name, true, make(map[netip.Addr]*fakeAddr)
	f.events <- autoconf.LinkChanged{Index: index, Name: name, Up: true}
	f.events <- autoconf.AddressChanged{Link: index, Addr: netip.MustParsePrefix(fmt.Sprintf("fe80::%x/64", 0x100+index))}
	return index
}

func (f *fake) Watch(ctx context.Context) (<-chan autoconf.Event, error) {
	out := make(chan autoconf.Event)
	go func() {
		defer close(out)
		for {
			select {
			case <-ctx.Done():
				return
			case ev := <-f.events:
				select {
				case out <- ev:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	return out, nil
}

func (f *fake) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.rules)
	clear(f.routes)
	return nil
}

func (f *fake) Apply(action autoconf.Action) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch x := action.(type) {
	case autoconf.AddAddress:
		if !f.up[x.Link] {
			return unix.ENETDOWN
		}
		if f.addrs[x.Link][x.Addr] == nil {
			f.addrs[x.Link][x.Addr] = &fakeAddr{tentative: true}
			time.AfterFunc(fakeDAD, func() { f.detected(x.Link, x.Addr) })
		}
		f.tell(x.Link, x.Addr, x.Preferred)
	case autoconf.SetLifetimes:
		f.tell(x.Link, x.Addr, x.Preferred)
	case autoconf.DeleteAddress:
		if f.addrs[x.Link][x.Addr] != nil {
			delete(f.addrs[x.Link], x.Addr)
			f.events <- autoconf.AddressGone{Link: x.Link, Addr: x.Addr}
		}
	case autoconf.AddRoute:
		f.routes[x.Route] = true
	case autoconf.DeleteRoute:
		delete(f.routes, x.Route)
	case autoconf.AddRule:
		f.rules[x.Rule] = true
	case autoconf.DeleteRule:
		delete(f.rules, x.Rule)
	case autoconf.Manage, autoconf.Release, autoconf.Deprecate:
	default:
		return fmt.Errorf("unexpected %T", action)
	}
	return nil
}

func (f *fake) tell(link int, addr netip.Addr, preferred time.Duration) {
	if a := f.addrs[link][addr]; a != nil {
		a.deprecated = preferred == 0
		f.events <- autoconf.AddressChanged{Link: link, Addr: netip.PrefixFrom(addr, 64), Tentative: a.tentative, Deprecated: a.deprecated}
	}
}

func (f *fake) detected(link int, addr netip.Addr) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.addrs[link][addr]
	switch {
	case a == nil || !a.tentative:
	case f.claimed[link] > 0:
		f.claimed[link]--
		delete(f.addrs[link], addr)
		f.events <- autoconf.AddressGone{Link: link, Addr: addr, Duplicate: true}
	default:
		a.tentative = false
		f.events <- autoconf.AddressChanged{Link: link, Addr: netip.PrefixFrom(addr, 64), Deprecated: a.deprecated}
	}
}

func (f *fake) socket(*testing.T) Socket { return &fakeSocket{fake: f, closed: make(chan struct{})} }

type fakeSocket struct {
	*fake
	closed chan struct{}
	close  sync.Once
}

func (f *fakeSocket) Read() (rasock.Message, error) {
	select {
	case m := <-f.inbox:
		return m, nil
	case <-f.closed:
		return rasock.Message{}, net.ErrClosed
	}
}

func (f *fakeSocket) Solicit(int) error { return nil }

func (f *fakeSocket) Close() error {
	f.close.Do(func() { close(f.closed) })
	return nil
}

func (f *fake) advertise(t *testing.T, link int, router string, a netlab.Advertisement) {
	t.Helper()
	m := rasock.Message{Link: link, Meta: ra.Meta{Source: netip.MustParseAddr(router), HopLimit: ra.HopLimit}, Octets: a.Marshal()}
	select {
	case f.inbox <- m:
	case <-time.After(5 * time.Second):
		t.Fatal("nobody reads advertisements")
	}
}

func (f *fake) addresses(_ *testing.T, link int) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []string
	for addr, a := range f.addrs[link] {
		s := addr.String()
		if a.deprecated {
			s += " deprecated"
		}
		if !a.tentative {
			list = append(list, s)
		}
	}
	slices.Sort(list)
	return list
}

func (f *fake) routing(*testing.T) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []string
	for u := range f.rules {
		if u.Prefix.IsValid() {
			list = append(list, u.Prefix.String())
		}
	}
	for r := range f.routes {
		list = append(list, fmt.Sprintf("%d %v via %v", r.Table-0x53360000, r.Destination, r.Gateway))
	}
	slices.Sort(list)
	return list
}

func (f *fake) taken(_ *testing.T, link, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.claimed[link] = n
}

func (f *fake) setUp(_ *testing.T, link int, up bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.up[link] = up
	f.events <- autoconf.LinkChanged{Index: link, Name: f.names[link], Up: up}
	if !up {
		for addr := range f.addrs[link] {
			f.events <- autoconf.AddressGone{Link: link, Addr: addr}
		}
		clear(f.addrs[link])
	}
}

// A running is a Daemon that runs in a world until the test ends or stop is called.
type running struct {
	*Daemon
	config *config.Config
	stop   func()
}

func start(t *testing.T, w world, links int, change func(*config.Config)) *running {
	t.Helper()
	return startWith(t, w, links, func(o *Options) {
		if change != nil {
			change(o.Config)
		}
	})
}

func startWith(t *testing.T, w world, links int, change func(*Options)) *running {
	t.Helper()
	c := config.Default()
	c.Keys = filepath.Join(t.TempDir(), "keys")
	c.Interfaces = []string{"h*"}
	r := &running{config: c}
	o := Options{
		Config: c,
		Load:   func() (*config.Config, error) { next := *r.config; return &next, nil },
		Identities: func(c *config.Config) autoconf.Config {
			d, err := identity.Open(c.Keys)
			if err != nil {
				t.Error(err)
			}
			return d.Config(c)
		},
		Generate: identity.Generate,
		System:   w,
		Socket:   w.socket(t),
		Log:      slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	change(&o)
	r.Daemon = New(o)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(r.stop)
	// What comes before it manages the links is lost; in life it solicits then.
	netlab.Wait(t, "the links to be managed", func() bool {
		s, err := r.Status(t.Context())
		return err == nil && len(s.Links) == links
	})
	return r
}

// again gives the world for another daemon.
func again(w world) world {
	if f, ok := w.(*fake); ok {
		f.again()
	}
	return w
}

// again tells what is there, as a watch does that begins.
func (f *fake) again() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.events) > 0 {
		<-f.events
	}
	for index, name := range f.names {
		f.events <- autoconf.LinkChanged{Index: index, Name: name, Up: f.up[index]}
		f.events <- autoconf.AddressChanged{Link: index, Addr: netip.MustParsePrefix(fmt.Sprintf("fe80::%x/64", 0x100+index))}
		for addr, a := range f.addrs[index] {
			f.events <- autoconf.AddressChanged{Link: index, Addr: netip.PrefixFrom(addr, 64), Tentative: a.tentative, Deprecated: a.deprecated}
		}
	}
}

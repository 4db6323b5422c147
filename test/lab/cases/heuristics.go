// SPDX-License-Identifier: MIT

package cases

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"shim6/test/lab/genl"
	"shim6/test/lab/node"
	"shim6/test/lab/slab"
	"shim6/test/lab/topo"
)

var heuristicsCase = Case{
	Name:     "heuristics",
	About:    "heuristics act together, each namespace has its own, and a flood of destinations stays bounded",
	FastTime: true,
	Limit:    8 * time.Minute,
	Run:      runHeuristics,
}

// maxCandidates is the table's size at first, of the module's parameter.
const maxCandidates = 65536

func runHeuristics(e *Env) error {
	if err := e.loadUnderTest(); err != nil {
		return err
	}
	defer e.unloadUnderTest()
	network, err := topo.Build(topo.Plain(), 0)
	if err != nil {
		return err
	}
	defer func() { e.Works("the network goes away", network.Delete()) }()
	a, err := e.openHeuristics(network.A, network.A1)
	if err != nil {
		return err
	}
	defer a.close()
	b, err := e.openHeuristics(network.B, network.B1)
	if err != nil {
		return err
	}
	defer b.close()
	steps := []func(a, b *heuristicsHost) error{e.refuseHeuristics, e.stackHeuristics, e.exampleHeuristic, e.floodDestinations}
	for _, step := range steps {
		if err := step(a, b); err != nil {
			return err
		}
	}
	for _, h := range []*heuristicsHost{a, b} {
		e.Works("choose none in "+h.node.Name, h.use("none"))
		e.Works("disable "+h.node.Name, h.conn.Do(genl.CfgSet, genl.U8(genl.Enabled, 0)))
	}
	return nil
}

// A heuristicsHost is a host that sends datagrams and whose module is asked what became of them.
type heuristicsHost struct {
	node   *node.Node
	conn   *genl.Conn
	socket *net.UDPConn
}

func (e *Env) openHeuristics(n *node.Node, addr netip.Addr) (*heuristicsHost, error) {
	conn, err := genl.Dial(n.FD())
	if err != nil {
		return nil, err
	}
	if err := conn.Do(genl.CfgSet, genl.U8(genl.Enabled, 1)); err != nil {
		return nil, err
	}
	h := &heuristicsHost{node: n, conn: conn}
	err = n.Do(func() (err error) {
		h.socket, err = net.ListenUDP("udp6", net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 4000)))
		return err
	})
	return h, err
}

func (h *heuristicsHost) close() {
	h.conn.Close()
	h.socket.Close()
}

func (h *heuristicsHost) use(names string) error {
	return h.conn.Do(genl.CfgSet, genl.String(genl.Heuristic, names))
}

func (h *heuristicsHost) set(heuristic, param string, value uint64) error {
	return h.conn.Do(genl.HeurSet, genl.Attrs(genl.String(genl.Heuristic, heuristic),
		genl.Nest(genl.Param, genl.String(genl.ParamName, param), genl.U64(genl.ParamValue, value))))
}

// send sends count datagrams of 100 octets, 148 with headers.
func (h *heuristicsHost) send(to netip.Addr, count int) error {
	for range count {
		if _, err := h.socket.WriteToUDPAddrPort(make([]byte, 100), netip.AddrPortFrom(to, 4000)); err != nil {
			return err
		}
	}
	return nil
}

// refuseHeuristics tries what must not work.
func (e *Env) refuseHeuristics(a, _ *heuristicsHost) error {
	if err := a.use("default"); err != nil {
		return err
	}
	for _, r := range []struct {
		name string
		err  error
		want unix.Errno
	}{
		{"one that nobody knows", a.use("default+nobody"), unix.ENOENT},
		{"one twice", a.use("default+limit+default"), unix.EINVAL},
		{"none beside others", a.use("default+none"), unix.EINVAL},
		{"an empty name", a.use("default+"), unix.ENOENT},
		{"a parameter of one not in use", a.set("limit", "contexts", 1), unix.ENOENT},
		{"a parameter that it does not have", a.set("default", "colour", 1), unix.ENOENT},
		{"a value out of range", a.set("default", "age_ms", 1<<40), unix.ERANGE},
	} {
		e.Check(r.name+" is refused", errors.Is(r.err, r.want), "%s", errText(r.err))
	}
	stack, err := readStack(a.conn)
	e.Check("and nothing has changed", err == nil && len(stack) == 1 && stack[0].name == "default" && stack[0].params["bytes"] == 2048,
		"%v %s", stack, errText(err))
	return nil
}

// stackHeuristics lets three act together in a, and one in b.
func (e *Env) stackHeuristics(a, b *heuristicsHost) error {
	err := errors.Join(a.use("default+eui64+limit"), a.set("default", "bytes", 1000), a.set("limit", "contexts", 0), b.use("default"))
	if !e.Works("choose default+eui64+limit in a, default in b", err) {
		return err
	}
	fromMAC := netip.MustParseAddr("2001:db8:b1:0:211:22ff:fe33:4455")
	other := netip.MustParseAddr("2001:db8:b1::77")
	if err := errors.Join(a.send(fromMAC, 20), a.send(other, 20), b.send(other, 5)); err != nil {
		return err
	}
	followed, err := a.followed()
	if err != nil {
		return err
	}
	_, has := followed[fromMAC]
	e.Check("eui64 keeps an address with ff:fe out of the table", !has && followed[other] == 20, "followed: %v", followed)
	err = e.wantStack("a, with a limit of 0 contexts", a, counts{0, 0, 0}, counts{20, 0, 0}, counts{0, 0, 1})
	// In b, where bytes is 2048, 5 datagrams are not enough.
	err = errors.Join(err, e.wantStack("b, whose parameters are its own", b, counts{0, 0, 0}))

	if err := errors.Join(err, a.set("limit", "contexts", 1)); err != nil {
		return err
	}
	time.Sleep(1100 * time.Millisecond) // a vetoed flow is asked about again after a second
	if err := errors.Join(a.send(other, 1), b.send(other, 15)); err != nil {
		return err
	}
	err = e.wantStack("a, once one context is allowed", a, counts{0, 1, 0}, counts{20, 0, 0}, counts{0, 0, 1})
	return errors.Join(err, e.wantStack("b, after 2 KB", b, counts{0, 1, 0}))
}

// exampleHeuristic uses the module that README.md makes: its heuristic wants 20 packets and an answer.
func (e *Env) exampleHeuristic(a, b *heuristicsHost) error {
	if err := a.use("packets"); !e.Works("the README's heuristic can be chosen", err) {
		return err
	}
	addr := func(h *heuristicsHost) netip.Addr { return h.socket.LocalAddr().(*net.UDPAddr).AddrPort().Addr() }
	if err := a.send(addr(b), 30); err != nil {
		return err
	}
	err := e.wantStack("the README's, without an answer", a, counts{0, 0, 0})
	if err := errors.Join(err, b.send(addr(a), 1)); err != nil {
		return err
	}
	return e.wantStack("the README's, answered", a, counts{0, 1, 0})
}

// floodDestinations sends to very many addresses.
func (e *Env) floodDestinations(a, _ *heuristicsHost) error {
	count := e.Flood
	e.Say("a datagram to each of %d addresses", count)
	if err := errors.Join(a.use("default"), a.set("default", "age_ms", 0)); err != nil {
		return err
	}
	// The network forgets them at once; only sending is of interest.
	if _, err := a.node.Output("ip", "-6", "route", "add", "2001:db8:f::/48", "dev", "p1", "via", topo.PrefixA1.Addr().Next().String()); err != nil {
		return err
	}
	before, err := slab.Used()
	if err != nil {
		return err
	}
	left, err := sentPackets(a.node, "p1")
	if err != nil {
		return err
	}
	start := time.Now()
	if err := floodUDP(a.socket, netip.MustParseAddr("2001:db8:f::"), count); err != nil {
		return err
	}
	took := time.Since(start)
	now, err := sentPackets(a.node, "p1")
	if err != nil {
		return err
	}
	e.Check("every datagram is sent", now-left >= uint64(count), "%d of %d in %v", now-left, count, took.Round(time.Millisecond))
	followed, err := a.followed()
	if err != nil {
		return err
	}
	e.Check("the table keeps to its size", len(followed) <= maxCandidates && len(followed) > min(count, maxCandidates)/2, "%d flows", len(followed))
	after, err := slab.Used()
	if err != nil {
		return err
	}
	grown := after - before
	most := int64(32 << 20)
	if e.Debug {
		most += quarantine
	}
	e.Check("memory is bounded", grown < most, "slab has grown by %d KiB", grown>>10)

	start = time.Now()
	const limit = 60 * time.Second // without pressure it takes two minutes
	for ; len(followed) > maxCandidates/2 && time.Since(start) < limit; time.Sleep(time.Second) {
		if followed, err = a.followed(); err != nil {
			return err
		}
	}
	e.Check("half of the table is free again soon", len(followed) <= maxCandidates/2, "%d flows after %v", len(followed), time.Since(start).Round(time.Second))
	good := netip.MustParseAddr("2001:db8:b1::78")
	if err := a.send(good, 30); err != nil {
		return err
	}
	return e.wantStack("a flow after the flood", a, counts{0, 1, 0})
}

// counts are what a heuristic has decided.
type counts struct{ refusals, triggers, vetoes uint64 }

// wantStack checks what each heuristic of a host has decided.
func (e *Env) wantStack(what string, h *heuristicsHost, want ...counts) error {
	stack, err := readStack(h.conn)
	if err != nil {
		return err
	}
	ok := len(stack) == len(want)
	var seen []string
	for i, u := range stack {
		ok = ok && u.counts == want[i]
		seen = append(seen, fmt.Sprintf("%s %d refused %d wanted %d vetoed", u.name, u.refusals, u.triggers, u.vetoes))
	}
	e.Check("decisions of "+what, ok, "%s", strings.Join(seen, ", "))
	return nil
}

// SPDX-License-Identifier: MIT

package cases

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"shim6/test/lab/genl"
	"shim6/test/lab/node"
	"shim6/test/lab/topo"
)

var multipath = Case{
	Name:     "multipath",
	About:    "packets of one context take the locator pair that their mark names, counted and traced",
	FastTime: true,
	Limit:    5 * time.Minute,
	Run:      runMultipath,
}

// markMask makes the second octet of a mark the index of a path.
const markMask = 0xff00

func runMultipath(e *Env) error {
	if err := e.loadUnderTest(); err != nil {
		return err
	}
	defer e.unloadUnderTest()
	network, err := topo.Build(topo.Plain(), 0)
	if err != nil {
		return err
	}
	defer func() { e.Works("the network goes away", network.Delete()) }()
	trace, err := startTrace("shim6")
	if err != nil {
		return err
	}
	defer trace.stop()
	a1b1, a2b1 := pair{network.A1, network.B1}, pair{network.A2, network.B1}
	back1, back2 := pair{network.B1, network.A1}, pair{network.B1, network.A2}
	a := newContext(a1b1, tagA, tagB, a1b1, network.A1, network.A2).with(genl.Paths, pathList(a1b1, a2b1))
	b := newContext(back1, tagB, tagA, back1, network.B1).with(genl.Paths, pathList(back1, back2))
	if err := errors.Join(establish(network.A, a), establish(network.B, b)); err != nil {
		return err
	}
	hostA, err := e.openHeuristics(network.A, network.A1)
	if err != nil {
		return err
	}
	defer hostA.close()
	hostB, err := e.openHeuristics(network.B, network.B1)
	if err != nil {
		return err
	}
	defer hostB.close()
	if err := hostA.conn.Do(genl.CfgSet, genl.U32(genl.MarkMask, markMask)); !e.Works("set the mask of marks", err) {
		return err
	}
	if err := e.sendByMark(network, hostA, hostB); err != nil {
		return err
	}
	if err := e.countPaths(hostA, hostB, back1); err != nil {
		return err
	}
	return e.tracePoints(trace, hostA, hostB, a2b1)
}

// sendByMark sends without a mark, with that of the second path, and with one for which there is no path.
func (e *Env) sendByMark(network *topo.Network, a, b *heuristicsHost) error {
	for _, s := range []struct {
		mark, count int
		router      *node.Node
		what        string
	}{
		{0, 200, network.R1, "without a mark by provider 1"},
		{0x100, 200, network.R2, "with the mark of path 1 by provider 2"},
		{0x701, 10, network.R2, "with a mark beyond by provider 2"},
	} {
		before, err := receivedPackets(s.router, "cust")
		if err != nil {
			return err
		}
		if err := errors.Join(a.mark(s.mark), a.send(network.B1, s.count)); err != nil {
			return err
		}
		got, from := b.receive()
		after, err := receivedPackets(s.router, "cust")
		if err != nil {
			return err
		}
		e.Check(fmt.Sprintf("%d packets %s", s.count, s.what), after-before >= uint64(s.count) && after-before < uint64(s.count)+10, "%d", after-before)
		e.Check("and all arrive from the ULID", got == s.count && from == network.A1, "%d from %v", got, from)
	}
	return nil
}

// countPaths looks at what was counted, and lets the peer use a path that is none of b's.
func (e *Env) countPaths(a, b *heuristicsHost, back1 pair) error {
	sent, err := pathCounts(a.conn, tagA)
	if err != nil {
		return err
	}
	got, err := pathCounts(b.conn, tagB)
	if err != nil {
		return err
	}
	e.Check("a counts its packets by path", len(sent) == 2 && sent[0].tx == 200 && sent[1].tx == 210, "%v", sent)
	e.Check("b counts what came between locators", len(got) == 2 && got[1].rx == 210, "%v", got)
	beyond, err := stat(a.conn, statTxPathBeyond)
	e.Check("marks beyond are counted", err == nil && beyond == 10, "%d %s", beyond, errText(err))
	err = b.conn.Do(genl.CtxSet, genl.Attrs(genl.U64(genl.TagLocal, tagB), pathList(back1)))
	if err := errors.Join(err, a.mark(0x100), a.send(b.addr(), 5)); err != nil {
		return err
	}
	arrived, _ := b.receive()
	other, err := stat(b.conn, statRxOtherPath)
	e.Check("a pair that is no path of the receiver's is accepted and counted", err == nil && arrived == 5 && other == 5, "%d arrived, %d counted %s", arrived, other, errText(err))
	return nil
}

// tracePoints makes what has not happened yet happen, and looks for it in the trace.
func (e *Env) tracePoints(trace *trace, a, b *heuristicsHost, second pair) error {
	err := errors.Join(
		a.use("default"), a.send(netip.MustParseAddr("2001:db8:b1::77"), 20),
		b.conn.Do(genl.CtxDel, genl.U64(genl.TagLocal, tagB)),
		a.mark(0), a.conn.Do(genl.CtxSet, genl.Attrs(genl.U64(genl.TagLocal, tagA), pathList(second))),
		a.send(b.addr(), 1),
	)
	if err != nil {
		return err
	}
	time.Sleep(200 * time.Millisecond)
	text, err := trace.text()
	if err != nil {
		return err
	}
	if err := e.Save("trace.txt", []byte(text)); err != nil {
		return err
	}
	tags := func(tag uint64) string { return fmt.Sprintf("tag_local=%012x", tag) }
	for _, want := range [][]string{
		{"shim6_ctx_create:", tags(tagA), "ulid_peer=" + second.peer.String()},
		{"shim6_ctx_destroy:", tags(tagB)},
		{"shim6_path_change:", tags(tagA), "local=" + second.local.String(), "outage=0"},
		{"shim6_trigger:", "ulid_peer=2001:db8:b1::77", "heuristic=default"},
		{"shim6_drop:", "reason=RX_UNKNOWN_TAG"},
	} {
		line := traceLine(text, want)
		e.Check("trace has "+strings.TrimSuffix(want[0], ":"), line != "", "%s", line)
	}
	e.Works("flush a", a.conn.Do(genl.CtxFlush, nil))
	e.Works("flush b", b.conn.Do(genl.CtxFlush, nil))
	return a.use("none")
}

func traceLine(text string, parts []string) string {
next:
	for line := range strings.SplitSeq(text, "\n") {
		for _, p := range parts {
			if !strings.Contains(line, p) {
				continue next
			}
		}
		return strings.TrimSpace(line)
	}
	return ""
}

// addr is the address that the host's socket has.
func (h *heuristicsHost) addr() netip.Addr {
	return h.socket.LocalAddr().(*net.UDPAddr).AddrPort().Addr()
}

// mark sets the mark of what the host's socket sends.
func (h *heuristicsHost) mark(mark int) error {
	raw, err := h.socket.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) { set = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, unix.SO_MARK, mark) })
	return errors.Join(err, set)
}

// receive returns how many datagrams are there or come within half a second, and where the last one is from.
func (h *heuristicsHost) receive() (count int, from netip.Addr) {
	buffer := make([]byte, 2048)
	for {
		_ = h.socket.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		_, sender, err := h.socket.ReadFromUDPAddrPort(buffer)
		if err != nil {
			return count, from
		}
		count++
		from = sender.Addr()
	}
}

func pathList(list ...pair) []byte {
	var all [][]byte
	for _, p := range list {
		all = append(all, genl.Nest(genl.Path, genl.Addr(genl.PathLocal, p.local), genl.Addr(genl.PathPeer, p.peer)))
	}
	return genl.Nest(genl.Paths, all...)
}

// A pathCount is how many packets a path has had.
type pathCount struct{ tx, rx uint64 }

// pathCounts reads the counters of a context's paths.
func pathCounts(conn *genl.Conn, tag uint64) ([]pathCount, error) {
	replies, err := conn.Get(genl.CtxGet, genl.U64(genl.TagLocal, tag))
	if err != nil {
		return nil, err
	}
	if len(replies) == 0 {
		return nil, errors.New("no reply to CTX_GET")
	}
	ad, err := netlink.NewAttributeDecoder(replies[0].Data)
	if err != nil {
		return nil, err
	}
	var list []pathCount
	for ad.Next() {
		if ad.Type() != genl.Paths {
			continue
		}
		ad.Nested(func(paths *netlink.AttributeDecoder) error {
			for paths.Next() {
				var c pathCount
				paths.Nested(func(p *netlink.AttributeDecoder) error {
					for p.Next() {
						switch p.Type() {
						case genl.PathTxPackets:
							c.tx = p.Uint64()
						case genl.PathRxPackets:
							c.rx = p.Uint64()
						}
					}
					return nil
				})
				list = append(list, c)
			}
			return nil
		})
	}
	return list, ad.Err()
}

// Counters, enum shim6_stat.
const (
	statTxRewritten   = 1
	statRxRewritten   = 5
	statTxPathBeyond  = 19
	statRxOtherPath   = 20
	statTxBound       = 21
	statRxICMP        = 22
	statRxICMPUnknown = 23
)

// stat reads one counter of the namespace.
func stat(conn *genl.Conn, number uint16) (value uint64, err error) {
	replies, err := conn.Get(genl.StatsGet, nil)
	if err != nil || len(replies) == 0 {
		return 0, errors.Join(err, errors.New("no counters"))
	}
	ad, err := netlink.NewAttributeDecoder(replies[0].Data)
	if err != nil {
		return 0, err
	}
	found := false
	for ad.Next() {
		if ad.Type() != genl.Stats {
			continue
		}
		ad.Nested(func(stats *netlink.AttributeDecoder) error {
			for stats.Next() {
				if stats.Type() == number {
					value, found = stats.Uint64(), true
				}
			}
			return nil
		})
	}
	if ad.Err() == nil && !found {
		return 0, fmt.Errorf("there is no counter %d", number)
	}
	return value, ad.Err()
}

// receivedPackets returns how many packets a device has received.
func receivedPackets(n *node.Node, device string) (uint64, error) {
	l, err := n.LinkByName(device)
	if err != nil {
		return 0, err
	}
	return l.Attrs().Statistics.RxPackets, nil
}

// A trace is the kernel's record of tracepoints: of one, as net/net_dev_xmit, or of a group, as shim6.
type trace struct {
	dir    string
	events []string
}

func startTrace(events ...string) (*trace, error) {
	t := &trace{"/tmp/tracing", events}
	if err := os.MkdirAll(t.dir, 0o755); err != nil {
		return nil, err
	}
	if err := unix.Mount("tracefs", t.dir, "tracefs", 0, ""); err != nil {
		return nil, fmt.Errorf("mount tracefs: %w", err)
	}
	return t, t.enable("1")
}

func (t *trace) enable(value string) error {
	var errs []error
	for _, e := range t.events {
		errs = append(errs, os.WriteFile(t.dir+"/events/"+e+"/enable", []byte(value), 0))
	}
	return errors.Join(errs...)
}

// forget empties the record.
func (t *trace) forget() error { return os.WriteFile(t.dir+"/trace", nil, 0) }

func (t *trace) text() (string, error) {
	b, err := os.ReadFile(t.dir + "/trace")
	return string(b), err
}

func (t *trace) stop() {
	_ = t.enable("0")
	_ = unix.Unmount(t.dir, 0)
}

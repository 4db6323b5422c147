// SPDX-License-Identifier: MIT

package cases

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"shim6/test/lab/genl"
	"shim6/test/lab/hypervisor"
	"shim6/test/lab/kernel"
	"shim6/test/lab/node"
	"shim6/test/lab/topo"
	"shim6/test/lab/traffic"
)

var offloads = Case{
	Slow:     debugKernels("it knows a lost segment by its delay"),
	Name:     "offloads",
	About:    "large packets stay whole where the device is trusted, and checksums are right whoever computes them",
	FastTime: true,
	Modules:  []kernel.Need{{Module: "tun"}, {Module: "vxlan"}},
	Limit:    5 * time.Minute,
	Run:      runOffloads,
}

// An offloader moves data between hosts whose context the case makes and moves from link to link; the ULIDs are those of link 1.
type offloader struct {
	*topo.Direct
	e     *Env
	a, b  *genl.Conn
	trace *trace
	port  uint16
}

func runOffloads(e *Env) error {
	if err := e.loadUnderTest(); err != nil {
		return err
	}
	defer e.unloadUnderTest()
	net, err := topo.BuildDirect()
	if err != nil {
		return err
	}
	defer func() { e.Works("the network goes away", net.Delete()) }()
	o := &offloader{Direct: net, e: e, port: 7000}
	if o.trace, err = startTrace(arrivals...); err != nil {
		return err
	}
	defer o.trace.stop()
	if err := o.connect(); err != nil {
		return err
	}
	defer o.disconnect()
	for _, step := range []func() error{o.policy, o.everySwitch, o.forwarder, o.merged, o.hardware, o.virtual, o.tunnel, o.bigTCP} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// connect makes the contexts. Their locators are the addresses of every link that there will be.
func (o *offloader) connect() error {
	var ours, theirs []netip.Addr
	for i := 1; i <= 5; i++ {
		a, b := o.Link(i)
		ours, theirs = append(ours, a), append(theirs, b)
	}
	ab, ba := pair{ours[0], theirs[0]}, pair{theirs[0], ours[0]}
	err := errors.Join(
		establish(o.A, newContext(ab, tagA, tagB, ab, ours...)), establish(o.B, newContext(ba, tagB, tagA, ba, theirs...)))
	if err != nil {
		return err
	}
	if o.a, err = genl.Dial(o.A.FD()); err != nil {
		return err
	}
	o.b, err = genl.Dial(o.B.FD())
	return err
}

func (o *offloader) disconnect() {
	for _, c := range []*genl.Conn{o.a, o.b} {
		o.e.Works("flush the contexts", c.Do(genl.CtxFlush, nil))
		c.Close()
	}
}

// use gives both contexts the path by a link.
func (o *offloader) use(link int) error {
	a, b := o.Link(link)
	set := func(c *genl.Conn, tag uint64, p pair) error {
		return c.Do(genl.CtxSet, genl.Attrs(genl.U64(genl.TagLocal, tag), pathList(p)))
	}
	return errors.Join(set(o.b, tagB, pair{b, a}), set(o.a, tagA, pair{a, b}))
}

// move sends octets between the ULIDs.
func (o *offloader) move(octets int, limit time.Duration) (time.Duration, error) {
	a, b := o.Link(1)
	o.port++
	return traffic.Stream{From: o.A, To: o.B, Src: a, Dst: b, Port: o.port, Octets: octets}.Run(limit)
}

// trust lets packets for devices of both hosts be whole, or be cut up by the module; without any it is as the kernel decides.
func (o *offloader) trust(mode uint8, devices ...string) error {
	var list [][]byte
	for _, d := range devices {
		list = append(list, gsoDevice(d, mode))
	}
	set := genl.Nest(genl.GSODevices, list...)
	return errors.Join(o.a.Do(genl.CfgSet, set), o.b.Do(genl.CfgSet, set))
}

func gsoDevice(name string, mode uint8) []byte {
	return genl.Nest(genl.Device, genl.String(genl.DevName, name), genl.U8(genl.DevGSOMode, mode))
}

// limits for a transfer. What is prompt has not waited for a retransmission timer, which is 200 ms at least.
const (
	crawl  = 10 * time.Second
	prompt = 150 * time.Millisecond
	some   = 400000 // octets
)

// wantMove moves data and checks that it arrives promptly, and how large the packets are that arrive at a device. An empty
// packet and an acknowledgement are not looked at.
func (o *offloader) wantMove(what, device string, octets int, ok func(arrived) bool) {
	if err := o.trace.forget(); err != nil {
		o.e.Works(what, err)
		return
	}
	took, err := o.move(octets, crawl)
	if err != nil {
		o.e.Works(what, err)
		return
	}
	seen, err := o.arrivedAt(device)
	o.e.Check(what, err == nil && took < prompt && ok(seen), "%v in %v %s", seen, took.Round(time.Microsecond), errText(err))
}

// policy looks at one device, a2, whose other end is host b itself, as it is and as it may be told to be.
func (o *offloader) policy() error {
	if err := o.use(2); err != nil {
		return err
	}
	o.wantDevice("a2 as it is", "a2", genl.GSOSegment, genl.GSOWhyHardware)
	o.wantMove("a2, which segments for itself, gets segments", "b2", some, arrived.cut)
	if err := o.trust(genl.GSOWhole, "a?", "b?"); err != nil {
		return err
	}
	o.wantDevice("a2, trusted by name", "a2", genl.GSOWhole, genl.GSOWhyDevice)
	o.wantMove("a2, trusted, gets whole packets", "b2", some, arrived.whole)
	if err := errors.Join(o.trust(genl.GSOWhole), o.a.Do(genl.CfgSet, genl.U8(genl.GSOMode, genl.GSOWhole))); err != nil {
		return err
	}
	o.wantDevice("a2 where all are trusted", "a2", genl.GSOWhole, genl.GSOWhyNetns)
	o.wantMove("and gets whole packets", "b2", some, arrived.whole)
	if err := o.trust(genl.GSOSegment, "a1", "a2"); err != nil {
		return err
	}
	o.wantMove("a2, named as not trusted, gets segments", "b2", some, arrived.cut)
	err := errors.Join(o.trust(genl.GSOAuto), o.a.Do(genl.CfgSet, genl.U8(genl.GSOMode, genl.GSOAuto)), o.A.Ethtool("a2", unix.ETHTOOL_STSO, 0))
	if err != nil {
		return err
	}
	o.wantDevice("a2 once it does not segment", "a2", genl.GSOWhole, genl.GSOWhySoftware)
	o.wantMove("and this kernel does it for it", "b2", some, arrived.cut)
	return o.A.Ethtool("a2", unix.ETHTOOL_STSO, 1)
}

// everySwitch turns each of five things that devices do on and off, at both ends of a2, with every other.
func (o *offloader) everySwitch() error {
	switches := []struct {
		name    string
		command uint32
	}{
		{"tx", unix.ETHTOOL_STXCSUM}, {"gso", unix.ETHTOOL_SGSO}, {"tso", unix.ETHTOOL_STSO}, {"gro", unix.ETHTOOL_SGRO}, {"rx", unix.ETHTOOL_SRXCSUM},
	}
	// Segmentation needs checksums and scattered data: switched on, in this order, as far as it can be.
	set := func(on func(int) bool) (name string, err error) {
		for i, s := range switches {
			value, word := uint32(0), s.name+" off"
			if on(i) {
				value, word = 1, s.name
			}
			name += " " + word
			err = errors.Join(err, o.A.Ethtool("a2", s.command, value), o.B.Ethtool("b2", s.command, value))
		}
		return name, err
	}
	for _, mode := range []struct {
		name string
		mode uint8
	}{{"as it is", genl.GSOAuto}, {"trusted", genl.GSOWhole}} {
		if err := o.trust(mode.mode, "a2", "b2"); err != nil {
			return err
		}
		var wrong []string
		longest := time.Duration(0)
		for bits := range 1 << len(switches) {
			name, err := set(func(i int) bool { return bits>>i&1 == 1 })
			if err != nil {
				return err
			}
			took, err := o.move(some/2, crawl)
			longest = max(longest, took)
			if err != nil || took > prompt {
				wrong = append(wrong, fmt.Sprintf("%s: %v %s", name, took, errText(err)))
			}
		}
		o.e.Check("data arrives whole and soon with each of 32 settings of a2 and b2, "+mode.name, len(wrong) == 0, "at most %v %s",
			longest.Round(time.Microsecond), strings.Join(wrong, "; "))
	}
	_, err := set(func(int) bool { return true })
	return errors.Join(err, o.A.Ethtool("a2", unix.ETHTOOL_STXCSUM, 1), o.trust(genl.GSOAuto))
}

// forwarder sends by a namespace that does not use the module.
func (o *offloader) forwarder() error {
	if err := o.use(3); err != nil {
		return err
	}
	o.wantMove("a forwarder gets segments", "r3a", some, arrived.cut)
	return nil
}

// merged has the receiver verify checksums and merge segments all the same.
func (o *offloader) merged() error {
	err := errors.Join(
		o.use(2), o.A.Ethtool("a2", unix.ETHTOOL_STXCSUM, 0), o.B.Ethtool("b2", unix.ETHTOOL_SRXCSUM, 0), o.B.Ethtool("b2", unix.ETHTOOL_SGRO, 1))
	if err != nil {
		return err
	}
	before, err := snmp(o.B, "Ip6InReceives")
	if err != nil {
		return err
	}
	o.wantMove("without help by the receiver's device", "b2", some, func(s arrived) bool { return s.cut() && s.only(sumNone) })
	after, err := snmp(o.B, "Ip6InReceives")
	if err != nil {
		return err
	}
	o.e.Check("and what is merged comes up merged", after-before < some/1400/4, "%d packets for %d octets", after-before, some)
	return errors.Join(o.A.Ethtool("a2", unix.ETHTOOL_STXCSUM, 1), o.A.Ethtool("a2", unix.ETHTOOL_STSO, 1), o.B.Ethtool("b2", unix.ETHTOOL_SRXCSUM, 1), o.B.Ethtool("b2", unix.ETHTOOL_SGRO, 0))
}

// hardware has what was received be summed up before anybody else sees it. The stack complains about a sum that is wrong.
func (o *offloader) hardware() error {
	if err := errors.Join(loadOne(nicModule), o.A.Ethtool("a2", unix.ETHTOOL_STXCSUM, 0)); err != nil {
		return err
	}
	for _, octets := range []int{some, some + 1} {
		_, err := o.move(octets, crawl)
		o.e.Works(fmt.Sprintf("%d octets by hardware that sums up packets", octets), err)
	}
	raw, err := os.ReadFile("/sys/module/" + nicModule + "/parameters/summed")
	summed, parseErr := strconv.Atoi(strings.TrimSpace(string(raw)))
	o.e.Check("which it did", errors.Join(err, parseErr) == nil && summed > 2*some/1500, "%d packets %s", summed, errText(errors.Join(err, parseErr)))
	return errors.Join(unloadSoon(nicModule), o.A.Ethtool("a2", unix.ETHTOOL_STXCSUM, 1), o.A.Ethtool("a2", unix.ETHTOOL_STSO, 1))
}

// virtual sends by a device like that of a virtual machine, whose host does not have the module.
func (o *offloader) virtual() error {
	a, b := o.Link(4)
	host, err := hypervisor.Connect("v4", [2]*node.Node{o.A, o.B}, [2]netip.Prefix{netip.PrefixFrom(a, 64), netip.PrefixFrom(b, 64)})
	if err != nil {
		return err
	}
	defer func() { o.e.Works("the virtual devices go away", host.Close()) }()
	if err := o.use(4); err != nil {
		return err
	}
	for _, s := range []struct {
		told int
		name string
		sum  int
	}{
		{hypervisor.Missing, "that leaves the checksum to the receiver", sumPartial},
		{hypervisor.Complete, "that computes the checksum", sumNone},
	} {
		host.Tell(s.told, 0)
		o.wantMove("by a virtual machine's host "+s.name, "v4", some, func(seen arrived) bool { return seen.cut() && seen.only(s.sum) })
	}
	o.e.Check("which never gets what it would drop", host.Dropped.Load() == 0, "%d whole packets", host.Dropped.Load())

	host.Tell(hypervisor.Complete, 50)
	before, err := snmp(o.B, "TcpInCsumErrors")
	if err != nil {
		return err
	}
	_, err = o.move(some, crawl)
	o.e.Works("what is damaged on the way is sent again", err)
	after, err := snmp(o.B, "TcpInCsumErrors")
	o.e.Check("and is what the checksum finds", err == nil && host.Damaged.Load() > 4 && after-before == host.Damaged.Load(), "%d of %d %s", after-before, host.Damaged.Load(), errText(err))

	// The other way round, so that the checks above mean something.
	host.Tell(hypervisor.Complete, 0)
	if err := o.trust(genl.GSOWhole, "v4"); err != nil {
		return err
	}
	_, err = o.move(some, time.Second)
	o.e.Check("a host that is trusted wrongly drops whole packets", host.Dropped.Load() > 0, "%d, %s", host.Dropped.Load(), errText(err))
	return o.trust(genl.GSOAuto)
}

// tunnel sends by a tunnel whose receiver has checked the checksum over everything, and keeps the sum.
func (o *offloader) tunnel() error {
	a2, b2 := o.Link(2)
	a, b := o.Link(5)
	for _, n := range []struct {
		n             *node.Node
		under         string
		local, remote netip.Addr
		addr          netip.Addr
	}{{o.A, "a2", a2, b2, a}, {o.B, "b2", b2, a2, b}} {
		_, err1 := n.n.Output("ip", "link", "add", "x5", "type", "vxlan", "id", "5", "local", n.local.String(), "remote", n.remote.String(), "dev", n.under, "dstport", "4789")
		_, err2 := n.n.Output("ip", "addr", "add", netip.PrefixFrom(n.addr, 64).String(), "dev", "x5", "nodad")
		_, err3 := n.n.Output("ip", "link", "set", "x5", "up")
		if err := errors.Join(err1, err2, err3); err != nil {
			return err
		}
	}
	err := errors.Join(o.use(5), o.A.Ethtool("a2", unix.ETHTOOL_STXCSUM, 0), o.B.Ethtool("b2", unix.ETHTOOL_SRXCSUM, 0), o.B.Ethtool("b2", unix.ETHTOOL_SGRO, 0))
	if err != nil {
		return err
	}
	for _, gro := range []uint32{0, 1} {
		if err := o.B.Ethtool("x5", unix.ETHTOOL_SGRO, gro); err != nil {
			return err
		}
		o.wantMove(fmt.Sprintf("with a sum over the packet, gro %d", gro), "x5", some, func(s arrived) bool { return s.cut() && s.only(sumComplete) })
	}
	return errors.Join(o.A.Ethtool("a2", unix.ETHTOOL_STXCSUM, 1), o.A.Ethtool("a2", unix.ETHTOOL_STSO, 1), o.B.Ethtool("b2", unix.ETHTOOL_SRXCSUM, 1))
}

// bigTCP lets packets be larger than 64 KiB (net/ipv6: jumbograms inside the host).
func (o *offloader) bigTCP() error {
	for _, d := range []struct {
		n      *node.Node
		device string
	}{{o.A, "a1"}, {o.A, "a2"}, {o.B, "b1"}, {o.B, "b2"}} {
		if _, err := d.n.Output("ip", "link", "set", d.device, "gso_max_size", "185000", "gro_max_size", "185000"); err != nil {
			return err
		}
	}
	if err := o.use(1); err != nil {
		return err
	}
	o.wantMove("packets of more than 64 KiB between the ULIDs", "b1", 2*some, func(s arrived) bool { return s.largest > 1<<16 })
	if err := o.use(2); err != nil {
		return err
	}
	o.wantMove("between locators they are cut up", "b2", some, arrived.cut)
	if err := o.trust(genl.GSOWhole, "a2"); err != nil {
		return err
	}
	o.wantMove("also where the device is trusted, as no header fits", "b2", some, func(s arrived) bool { return s.largest < 1<<16 })
	return o.trust(genl.GSOAuto)
}

// SPDX-License-Identifier: MIT

package cases

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"shim6/test/lab/capture"
	"shim6/test/lab/genl"
	"shim6/test/lab/packet"
	"shim6/test/lab/topo"
)

// protected are two hosts with a context for a1 and b1, made by the case without a daemon, and a record of what passes host a's
// links to its providers. Host b has a second locator, b2. Checksums are computed before packets leave.
type protected struct {
	*topo.Network
	e    *Env
	b2   netip.Addr
	a, b *genl.Conn
	// what passed the links to providers 1 and 2
	link1, link2 *capture.Recorder
}

// protect builds the network and the contexts. The path is that between the ULIDs.
func (e *Env) protect() (*protected, error) {
	if err := e.loadUnderTest(); err != nil {
		return nil, err
	}
	network, err := topo.Build(topo.Plain(), e.RTT)
	if err != nil {
		return nil, err
	}
	p := &protected{Network: network, e: e, b2: netip.MustParseAddr("2001:db8:b1::b2")}
	if err := p.prepare(); err != nil {
		return nil, errors.Join(err, network.Delete())
	}
	return p, nil
}

func (p *protected) prepare() error {
	dev, err := p.B.LinkByName("p1")
	if err != nil {
		return err
	}
	b2 := &netlink.Addr{IPNet: netlink.NewIPNet(p.b2.AsSlice()), Flags: unix.IFA_F_NODAD}
	if err := p.B.AddrAdd(dev, b2); err != nil {
		return fmt.Errorf("address %v of b: %w", p.b2, err)
	}
	if err := p.offload(0); err != nil {
		return err
	}
	ab, ba := pair{p.A1, p.B1}, pair{p.B1, p.A1}
	a, b := newContext(ab, tagA, tagB, ab, p.A1, p.A2), newContext(ba, tagB, tagA, ba, p.B1, p.b2)
	if err := errors.Join(establish(p.A, a), establish(p.B, b)); err != nil {
		return err
	}
	if p.a, err = genl.Dial(p.A.FD()); err != nil {
		return err
	}
	if p.b, err = genl.Dial(p.B.FD()); err != nil {
		return err
	}
	if p.link1, err = capture.Record(p.R1, "cust"); err != nil {
		return err
	}
	p.link2, err = capture.Record(p.R2, "cust")
	return err
}

// offload has the hosts' devices compute checksums, and with that segment (1), or not (0).
func (p *protected) offload(on uint32) error {
	return errors.Join(
		p.A.Ethtool("p1", unix.ETHTOOL_STXCSUM, on),
		p.A.Ethtool("p2", unix.ETHTOOL_STXCSUM, on),
		p.B.Ethtool("p1", unix.ETHTOOL_STXCSUM, on),
	)
}

// remove takes contexts, network and modules away, and checks that nothing holds them.
func (p *protected) remove() {
	p.link1.Close()
	p.link2.Close()
	for _, c := range []*genl.Conn{p.a, p.b} {
		p.e.Works("flush the contexts", c.Do(genl.CtxFlush, nil))
		c.Close()
	}
	p.e.Works("the network goes away", p.Delete())
	p.e.unloadUnderTest()
}

// plain is the path between the ULIDs, other that by provider 2.
func (p *protected) plain() pair { return pair{p.A1, p.B1} }
func (p *protected) other() pair { return pair{p.A2, p.b2} }

// use gives both contexts another path, that of host b first: nothing that a receiver still has to rewrite changes.
func (p *protected) use(path pair) error {
	return errors.Join(p.useOne(p.b, tagB, pair{path.peer, path.local}), p.useOne(p.a, tagA, path))
}

func (p *protected) useOne(c *genl.Conn, tag uint64, path pair) error {
	if err := c.Do(genl.CtxSet, genl.Attrs(genl.U64(genl.TagLocal, tag), pathList(path))); err != nil {
		return fmt.Errorf("set path %v: %w", path, err)
	}
	return nil
}

// forget throws away what was recorded.
func (p *protected) forget() error {
	_, err1 := p.link1.Take()
	_, err2 := p.link2.Take()
	return errors.Join(err1, err2)
}

// ulids returns the ULIDs of what was sent between two addresses by either host, and the tag that it must have when it was
// rewritten; false when they are not of the two.
func (p *protected) ulids(src, dst netip.Addr) (from, to netip.Addr, tag uint64, ok bool) {
	a, b := []netip.Addr{p.A1, p.A2}, []netip.Addr{p.B1, p.b2}
	switch {
	case slices.Contains(a, src) && slices.Contains(b, dst):
		return p.A1, p.B1, tagB, true
	case slices.Contains(b, src) && slices.Contains(a, dst):
		return p.B1, p.A1, tagA, true
	}
	return
}

// inspect returns what is wrong with a packet that went between the hosts on a path: its addresses, its Payload Extension
// Header, or its checksum, which is over ULIDs (RFC 5533 section 11.1). A fragment's checksum is not looked at.
func (p *protected) inspect(k *packet.Packet, path pair) string {
	from, to, tag, ok := p.ulids(k.Src, k.Dst)
	there, back := k.Src == path.local && k.Dst == path.peer, k.Src == path.peer && k.Dst == path.local
	rewritten := path != p.plain()
	switch {
	case !ok || !there && !back:
		return fmt.Sprintf("wrong path: %v", k)
	case rewritten != k.Has(packet.Shim6):
		return fmt.Sprintf("Payload Extension Header is wrong: %v", k)
	case rewritten && k.Tag != tag:
		return fmt.Sprintf("tag is not %012x: %v", tag, k)
	case !k.Has(packet.Fragment) && !k.SumRight(from, to):
		return fmt.Sprintf("checksum is wrong: %v", k)
	}
	return ""
}

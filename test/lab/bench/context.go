// SPDX-License-Identifier: MIT

package bench

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"

	"shim6/test/lab/genl"
	"shim6/test/lab/node"
)

// rxRewritten is SHIM6_STAT_RX_REWRITTEN.
const rxRewritten = 5

// timeoutMS is the contexts' Send and Keepalive Timeout, RFC 5534's.
const timeoutMS = 15000

// A context is what CTX_NEW takes.
type context struct {
	ulidLocal, ulidPeer netip.Addr
	tagLocal, tagPeer   uint64
	local, peer         netip.Addr // the current locators
	locators            []netip.Addr
}

func (c *context) attrs() []byte {
	var locators [][]byte
	for _, l := range c.locators {
		locators = append(locators, genl.Addr(genl.Locator, l))
	}
	return genl.Attrs(
		genl.Addr(genl.ULIDLocal, c.ulidLocal), genl.Addr(genl.ULIDPeer, c.ulidPeer),
		genl.U64(genl.TagLocal, c.tagLocal), genl.U64(genl.TagPeer, c.tagPeer), genl.U32(genl.FII, 0),
		c.paths(), genl.Nest(genl.LocatorsLocal, locators...),
		genl.U32(genl.SendTimeoutMS, timeoutMS), genl.U32(genl.KeepaliveTimeoutMS, timeoutMS),
		genl.U32(genl.KeepaliveIntervalMS, timeoutMS/3),
	)
}

func (c *context) paths() []byte {
	return genl.Nest(genl.Paths, genl.Nest(genl.Path, genl.Addr(genl.PathLocal, c.local), genl.Addr(genl.PathPeer, c.peer)))
}

const tagA, tagB = 0xa, 0xb

// contexts returns those of both hosts, between their ULIDs or between their other locators.
func (n *network) contexts(rewriting bool) (a, b *context) {
	a = &context{n.ulidA, n.ulidB, tagA, tagB, n.ulidA, n.ulidB, []netip.Addr{n.ulidA, n.otherA}}
	b = &context{n.ulidB, n.ulidA, tagB, tagA, n.ulidB, n.ulidA, []netip.Addr{n.ulidB, n.otherB}}
	if rewriting {
		a.local, a.peer, b.local, b.peer = n.otherA, n.otherB, n.otherB, n.otherA
	}
	return a, b
}

// Modes of segmentation, enum shim6_gso_mode.
const gsoWhole, gsoAuto = 1, 2

// enable has both hosts use the module. They trust links that segment, for their peer has the module too.
func (n *network) enable(heuristic string) error {
	mode := uint8(gsoAuto)
	if n.devices.tso {
		mode = gsoWhole
	}
	for _, x := range []*node.Node{n.a, n.b} {
		if err := request(x, genl.CfgSet, genl.U8(genl.Enabled, 1), genl.String(genl.Heuristic, heuristic), genl.U8(genl.GSOMode, mode)); err != nil {
			return fmt.Errorf("enable %s: %w", x.Name, err)
		}
	}
	return nil
}

// establish enables both hosts and gives them a context each.
func (n *network) establish(rewriting bool) error {
	if err := n.enable("none"); err != nil {
		return err
	}
	a, b := n.contexts(rewriting)
	return errors.Join(request(n.a, genl.CtxNew, a.attrs()), request(n.b, genl.CtxNew, b.attrs()))
}

// release ends the contexts and the use of the module. A flush waits for the states, which hold the module.
func (n *network) release() error {
	var errs []error
	for _, x := range []*node.Node{n.a, n.b} {
		errs = append(errs,
			request(x, genl.CtxFlush),
			request(x, genl.CfgSet, genl.String(genl.Heuristic, "none"), genl.U8(genl.Enabled, 0)),
		)
	}
	return errors.Join(errs...)
}

func request(n *node.Node, command uint8, attrs ...[]byte) error {
	conn, err := genl.Dial(n.FD())
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.Do(command, genl.Attrs(attrs...)); err != nil {
		return fmt.Errorf("%s: command %d: %w", n.Name, command, err)
	}
	return nil
}

// rewritten returns how many packets a host has received between other locators than ULIDs.
func rewritten(n *node.Node) (count uint64, err error) {
	conn, err := genl.Dial(n.FD())
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	replies, err := conn.Get(genl.StatsGet, nil)
	if err != nil {
		return 0, err
	}
	for _, reply := range replies {
		ad, err := netlink.NewAttributeDecoder(reply.Data)
		if err != nil {
			return 0, err
		}
		for ad.Next() {
			if ad.Type() != genl.Stats {
				continue
			}
			ad.Nested(func(stats *netlink.AttributeDecoder) error {
				for stats.Next() {
					if stats.Type() == rxRewritten {
						count = stats.Uint64()
					}
				}
				return nil
			})
		}
		if ad.Err() != nil {
			return 0, ad.Err()
		}
	}
	return count, nil
}

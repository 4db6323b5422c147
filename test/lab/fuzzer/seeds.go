// SPDX-License-Identifier: MIT

package fuzzer

import (
	"net/netip"

	"github.com/mdlayher/netlink"

	"shim6/test/lab/genl"
	"shim6/test/lab/packet"
)

// The contexts' addresses and tags. A is here, B far away; 1 is the ULID of each.
var (
	A1 = netip.MustParseAddr("2001:db8:a1::a")
	A2 = netip.MustParseAddr("2001:db8:a2::a")
	A3 = netip.MustParseAddr("2001:db8:a3::a")
	B1 = netip.MustParseAddr("2001:db8:b1::b")
	B2 = netip.MustParseAddr("2001:db8:b2::b")
	B3 = netip.MustParseAddr("2001:db8:b3::b")
	// gone is no address of ours, elsewhere nobody's.
	gone      = netip.MustParseAddr("2001:db8:a9::a")
	elsewhere = netip.MustParseAddr("2001:db8:e::e")
)

const (
	TagLocal = 0x0123456789ab // of the context that rewrites
	tagPlain = 0x0123456789ac // that does not
	tagFork  = 0x0123456789ad // with a Forked Instance Identifier
	tagGone  = 0x0123456789ae // whose local ULID is gone
	tagPeer  = 0x00aabbccddee

	portLocal = 4000
	portPeer  = 5000
	timeoutMS = 100
)

type path struct{ local, peer netip.Addr }

// contexts are the requests that make the contexts.
func contexts() [][]byte {
	return [][]byte{
		context(A1, B1, TagLocal, 0, path{A2, B1}, path{A2, B2}, path{A3, B3}, path{A1, B1}),
		context(A1, B2, tagPlain, 0, path{A1, B2}),
		context(A1, B1, tagFork, 7, path{A2, B2}),
		context(gone, B3, tagGone, 0, path{A2, B3}, path{gone, B3}),
	}
}

func context(local, peer netip.Addr, tag uint64, fii uint32, paths ...path) []byte {
	var list [][]byte
	for _, p := range paths {
		list = append(list, genl.Nest(genl.Path, genl.Addr(genl.PathLocal, p.local), genl.Addr(genl.PathPeer, p.peer)))
	}
	return genl.Attrs(
		genl.Addr(genl.ULIDLocal, local), genl.Addr(genl.ULIDPeer, peer),
		genl.U64(genl.TagLocal, tag), genl.U64(genl.TagPeer, tagPeer+tag-TagLocal), genl.U32(genl.FII, fii),
		genl.Nest(genl.Paths, list...),
		genl.Nest(genl.LocatorsLocal, genl.Addr(genl.Locator, A1), genl.Addr(genl.Locator, A2), genl.Addr(genl.Locator, A3)),
		genl.U32(genl.SendTimeoutMS, timeoutMS), genl.U32(genl.KeepaliveTimeoutMS, timeoutMS),
		genl.U32(genl.KeepaliveIntervalMS, timeoutMS/3),
	)
}

// Seeds are right inputs of every kind. control are Shim6 control messages.
func Seeds(s *genl.Socket, control [][]byte) []Input {
	var list []Input
	for _, p := range received(control) {
		list = append(list, Input{Frame, p}, Input{Merged, p}, Input{Offloaded, append(make([]byte, virtioLen), p...)})
	}
	// A checksum to be completed, and a train of segments, of TCP.
	list = append(list,
		Input{Offloaded, append([]byte{1, 0, 0, 0, 0, 0, 48, 0, 16, 0}, segment(A2, B1, 1000)...)},
		Input{Offloaded, append([]byte{1, 4, 60, 0, 244, 1, 40, 0, 16, 0}, packet.Make(B2, A1, packet.TCP, tcp(B2, A1, 2000))...)},
	)
	for _, p := range sent() {
		list = append(list, Input{Raw, p})
	}
	for socket := range byte(datagramSockets) {
		for _, n := range []uint16{0, 1, 1000, 1272, 1441, 1452, 3000} {
			list = append(list, Input{Datagram, []byte{socket, byte(n >> 8), byte(n)}})
		}
	}
	for _, m := range requests(s) {
		list = append(list, Input{Request, m})
	}
	return list
}

func udp(src, dst netip.Addr, n int) []byte {
	return packet.Datagram(netip.AddrPortFrom(src, portPeer), netip.AddrPortFrom(dst, portLocal), make([]byte, n))
}

// tcp is a segment of n octets that belongs to no connection.
func tcp(src, dst netip.Addr, n int) []byte {
	b := append([]byte{portPeer >> 8, portPeer & 0xff, portLocal >> 8, portLocal & 0xff, 0, 0, 0, 1, 0, 0, 0, 1, 5 << 4, 0x10, 1, 0, 0, 0, 0, 0},
		make([]byte, n)...)
	sum := packet.Sum(src, dst, packet.TCP, b)
	b[16], b[17] = byte(sum>>8), byte(sum)
	return b
}

// segment is that behind a Payload Extension Header.
func segment(dst, src netip.Addr, n int) []byte {
	return packet.Make(src, dst, packet.TCP, tcp(B1, A1, n), packet.Payload(TagLocal))
}

// received are packets from the peer.
func received(control [][]byte) [][]byte {
	echo := packet.ICMP(B1, A1, 128, 0, 1, []byte("ping"))
	payload := packet.Payload(TagLocal)
	fragment := packet.FragmentOf(1, 0, true)
	whole := udp(B1, A1, 1600)
	list := [][]byte{
		packet.Make(B1, A1, packet.UDP, udp(B1, A1, 8)),
		packet.Make(B1, A2, packet.UDP, udp(B1, A1, 8), payload),
		packet.Make(B1, A2, packet.ICMPv6, echo, payload),
		segment(A2, B1, 1000),
		segment(A2, B1, 0),
		packet.Make(B1, A2, packet.UDP, udp(B1, A1, 8), packet.Options(packet.HopByHop, 1), payload),
		packet.Make(B1, A2, packet.UDP, udp(B1, A1, 8), packet.Options(packet.DestOptions, 2), packet.RoutingDone(), payload),
		packet.Make(B1, A2, packet.UDP, udp(B1, A1, 8), payload, packet.Options(packet.DestOptions, 2)),
		// The header in each fragment, and in the first alone.
		packet.Make(B1, A2, packet.UDP, whole[:800], payload, fragment),
		packet.Make(B1, A2, packet.UDP, whole[800:], payload, packet.FragmentOf(1, 800, false)),
		packet.Make(B1, A2, packet.UDP, whole[:800], packet.FragmentOf(2, 0, true), payload),
		packet.Make(B1, A2, packet.Shim6, whole[792:], packet.FragmentOf(2, 808, false)),
		packet.Make(B1, A2, packet.UDP, udp(B1, A1, 8), packet.Payload(tagFork)),
		packet.Make(B3, A2, packet.UDP, udp(B3, gone, 8), packet.Payload(tagGone)),
		packet.Make(B3, A2, packet.UDP, udp(B3, gone, 8), packet.Options(packet.DestOptions, 1), packet.Payload(tagGone)),
		packet.Make(B1, A2, packet.UDP, udp(B1, A1, 8), packet.Payload(TagLocal+0x1000)),
		packet.Make(B1, A2, packet.UDP, udp(B1, A1, 8), payload, payload),
		packet.Make(B1, elsewhere, packet.UDP, udp(B1, A1, 8), payload), // in transit
		packet.Make(B2, A1, packet.ICMPv6, packet.ICMP(B2, A1, 128, 0, 1, nil)),
		packet.Make(B1, A1, packet.ICMPv6, packet.ICMP(B1, A1, 136, 0, 0, make([]byte, 16))),
	}
	// Errors about what was sent, with and without other headers in it.
	for _, quoted := range [][]byte{
		packet.Make(A2, B1, packet.UDP, udp(A1, B1, 100), packet.Payload(tagPeer)),
		packet.Make(A2, B1, packet.TCP, tcp(A1, B1, 100), packet.Options(packet.HopByHop, 1), packet.Payload(tagPeer)),
		packet.Make(A2, B1, packet.UDP, udp(A1, B1, 100), packet.Payload(tagPeer), packet.FragmentOf(3, 0, true)),
		packet.Make(A2, B1, packet.UDP, udp(A1, B1, 100), packet.FragmentOf(3, 0, true), packet.Payload(tagPeer)),
		packet.Make(A1, B2, packet.UDP, udp(A1, B2, 100)),
	} {
		for _, e := range []struct {
			kind, code uint8
			word       uint32
		}{{1, 0, 0}, {1, 4, 0x06000000}, {2, 0, 1300}, {2, 0, 0}, {3, 0, 0}, {4, 1, 40}, {137, 0, 0}} {
			list = append(list, packet.Make(elsewhere, A2, packet.ICMPv6, packet.ICMP(elsewhere, A2, e.kind, e.code, e.word, quoted)))
		}
	}
	for _, c := range control {
		list = append(list, packet.Make(B1, A2, packet.Shim6, c))
	}
	return list
}

// sent are packets to the peer.
func sent() [][]byte {
	return [][]byte{
		packet.Make(A1, B1, packet.UDP, udp(A1, B1, 8)),
		packet.Make(A1, B1, packet.UDP, udp(A1, B1, 1440)),
		packet.Make(A1, B1, packet.TCP, tcp(A1, B1, 8)),
		packet.Make(A1, B1, packet.ICMPv6, packet.ICMP(A1, B1, 128, 0, 1, nil)),
		packet.Make(A1, B1, packet.UDP, udp(A1, B1, 8), packet.Options(packet.HopByHop, 1), packet.Options(packet.DestOptions, 2), packet.RoutingDone()),
		packet.Make(A1, B1, packet.UDP, udp(A1, B1, 800), packet.FragmentOf(4, 0, true)),
		packet.Make(A1, B2, packet.UDP, udp(A1, B2, 8)),
		packet.Make(gone, B3, packet.UDP, udp(gone, B3, 8)),
		packet.Make(A1, elsewhere, packet.UDP, udp(A1, elsewhere, 3000)),
		packet.Make(A2, B1, packet.Shim6, []byte{59, 1, 66, 0, 0, 0, 1, 2, 3, 4, 5, 6, 0, 0, 0, 0}),
	}
}

// requests are right messages of each command.
func requests(s *genl.Socket) [][]byte {
	tag := genl.U64(genl.TagLocal, TagLocal)
	var list [][]byte
	for _, r := range []struct {
		command uint8
		flags   netlink.HeaderFlags
		attrs   []byte
	}{
		{genl.CtxSet, netlink.Acknowledge, genl.Attrs(tag, genl.U64(genl.TagPeer, tagPeer))},
		{genl.CtxSet, 0, genl.Attrs(tag, genl.Nest(genl.Paths,
			genl.Nest(genl.Path, genl.Addr(genl.PathLocal, A2), genl.Addr(genl.PathPeer, B2)),
			genl.Nest(genl.Path, genl.Addr(genl.PathLocal, A2), genl.Addr(genl.PathPeer, B1))))},
		{genl.CtxSet, 0, genl.Attrs(tag, genl.Nest(genl.LocatorsLocal, genl.Addr(genl.Locator, A2)), genl.U32(genl.SendTimeoutMS, timeoutMS))},
		{genl.CtxDel, 0, genl.U64(genl.TagLocal, tagFork)},
		{genl.CtxDel, 0, genl.U64(genl.TagLocal, tagGone)},
		{genl.CtxGet, 0, tag},
		{genl.CtxGet, netlink.Dump, nil},
		{genl.CtxFlush, 0, nil},
		{genl.ReapSet, 0, genl.Attrs(tag, genl.U8(genl.ReapState, 0), genl.U32(genl.ReapEpoch, 1), genl.U8(genl.SendTimer, 2), genl.U8(genl.KeepaliveTimer, 3))},
		{genl.ReapSet, 0, genl.Attrs(tag, genl.U8(genl.ReapState, 1), genl.U32(genl.ReapEpoch, 2))},
		{genl.CfgSet, 0, genl.Attrs(genl.U8(genl.Enabled, 1), genl.String(genl.Heuristic, "default+eui64+limit"), genl.U8(genl.GSOMode, 1), genl.U32(genl.MarkMask, 0xf0))},
		{genl.CfgSet, 0, genl.Attrs(genl.String(genl.Heuristic, "none"), genl.U8(genl.TCPKick, 0), genl.U8(genl.GSOMode, 0))},
		{genl.CfgSet, 0, genl.Attrs(genl.U8(genl.RTOHint, 1), genl.Nest(genl.GSODevices,
			genl.Nest(genl.Device, genl.String(genl.DevName, "t?n*"), genl.U8(genl.DevGSOMode, genl.GSOWhole)),
			genl.Nest(genl.Device, genl.String(genl.DevName, "dummy0"), genl.U8(genl.DevGSOMode, genl.GSOAuto))))},
		{genl.CfgSet, 0, genl.Nest(genl.GSODevices)},
		{genl.DevGet, netlink.Dump, nil},
		{genl.CfgGet, 0, nil},
		{genl.StatsGet, 0, nil},
		{genl.CandGet, netlink.Dump, nil},
		{genl.HeurGet, 0, nil},
		{genl.HeurSet, 0, genl.Attrs(genl.String(genl.Heuristic, "default"), genl.Nest(genl.Param,
			genl.String(genl.ParamName, "bytes"), genl.U64(genl.ParamValue, 1)))},
	} {
		list = append(list, s.Message(r.command, netlink.Request|r.flags, r.attrs))
	}
	for _, c := range contexts() {
		list = append(list, s.Message(genl.CtxNew, netlink.Request|netlink.Acknowledge, c))
	}
	return list
}

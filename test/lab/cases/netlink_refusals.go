// SPDX-License-Identifier: MIT

package cases

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"shim6/test/lab/genl"
)

// A request that must be refused, with a certain error when want is set.
type request struct {
	name    string
	command uint8
	attrs   []byte
	want    unix.Errno
}

type requestGroup struct {
	name     string
	requests []request
}

const goodTag = 0x0123456789ab

var (
	local1 = netip.MustParseAddr("2001:db8:1::1")
	local2 = netip.MustParseAddr("2001:db8:2::1")
	peer1  = netip.MustParseAddr("2001:db8:3::1")
)

func goodContext() kernelContext {
	return newContext(pair{local1, peer1}, goodTag, 0x00aabbccddee, pair{local1, peer1}, local1, local2)
}

// another is a good context beside the first: what is wrong in a request is then only what the row changes.
func another() kernelContext {
	return newContext(pair{local2, peer1}, goodTag+1, 0x00aabbccddef, pair{local2, peer1}, local1, local2)
}

// refusals lists what the module must refuse.
func refusals() []requestGroup {
	return []requestGroup{
		{"what is missing is refused", missing()},
		{"attributes of a wrong length are refused", wrongLength()},
		{"values out of range are refused", wrongValue()},
		{"what is taken or not there is refused", wrongState()},
		{"broken nests and headers are refused", wrongShape()},
	}
}

func missing() []request {
	var list []request
	for _, kind := range []uint16{genl.ULIDLocal, genl.ULIDPeer, genl.TagLocal, genl.TagPeer, genl.Paths, genl.LocatorsLocal} {
		list = append(list, create(fmt.Sprintf("without attribute %d", kind), another().with(kind, nil)))
	}
	return append(list,
		request{"CTX_NEW of nothing", genl.CtxNew, nil, 0},
		request{"CTX_SET without a tag", genl.CtxSet, genl.U32(genl.SendTimeoutMS, 1000), 0},
		request{"CTX_DEL without a tag", genl.CtxDel, nil, 0},
		request{"CTX_GET without a tag", genl.CtxGet, nil, 0},
		request{"REAP_SET without a state", genl.ReapSet, genl.U64(genl.TagLocal, goodTag), 0},
		request{"CTX_NEW with an empty path", genl.CtxNew,
			genl.Attrs(another().with(genl.Paths, genl.Nest(genl.Paths, genl.Nest(genl.Path))).list()...), 0},
	)
}

func wrongLength() []request {
	width := map[uint16]int{
		genl.ULIDLocal: 16, genl.ULIDPeer: 16, genl.TagLocal: 8, genl.TagPeer: 8, genl.FII: 4,
		genl.SendTimeoutMS: 4, genl.KeepaliveTimeoutMS: 4, genl.KeepaliveIntervalMS: 4,
	}
	var list []request
	for kind, right := range width {
		for _, n := range []int{0, 1, right - 1, right + 1, 2 * right, 4096} {
			list = append(list, create(fmt.Sprintf("attribute %d of %d octets", kind, n), another().with(kind, genl.Raw(kind, make([]byte, n)))))
		}
	}
	for _, n := range []int{0, 15, 17} {
		short := genl.Raw(genl.Locator, bytes.Repeat([]byte{0x20}, n))
		list = append(list, create(fmt.Sprintf("locator of %d octets", n),
			another().with(genl.LocatorsLocal, genl.Nest(genl.LocatorsLocal, short))))
		half := genl.Nest(genl.Path, genl.Raw(genl.PathLocal, bytes.Repeat([]byte{0x20}, n)), genl.Addr(genl.PathPeer, peer1))
		list = append(list, create(fmt.Sprintf("path with an address of %d octets", n),
			another().with(genl.Paths, genl.Nest(genl.Paths, half))))
	}
	return list
}

func wrongValue() []request {
	list := []request{
		create("no paths", another().with(genl.Paths, genl.Nest(genl.Paths))),
		create("nine paths", another().with(genl.Paths, genl.Nest(genl.Paths, repeat(9, path(local2, peer1))...))),
		create("no locators", another().with(genl.LocatorsLocal, genl.Nest(genl.LocatorsLocal))),
		create("33 locators", another().with(genl.LocatorsLocal, genl.Nest(genl.LocatorsLocal, repeat(33, genl.Addr(genl.Locator, local2))...))),
		create("keepalive interval above its timeout",
			another().with(genl.KeepaliveTimeoutMS, genl.U32(genl.KeepaliveTimeoutMS, 1000)).
				with(genl.KeepaliveIntervalMS, genl.U32(genl.KeepaliveIntervalMS, 1001))),
		configure("enabled 2", genl.U8(genl.Enabled, 2)),
		configure("TCP kick 2", genl.U8(genl.TCPKick, 2)),
		configure("RTO hint 2", genl.U8(genl.RTOHint, 2)),
		configure("GSO mode 3", genl.U8(genl.GSOMode, 3)),
		configure("33 devices", genl.Nest(genl.GSODevices, repeat(33, gsoDevice("p1", genl.GSOWhole))...)),
		configure("device of GSO mode 3", genl.Nest(genl.GSODevices, gsoDevice("p1", 3))),
		configure("device without a name", genl.Nest(genl.GSODevices, gsoDevice("", genl.GSOWhole))),
		configure("device of a name that none can have", genl.Nest(genl.GSODevices, gsoDevice("p/1", genl.GSOWhole))),
		configure("device without a mode", genl.Nest(genl.GSODevices, genl.Nest(genl.Device, genl.String(genl.DevName, "p1")))),
		configure("device name of 16 octets", genl.Nest(genl.GSODevices, gsoDevice("0123456789abcdef", genl.GSOWhole))),
		configure("empty heuristic", genl.String(genl.Heuristic, "")),
		configure("heuristic of 16 octets", genl.String(genl.Heuristic, "0123456789abcdef")),
		configure("heuristic without an end", genl.Raw(genl.Heuristic, bytes.Repeat([]byte{'x'}, 64))),
		{"REAP state 3", genl.ReapSet, genl.Attrs(genl.U64(genl.TagLocal, goodTag), genl.U8(genl.ReapState, 3), genl.U32(genl.ReapEpoch, 1)), 0},
		{"timer operation 4", genl.ReapSet, genl.Attrs(genl.U64(genl.TagLocal, goodTag), genl.U8(genl.ReapState, 0),
			genl.U32(genl.ReapEpoch, 1), genl.U8(genl.SendTimer, 4)), 0},
	}
	for _, tag := range []uint64{0, 1 << 47, 1<<64 - 1} {
		list = append(list,
			create(fmt.Sprintf("local tag %#x", tag), another().with(genl.TagLocal, genl.U64(genl.TagLocal, tag))),
			create(fmt.Sprintf("peer tag %#x", tag), another().with(genl.TagPeer, genl.U64(genl.TagPeer, tag))))
	}
	for _, kind := range []uint16{genl.SendTimeoutMS, genl.KeepaliveTimeoutMS} {
		for _, ms := range []uint32{0, 99, 3600001, 1<<32 - 1} {
			list = append(list, create(fmt.Sprintf("attribute %d of %d ms", kind, ms), another().with(kind, genl.U32(kind, ms))))
		}
	}
	list = append(list, create("keepalive interval of 19 ms", another().with(genl.KeepaliveIntervalMS, genl.U32(genl.KeepaliveIntervalMS, 19))))
	for _, bad := range []string{"::", "::1", "ff02::1", "ff0e::1"} {
		a := netip.MustParseAddr(bad)
		list = append(list,
			create("local ULID "+bad, another().with(genl.ULIDLocal, genl.Addr(genl.ULIDLocal, a))),
			create("peer ULID "+bad, another().with(genl.ULIDPeer, genl.Addr(genl.ULIDPeer, a))),
			create("path to "+bad, another().with(genl.Paths, genl.Nest(genl.Paths, path(local2, a)))),
			create("locator "+bad, another().with(genl.LocatorsLocal, genl.Nest(genl.LocatorsLocal, genl.Addr(genl.Locator, a)))))
	}
	return list
}

func wrongState() []request {
	const unknown = 0x7fffffffffff
	return []request{
		{"the same context again", genl.CtxNew, genl.Attrs(goodContext().list()...), unix.EEXIST},
		{"another pair with the same tag", genl.CtxNew, genl.Attrs(another().with(genl.TagLocal, genl.U64(genl.TagLocal, goodTag)).list()...), unix.EEXIST},
		{"the same pair with another tag", genl.CtxNew, genl.Attrs(goodContext().with(genl.TagLocal, genl.U64(genl.TagLocal, 99)).list()...), unix.EEXIST},
		{"get an unknown tag", genl.CtxGet, genl.U64(genl.TagLocal, unknown), unix.ENOENT},
		{"set an unknown tag", genl.CtxSet, genl.Attrs(genl.U64(genl.TagLocal, unknown), genl.U32(genl.SendTimeoutMS, 1000)), unix.ENOENT},
		{"delete an unknown tag", genl.CtxDel, genl.U64(genl.TagLocal, unknown), unix.ENOENT},
		{"REAP state of an unknown tag", genl.ReapSet, genl.Attrs(genl.U64(genl.TagLocal, unknown), genl.U8(genl.ReapState, 0), genl.U32(genl.ReapEpoch, 1)), unix.ENOENT},
		{"disable while a context lives", genl.CfgSet, genl.U8(genl.Enabled, 0), unix.EBUSY},
		{"unknown heuristic", genl.CfgSet, genl.String(genl.Heuristic, "no-such"), unix.ENOENT},
		{"a command that is an event", genl.EvTrigger, nil, 0},
		{"command 0", 0, nil, 0},
		{"command 200", 200, nil, 0},
	}
}

func wrongShape() []request {
	good := genl.Attrs(another().list()...)
	list := []request{
		{"unknown attribute", genl.CtxNew, genl.Attrs(good, genl.U32(1000, 1)), 0},
		{"attribute of a reply", genl.CtxNew, genl.Attrs(good, genl.U8(genl.Enabled, 1)), 0},
		create("paths without the nested bit", another().with(genl.Paths, genl.Raw(genl.Paths, path(local2, peer1)))),
		create("something else among the paths", another().with(genl.Paths, genl.Nest(genl.Paths, genl.U32(genl.FII, 1)))),
		create("an attribute's rest in a nest", another().with(genl.Paths, genl.Nest(genl.Paths, []byte{1, 2}))),
		create("an attribute of length 3 in a nest", another().with(genl.Paths, genl.Nest(genl.Paths, []byte{3, 0, genl.Path, 0}))),
		create("an attribute longer than its nest", another().with(genl.Paths, genl.Nest(genl.Paths, []byte{200, 0, genl.Path, 0x80}))),
		{"an attribute longer than the message", genl.CtxDel, []byte{200, 0, genl.TagLocal, 0}, 0},
		{"an attribute of length 0", genl.CtxDel, []byte{0, 0, genl.TagLocal, 0}, 0},
		{"octets that are no attribute", genl.CtxDel, []byte{1, 2, 3}, 0},
	}
	// Cut short at every attribute's octet: no prefix of the request may create a context.
	for n := 4; n < len(good); n += 4 {
		if kinds := wholeAttributes(good[:n]); kinds >= 7 {
			continue // all that is needed is there
		}
		list = append(list, request{fmt.Sprintf("cut to %d octets", n), genl.CtxNew, good[:n], 0})
	}
	return list
}

// wholeAttributes counts the attributes that are complete.
func wholeAttributes(b []byte) int {
	n := 0
	for len(b) >= 4 {
		length := (int(binary.NativeEndian.Uint16(b)) + 3) &^ 3
		if length < 4 || length > len(b) {
			return n
		}
		n, b = n+1, b[length:]
	}
	return n
}

func create(name string, c kernelContext) request {
	return request{name, genl.CtxNew, genl.Attrs(c.list()...), 0}
}

func configure(name string, attr []byte) request {
	return request{name, genl.CfgSet, attr, 0}
}

func path(local, peer netip.Addr) []byte {
	return genl.Nest(genl.Path, genl.Addr(genl.PathLocal, local), genl.Addr(genl.PathPeer, peer))
}

func repeat(n int, attr []byte) [][]byte {
	list := make([][]byte, n)
	for i := range list {
		list[i] = attr
	}
	return list
}

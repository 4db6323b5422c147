// SPDX-License-Identifier: MIT

package cases

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"strings"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"shim6/test/lab/genl"
	"shim6/test/lab/node"
)

var malformedNetlink = Case{
	Name:  "malformed-netlink",
	About: "wrong attributes, lengths and values are refused, and touch no context",
	Limit: 5 * time.Minute,
	Run:   runMalformedNetlink,
}

func runMalformedNetlink(e *Env) error {
	if err := e.loadUnderTest(); err != nil {
		return err
	}
	defer e.unloadUnderTest()
	n, err := node.New("n")
	if err != nil {
		return err
	}
	defer func() { e.Works("the namespace goes away", n.Delete()) }()
	conn, err := genl.Dial(n.FD())
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.Do(genl.CfgSet, genl.U8(genl.Enabled, 1)); !e.Works("enable", err) {
		return err
	}
	if err := conn.Do(genl.CtxNew, genl.Attrs(goodContext().list()...)); !e.Works("a good context is taken", err) {
		return err
	}
	before, err := contextOctets(conn)
	if err != nil {
		return err
	}
	for _, group := range refusals() {
		var wrong []string
		for _, r := range group.requests {
			err := send(conn, r.command, r.attrs)
			if err == nil || r.want != 0 && !errors.Is(err, r.want) {
				wrong = append(wrong, fmt.Sprintf("%s: %v", r.name, err))
			}
		}
		e.Check(group.name, len(wrong) == 0, "%d requests, %s", len(group.requests), or(strings.Join(wrong, "; "), "all refused"))
	}
	err = withoutPrivilege(genl.CtxFlush)
	e.Check("a change without CAP_NET_ADMIN is refused", errors.Is(err, unix.EPERM), "%v", err)

	after, err := contextOctets(conn)
	e.Check("the context is untouched", err == nil && bytes.Equal(before, after), "%d octets before, %d after %s", len(before), len(after), errText(err))
	taken := fuzzNetlink(conn, 5000)
	e.Check("5000 random requests are survived", true, "%d were well formed by chance", taken)
	err = conn.Do(genl.CtxFlush, nil)
	e.Works("flush", err)
	left, err := conn.Dump(genl.CtxGet)
	e.Check("no context is left", err == nil && len(left) == 0, "%d %s", len(left), errText(err))
	return nil
}

// contextOctets returns the dump of all contexts, less the time that passes in it.
func contextOctets(conn *genl.Conn) ([]byte, error) {
	list, err := conn.Dump(genl.CtxGet)
	if err != nil {
		return nil, err
	}
	var all []byte
	for _, m := range list {
		ad, err := netlink.NewAttributeDecoder(m.Data)
		if err != nil {
			return nil, err
		}
		for ad.Next() {
			if ad.Type() != genl.IdleMS {
				all = append(all, genl.Raw(ad.Type(), ad.Bytes())...)
			}
		}
		if ad.Err() != nil {
			return nil, ad.Err()
		}
	}
	if len(all) == 0 {
		return nil, errors.New("no context in the dump")
	}
	return all, nil
}

// withoutPrivilege sends a request from a thread that has given up CAP_NET_ADMIN.
func withoutPrivilege(command uint8) (err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		// The thread is never unlocked, so it ends with this goroutine and nobody else runs without the capability.
		runtime.LockOSThread()
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var sets [2]unix.CapUserData
		if err = unix.Capget(&header, &sets[0]); err != nil {
			return
		}
		for i := range sets {
			sets[i].Effective, sets[i].Permitted = 0, 0
		}
		var conn *genl.Conn
		if conn, err = genl.Dial(0); err != nil {
			return
		}
		defer conn.Close()
		if err = unix.Capset(&header, &sets[0]); err != nil {
			return
		}
		err = conn.Do(command, nil)
	}()
	<-done
	return err
}

// send sends a request, with an acknowledgement asked for unless there is a reply.
func send(conn *genl.Conn, command uint8, attrs []byte) error {
	switch command {
	case genl.CtxGet, genl.CfgGet, genl.StatsGet, genl.CandGet:
		_, err := conn.Get(command, attrs)
		return err
	default:
		return conn.Do(command, attrs)
	}
}

// fuzzNetlink sends requests of random commands with damaged attributes and returns how many were taken.
func fuzzNetlink(conn *genl.Conn, count int) int {
	random := rand.New(rand.NewPCG(1, 2))
	taken := 0
	for range count {
		attrs := genl.Attrs(goodContext().list()...)
		for range 1 + random.IntN(4) {
			switch random.IntN(3) {
			case 0:
				attrs[random.IntN(len(attrs))] = byte(random.Uint32())
			case 1:
				attrs[random.IntN(len(attrs))] ^= 1 << random.IntN(8)
			case 2:
				attrs = attrs[:1+random.IntN(len(attrs))]
			}
		}
		command := uint8(1 + random.IntN(genl.CandGet+3))
		if err := conn.Do(command, attrs); err == nil {
			taken++
		}
	}
	return taken
}

// A kernelContext holds the attributes of a CTX_NEW request by type, so that each can be left out or replaced.
type kernelContext map[uint16][]byte

// order is how the attributes are sent.
var order = []uint16{
	genl.ULIDLocal, genl.ULIDPeer, genl.TagLocal, genl.TagPeer, genl.FII, genl.Paths, genl.LocatorsLocal,
	genl.SendTimeoutMS, genl.KeepaliveTimeoutMS, genl.KeepaliveIntervalMS,
}

// A pair is two locators.
type pair struct{ local, peer netip.Addr }

func newContext(ulids pair, tagLocal, tagPeer uint64, current pair, locators ...netip.Addr) kernelContext {
	var list [][]byte
	for _, l := range locators {
		list = append(list, genl.Addr(genl.Locator, l))
	}
	return kernelContext{
		genl.ULIDLocal: genl.Addr(genl.ULIDLocal, ulids.local),
		genl.ULIDPeer:  genl.Addr(genl.ULIDPeer, ulids.peer),
		genl.TagLocal:  genl.U64(genl.TagLocal, tagLocal),
		genl.TagPeer:   genl.U64(genl.TagPeer, tagPeer),
		genl.FII:       genl.U32(genl.FII, 0),
		genl.Paths: genl.Nest(genl.Paths, genl.Nest(genl.Path,
			genl.Addr(genl.PathLocal, current.local), genl.Addr(genl.PathPeer, current.peer))),
		genl.LocatorsLocal:       genl.Nest(genl.LocatorsLocal, list...),
		genl.SendTimeoutMS:       genl.U32(genl.SendTimeoutMS, 15000),
		genl.KeepaliveTimeoutMS:  genl.U32(genl.KeepaliveTimeoutMS, 15000),
		genl.KeepaliveIntervalMS: genl.U32(genl.KeepaliveIntervalMS, 5000),
	}
}

// with returns a copy in which one attribute is replaced, or gone when nil.
func (c kernelContext) with(kind uint16, attr []byte) kernelContext {
	changed := kernelContext{}
	for k, v := range c {
		changed[k] = v
	}
	changed[kind] = attr
	return changed
}

func (c kernelContext) list() [][]byte {
	var list [][]byte
	for _, kind := range order {
		list = append(list, c[kind])
	}
	return list
}

// SPDX-License-Identifier: MIT

package cases

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"shim6/test/lab/genl"
	"shim6/test/lab/node"
	"shim6/test/lab/packet"
)

// Of linux/netfilter/nfnetlink_queue.h.
const (
	queueNumber   = 5
	queueMessage  = 3 << 8
	queueVerdict  = queueMessage | 1
	queueConfig   = queueMessage | 2
	queueID       = 1 // attribute of a packet
	verdictHeader = 2
	verdictAccept = 1
)

// A heldQueue is a program that holds the packets that a rule gives it.
type heldQueue struct{ conn *netlink.Conn }

func openQueue(n *node.Node) (*heldQueue, error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: n.FD()})
	if err != nil {
		return nil, err
	}
	q := &heldQueue{conn}
	bind := genl.Raw(1, []byte{1, 0, 0, 0})         // NFQA_CFG_CMD: bind
	params := genl.Raw(2, []byte{0, 0, 0, 0, 1, 0}) // NFQA_CFG_PARAMS: no copy of the packet
	for _, attr := range [][]byte{bind, params} {
		if _, err := conn.Execute(q.message(queueConfig, netlink.Request|netlink.Acknowledge, attr)); err != nil {
			return nil, errors.Join(fmt.Errorf("queue %d: %w", queueNumber, err), conn.Close())
		}
	}
	return q, nil
}

func (q *heldQueue) message(kind netlink.HeaderType, flags netlink.HeaderFlags, attr []byte) netlink.Message {
	// struct nfgenmsg: family, version, the queue in network order.
	return netlink.Message{
		Header: netlink.Header{Type: kind, Flags: flags},
		Data:   append([]byte{unix.AF_UNSPEC, 0, 0, queueNumber}, attr...),
	}
}

// hold waits for a packet and returns its number.
func (q *heldQueue) hold() (uint32, error) {
	_ = q.conn.SetReadDeadline(time.Now().Add(2 * time.Second))
	messages, err := q.conn.Receive()
	if err != nil {
		return 0, err
	}
	for _, m := range messages {
		ad, err := netlink.NewAttributeDecoder(m.Data[4:])
		if err != nil {
			return 0, err
		}
		for ad.Next() {
			if ad.Type() == queueID {
				return binary.BigEndian.Uint32(ad.Bytes()), nil
			}
		}
	}
	return 0, errors.New("a message without a packet")
}

// release lets a packet go on.
func (q *heldQueue) release(id uint32) error {
	verdict := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, verdictAccept), id)
	_, err := q.conn.Send(q.message(queueVerdict, netlink.Request, genl.Raw(verdictHeader, verdict)))
	return err
}

// holdPackets has a program hold packets in postrouting, and their context go meanwhile.
func (p *protected) holdPackets() error {
	const rules = `flush ruleset
table ip6 lab {
	chain postrouting {
		type filter hook postrouting priority 0
		udp dport 7002 queue num 5
	}
}`
	q, err := openQueue(p.A)
	if err != nil {
		return err
	}
	defer q.conn.Close()
	if err := errors.Join(ruleset(p.B, "flush ruleset"), ruleset(p.A, rules)); err != nil {
		return err
	}
	server, err := listenAt(p.B, p.B1, openPort)
	if err != nil {
		return err
	}
	defer server.close()
	client, err := listenAt(p.A, p.A1, clientPort)
	if err != nil {
		return err
	}
	defer client.close()
	from := netip.AddrPortFrom(p.A1, clientPort)
	// The kernel drops what is held when the last context goes, and the module's hooks with it.
	stays := pair{p.A2, p.B1}
	if err := establish(p.A, newContext(stays, tagA+1, tagB+1, stays, p.A2)); err != nil {
		return err
	}
	for _, x := range []struct {
		name      string
		meanwhile func() error
		rewritten bool
	}{
		{"a packet that a program held is rewritten then", func() error { return nil }, true},
		{"and not when its context has gone", func() error { return p.a.Do(genl.CtxDel, genl.U64(genl.TagLocal, tagA)) }, false},
	} {
		if err := errors.Join(p.forget(), client.send([]byte("held"), server.addr)); err != nil {
			return err
		}
		id, err := q.hold()
		if err != nil {
			return err
		}
		early := server.take()
		if err := errors.Join(x.meanwhile(), q.release(id)); err != nil {
			return err
		}
		got := server.take()
		list1, err1 := p.link1.Take()
		list2, err2 := p.link2.Take()
		list := append(list1, list2...)
		ok := len(early) == 0 && len(got) == 1 && server.from == from && len(list) == 1 && list[0].Has(packet.Shim6) == x.rewritten
		p.e.Check(x.name, err1 == nil && err2 == nil && ok, "%d before, %q from %v, %v", len(early), got, server.from, list)
	}
	return ruleset(p.A, "flush ruleset")
}

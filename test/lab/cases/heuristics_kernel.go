// SPDX-License-Identifier: MIT

package cases

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/net/ipv6"

	"shim6/test/lab/genl"
	"shim6/test/lab/node"
)

// A use is a heuristic in use, as the kernel tells.
type use struct {
	name string
	counts
	params map[string]uint64
}

// readStack returns the heuristics in use, in their order.
func readStack(conn *genl.Conn) ([]use, error) {
	replies, err := conn.Get(genl.HeurGet, nil)
	if err != nil {
		return nil, err
	}
	if len(replies) == 0 {
		return nil, errors.New("no reply to HEUR_GET")
	}
	var stack []use
	ad, err := netlink.NewAttributeDecoder(replies[0].Data)
	if err != nil {
		return nil, err
	}
	for ad.Next() {
		if ad.Type() != genl.Stack {
			continue
		}
		ad.Nested(func(uses *netlink.AttributeDecoder) error {
			for uses.Next() {
				u := use{params: map[string]uint64{}}
				uses.Nested(u.read)
				stack = append(stack, u)
			}
			return nil
		})
	}
	return stack, ad.Err()
}

func (u *use) read(ad *netlink.AttributeDecoder) error {
	for ad.Next() {
		switch ad.Type() {
		case genl.UseName:
			u.name = ad.String()
		case genl.UseRefusals:
			u.refusals = ad.Uint64()
		case genl.UseTriggers:
			u.triggers = ad.Uint64()
		case genl.UseVetoes:
			u.vetoes = ad.Uint64()
		case genl.UseParam:
			ad.Nested(func(pd *netlink.AttributeDecoder) error {
				var name string
				for pd.Next() {
					switch pd.Type() {
					case genl.ParamName:
						name = pd.String()
					case genl.ParamValue:
						u.params[name] = pd.Uint64()
					}
				}
				return nil
			})
		}
	}
	return nil
}

// followed returns how many packets the flows that have no context have had, by peer.
func (h *heuristicsHost) followed() (map[netip.Addr]uint64, error) {
	list, err := h.conn.Dump(genl.CandGet)
	if err != nil {
		return nil, err
	}
	all := make(map[netip.Addr]uint64, len(list))
	for _, m := range list {
		ad, err := netlink.NewAttributeDecoder(m.Data)
		if err != nil {
			return nil, err
		}
		var peer netip.Addr
		var packets uint64
		for ad.Next() {
			switch ad.Type() {
			case genl.ULIDPeer:
				peer, _ = netip.AddrFromSlice(ad.Bytes())
			case genl.Packets:
				packets = ad.Uint64()
			}
		}
		if ad.Err() != nil {
			return nil, ad.Err()
		}
		all[peer] = packets
	}
	return all, nil
}

// floodUDP sends an empty datagram to each of count addresses from base on.
func floodUDP(socket *net.UDPConn, base netip.Addr, count int) error {
	const batch = 512
	conn := ipv6.NewPacketConn(socket)
	messages := make([]ipv6.Message, batch)
	to := make([]net.UDPAddr, batch)
	for i := range messages {
		to[i] = net.UDPAddr{IP: base.AsSlice(), Port: 9}
		messages[i] = ipv6.Message{Buffers: [][]byte{{}}, Addr: &to[i]}
	}
	for sent := 0; sent < count; {
		n := min(batch, count-sent)
		for i := range n {
			binary.BigEndian.PutUint32(to[i].IP[12:], uint32(sent+i+1))
		}
		n, err := conn.WriteBatch(messages[:n], 0)
		if err != nil {
			return fmt.Errorf("after %d datagrams: %w", sent, err)
		}
		sent += n
	}
	return nil
}

// sentPackets returns how many packets a device has sent.
func sentPackets(n *node.Node, device string) (uint64, error) {
	l, err := n.LinkByName(device)
	if err != nil {
		return 0, err
	}
	return l.Attrs().Statistics.TxPackets, nil
}

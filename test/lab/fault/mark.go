// SPDX-License-Identifier: MIT

package fault

import (
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"shim6/test/lab/node"
)

// A Marker can make a router say that it is congested: it sets both ECN bits of all that it forwards (RFC 3168 section 5).
type Marker struct {
	conn  *nftables.Conn
	table *nftables.Table
	name  string
}

// Mark makes a router mark.
func Mark(router *node.Node) (*Marker, error) {
	conn, err := nftables.New(nftables.WithNetNSFd(router.FD()))
	if err != nil {
		return nil, fmt.Errorf("nftables in %s: %w", router.Name, err)
	}
	m := &Marker{conn: conn, name: router.Name}
	m.table = conn.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv6, Name: "mark"})
	chain := conn.AddChain(&nftables.Chain{
		Name: "forward", Table: m.table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityMangle,
	})
	// The first two octets are version, traffic class and the start of the flow label; the ECN bits are the last of the class.
	conn.AddRule(&nftables.Rule{Table: m.table, Chain: chain, Exprs: []expr.Any{
		&expr.Payload{OperationType: expr.PayloadLoad, DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 0, Len: 2},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 2, Mask: []byte{0xff, 0xcf}, Xor: []byte{0x00, 0x30}},
		&expr.Payload{OperationType: expr.PayloadWrite, SourceRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 0, Len: 2},
	}})
	if err := conn.Flush(); err != nil {
		return nil, fmt.Errorf("mark in %s: %w", router.Name, err)
	}
	return m, nil
}

// End makes the router mark no more.
func (m *Marker) End() error {
	m.conn.DelTable(m.table)
	if err := m.conn.Flush(); err != nil {
		return fmt.Errorf("end the marks of %s: %w", m.name, err)
	}
	return nil
}

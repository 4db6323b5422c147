// SPDX-License-Identifier: MIT

package fault

import (
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// Types of control messages (RFC 5533 section 5.3).
const (
	I1            = 1
	R1            = 2
	I2            = 3
	R2            = 4
	R1bis         = 5
	I2bis         = 6
	UpdateRequest = 64
	UpdateAck     = 65
)

// Where they are in a packet whose IPv6 header is followed by Shim6's.
const (
	offsetNext    = 6
	offsetType    = 42
	protocolShim6 = 140
)

// Drop loses the control messages of these types that would be forwarded, and no others, until it is called again.
func (s *Switch) Drop(types ...uint8) error {
	s.conn.FlushChain(s.chain)
	for _, t := range types {
		s.conn.AddRule(&nftables.Rule{Table: s.chain.Table, Chain: s.chain, Exprs: []expr.Any{
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offsetNext, Len: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{protocolShim6}},
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offsetType, Len: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{t}},
			&expr.Verdict{Kind: expr.VerdictDrop},
		}})
	}
	if err := s.conn.Flush(); err != nil {
		return fmt.Errorf("drop messages %v at %s: %w", types, s.name, err)
	}
	return nil
}

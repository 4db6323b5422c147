// SPDX-License-Identifier: MIT

package fault

import (
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// CutFrom drops what came in by a device and would be forwarded, until Mend: a failure in one direction.
func (s *Switch) CutFrom(device string) error {
	name := make([]byte, 16) // IFNAMSIZ
	copy(name, device)
	s.conn.AddRule(&nftables.Rule{Table: s.chain.Table, Chain: s.chain, Exprs: []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: name},
		&expr.Verdict{Kind: expr.VerdictDrop},
	}})
	if err := s.conn.Flush(); err != nil {
		return fmt.Errorf("drop what comes from %s at %s: %w", device, s.name, err)
	}
	return nil
}

// Mend ends CutFrom and Drop.
func (s *Switch) Mend() error {
	s.conn.FlushChain(s.chain)
	if err := s.conn.Flush(); err != nil {
		return fmt.Errorf("mend %s: %w", s.name, err)
	}
	return nil
}

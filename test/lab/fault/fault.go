// SPDX-License-Identifier: MIT

// Package fault breaks a router the silent way: what it should forward vanishes, its links stay up, its neighbours still get
// answers, and nobody is told by ICMP.
package fault

import (
	"fmt"

	"github.com/google/nftables"

	"shim6/test/lab/node"
)

// A Switch can stop a router from forwarding.
type Switch struct {
	conn  *nftables.Conn
	chain *nftables.Chain
	name  string
}

// Install puts a switch into a router; it forwards until Cut.
func Install(router *node.Node) (*Switch, error) {
	conn, err := nftables.New(nftables.WithNetNSFd(router.FD()))
	if err != nil {
		return nil, fmt.Errorf("nftables in %s: %w", router.Name, err)
	}
	accept := nftables.ChainPolicyAccept
	s := &Switch{conn: conn, name: router.Name}
	table := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv6, Name: "lab"})
	s.chain = conn.AddChain(&nftables.Chain{
		Name: "forward", Table: table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter, Policy: &accept,
	})
	if err := conn.Flush(); err != nil {
		return nil, fmt.Errorf("chain in %s: %w", router.Name, err)
	}
	return s, nil
}

// Cut drops everything that would be forwarded, both ways.
func (s *Switch) Cut() error { return s.policy(nftables.ChainPolicyDrop) }

// Heal forwards again.
func (s *Switch) Heal() error { return s.policy(nftables.ChainPolicyAccept) }

func (s *Switch) policy(p nftables.ChainPolicy) error {
	s.chain.Policy = &p
	s.conn.AddChain(s.chain)
	if err := s.conn.Flush(); err != nil {
		return fmt.Errorf("set the policy of %s: %w", s.name, err)
	}
	return nil
}

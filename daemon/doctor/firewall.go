// SPDX-License-Identifier: MIT

package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// shim6Protocol is the number of Shim6 among IPv6 extension headers.
const shim6Protocol = 140

// A ruleset is what nftables has for IPv6 packets of this host.
type ruleset struct {
	chains []chain
}

// A chain is one that packets of this host come through, or that another one jumps to.
type chain struct {
	name  string // family, table and chain
	base  bool
	drops bool // by its policy
	rules [][]expr.Any
}

// firewall looks whether packet filters let protocol 140 in and out. They are read, not tried: a packet of our own would not
// come by the way of a peer's.
func (x *examination) firewall(context.Context) {
	rs, err := readRules()
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		x.say(Unknown, CodeFirewallUnknown, "run as root", "the rules of nftables cannot be read: %v", err)
		return
	case err != nil:
		x.say(Unknown, CodeFirewallUnknown, "nft list ruleset", "the rules of nftables cannot be read: %v", err)
		return
	}
	bad := rs.against()
	for _, b := range bad {
		x.say(Fail, CodeFirewallDrops, b.hint, "%s", b.text)
	}
	if len(bad) == 0 {
		x.say(OK, CodeFirewallOpen, "", "nothing in nftables is known to drop protocol 140")
	}
}

func readRules() (*ruleset, error) {
	c, err := nftables.New()
	if err != nil {
		return nil, err
	}
	rs := new(ruleset)
	for _, family := range []nftables.TableFamily{nftables.TableFamilyINet, nftables.TableFamilyIPv6} {
		chains, err := c.ListChainsOfTableFamily(family)
		if err != nil {
			return nil, err
		}
		for _, ch := range chains {
			rules, err := c.GetRules(ch.Table, ch)
			if err != nil {
				return nil, err
			}
			own := chain{name: fmt.Sprintf("%s %s %s", familyName(family), ch.Table.Name, ch.Name)}
			if ch.Hooknum != nil && ch.Type == nftables.ChainTypeFilter {
				own.base = *ch.Hooknum != *nftables.ChainHookForward
				own.drops = ch.Policy != nil && *ch.Policy == nftables.ChainPolicyDrop
			}
			for _, r := range rules {
				own.rules = append(own.rules, r.Exprs)
			}
			rs.chains = append(rs.chains, own)
		}
	}
	return rs, nil
}

func familyName(f nftables.TableFamily) string {
	if f == nftables.TableFamilyINet {
		return "inet"
	}
	return "ip6"
}

type problem struct{ text, hint string }

// against lists what works against protocol 140: rules that name it and drop, and chains that drop what no rule accepts while
// no rule accepts it.
func (rs *ruleset) against() []problem {
	var all []problem
	accepted := false // by a chain that others may jump to
	for _, c := range rs.chains {
		accepted = accepted || !c.base && c.accepts()
	}
	for _, c := range rs.chains {
		for _, r := range c.rules {
			if names(r) && verdict(r) == expr.VerdictDrop {
				all = append(all, problem{c.name + " has a rule that drops protocol 140", "delete it: nft -a list chain " + c.name})
			}
		}
		if c.base && c.drops && !c.accepts() && !(accepted && c.jumps()) {
			all = append(all, problem{c.name + " drops what no rule accepts, and none accepts protocol 140",
				"nft add rule " + c.name + " meta l4proto 140 accept"})
		}
	}
	return all
}

// accepts tells whether a rule accepts protocol 140, or everything.
func (c *chain) accepts() bool {
	return slices.ContainsFunc(c.rules, func(r []expr.Any) bool {
		return verdict(r) == expr.VerdictAccept && (names(r) || unconditional(r))
	})
}

func (c *chain) jumps() bool {
	return slices.ContainsFunc(c.rules, func(r []expr.Any) bool {
		v := verdict(r)
		return v == expr.VerdictJump || v == expr.VerdictGoto
	})
}

// unconditional tells whether a rule is about every packet: what precedes its verdict only counts.
func unconditional(r []expr.Any) bool {
	return !slices.ContainsFunc(r, func(e expr.Any) bool {
		switch e.(type) {
		case *expr.Counter, *expr.Verdict, *expr.Log:
			return false
		}
		return true
	})
}

// names tells whether a rule compares the protocol, or the first extension header, with 140.
func names(r []expr.Any) bool {
	protocol := false
	for _, e := range r {
		switch e := e.(type) {
		case *expr.Meta:
			protocol = e.Key == expr.MetaKeyL4PROTO
		case *expr.Payload:
			protocol = e.Base == expr.PayloadBaseNetworkHeader && e.Offset == 6 && e.Len == 1
		case *expr.Cmp:
			if protocol && e.Op == expr.CmpOpEq && bytes.Equal(e.Data, []byte{shim6Protocol}) {
				return true
			}
		}
	}
	return false
}

// verdict is what a rule says at its end; continue where it says nothing.
func verdict(r []expr.Any) expr.VerdictKind {
	for _, e := range r {
		switch e := e.(type) {
		case *expr.Verdict:
			return e.Kind
		case *expr.Reject:
			return expr.VerdictDrop
		}
	}
	return expr.VerdictContinue
}

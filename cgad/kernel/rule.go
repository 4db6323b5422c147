// SPDX-License-Identifier: MIT

package kernel

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"shim6/cgad/autoconf"
	"shim6/cgad/ra"
	"shim6/internal/rtnl"
)

// findSource makes a rule with a source prefix match a packet that has no source yet if the source that would be selected
// on the way through the rule's table has the prefix (FIB_RULE_FIND_SADDR). It does for Linux what RFC 6724 section 5 rule
// 5.5 asks for, and so an application that does not bind gets a source and a router that belong together.
const findSource = 0x00010000

const (
	mainPriority  = 32766 // of the kernel's rule for the main table
	firstPriority = mainPriority - 4
)

// Positions of rules.
const (
	positionMain = iota
	positionHigh
	positionMedium
	positionLow
)

// priorities finds priorities before the main table and, as far as there is room, after the rules of others: what the
// administrator or a VPN wants comes first. Of rules with the same priority the kernel takes the older one first.
func priorities() ([4]int, error) {
	var p [4]int
	list, err := allRules()
	if err != nil {
		return p, err
	}
	last := 0
	for _, r := range list {
		if r.Protocol != Protocol && r.Priority < mainPriority {
			last = max(last, r.Priority)
		}
	}
	for i := range p {
		p[i] = max(firstPriority+i, last)
	}
	return p, nil
}

func (k *Kernel) rulePriority(r autoconf.Rule) int {
	switch {
	case !r.Prefix.IsValid():
		return k.priority[positionMain]
	case r.Preference == ra.High:
		return k.priority[positionHigh]
	case r.Preference == ra.Low:
		return k.priority[positionLow]
	}
	return k.priority[positionMedium]
}

// request encodes a rule. The netlink package knows no flags of rules.
func (k *Kernel) request(r autoconf.Rule, kind, flags int) *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(kind, flags|unix.NLM_F_ACK)
	// The message has the layout of struct fib_rule_hdr; its type is the action.
	msg := &nl.RtMsg{RtMsg: unix.RtMsg{Family: unix.AF_INET6, Type: nl.FR_ACT_TO_TBL}}
	u32 := func(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }
	var attrs []*nl.RtAttr
	if r.Prefix.IsValid() {
		msg.Src_len = uint8(r.Prefix.Bits())
		msg.Flags = findSource
		attrs = append(attrs, nl.NewRtAttr(nl.FRA_SRC, r.Prefix.Addr().AsSlice()), nl.NewRtAttr(nl.FRA_TABLE, u32(r.Table)))
	} else {
		msg.Table = unix.RT_TABLE_MAIN
		attrs = append(attrs, nl.NewRtAttr(nl.FRA_TABLE, u32(unix.RT_TABLE_MAIN)), nl.NewRtAttr(nl.FRA_SUPPRESS_PREFIXLEN, u32(0)))
	}
	attrs = append(attrs, nl.NewRtAttr(nl.FRA_PRIORITY, u32(uint32(k.rulePriority(r)))), nl.NewRtAttr(nl.FRA_PROTOCOL, nl.Uint8Attr(Protocol)))
	req.AddData(msg)
	for _, a := range attrs {
		req.AddData(a)
	}
	return req
}

func (k *Kernel) addRule(r autoconf.Rule) error {
	_, err := k.request(r, unix.RTM_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_EXCL).Execute(unix.NETLINK_ROUTE, 0)
	if err := unless(err, unix.EEXIST); err != nil {
		return fmt.Errorf("add rule from %v: %w", r.Prefix, err)
	}
	return nil
}

func (k *Kernel) deleteRule(r autoconf.Rule) error {
	if ours, err := k.hasRule(r); err != nil || !ours {
		return err
	}
	_, err := k.request(r, unix.RTM_DELRULE, 0).Execute(unix.NETLINK_ROUTE, 0)
	if err := unless(err, unix.ENOENT); err != nil {
		return fmt.Errorf("delete rule from %v: %w", r.Prefix, err)
	}
	return nil
}

// hasRule reports whether the rule is there with our protocol number: the kernel does not look at that when it deletes.
func (k *Kernel) hasRule(r autoconf.Rule) (bool, error) {
	list, err := listRules()
	if err != nil {
		return false, err
	}
	for i := range list {
		if k.isRule(&list[i], r) {
			return true, nil
		}
	}
	return false, nil
}

func (k *Kernel) isRule(there *netlink.Rule, r autoconf.Rule) bool {
	if there.Priority != k.rulePriority(r) {
		return false
	}
	if !r.Prefix.IsValid() {
		return there.Src == nil && there.Table == unix.RT_TABLE_MAIN
	}
	if there.Src == nil || there.Table != int(r.Table) {
		return false
	}
	addr, _ := netip.AddrFromSlice(there.Src.IP)
	bits, _ := there.Src.Mask.Size()
	return netip.PrefixFrom(addr, bits) == r.Prefix
}

func allRules() (list []netlink.Rule, err error) {
	list, err = rtnl.Complete(func() ([]netlink.Rule, error) { return netlink.RuleList(netlink.FAMILY_V6) })
	if err != nil {
		return nil, fmt.Errorf("list rules: %w", err)
	}
	return list, nil
}

// listRules gives the rules with our protocol number.
func listRules() ([]netlink.Rule, error) {
	list, err := allRules()
	if err != nil {
		return nil, err
	}
	var ours []netlink.Rule
	for _, r := range list {
		if r.Protocol == Protocol {
			ours = append(ours, r)
		}
	}
	return ours, nil
}

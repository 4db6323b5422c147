// SPDX-License-Identifier: MIT

package doctor

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"

	"shim6/internal/nstest"
	"shim6/internal/rtnl"
)

func TestMain(m *testing.M) { os.Exit(nstest.Main(m)) }

// codes are those of a check.
func codes(list []Finding, check string) string {
	var all []string
	for _, f := range list {
		if f.Check == check {
			all = append(all, f.Result+" "+f.Code)
		}
	}
	return strings.Join(all, ", ")
}

// link makes one end of a pair of interfaces with an address, and a default route for that address alone where via is given.
func link(t *testing.T, name, addr string, table int) {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(os.WriteFile("/proc/sys/net/ipv6/conf/default/accept_dad", []byte("0"), 0))
	v := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name, MTU: 1500}, PeerName: name + "x"}
	check(netlink.LinkAdd(v))
	t.Cleanup(func() { _ = netlink.LinkDel(v) })
	for _, n := range []string{name, name + "x"} {
		l, err := netlink.LinkByName(n)
		check(err)
		check(netlink.LinkSetUp(l))
	}
	a, err := netlink.ParseAddr(addr + "/64")
	check(err)
	l, err := netlink.LinkByName(name)
	check(err)
	check(netlink.AddrAdd(l, a))
	usable := func(x rtnl.Address) bool {
		return x.Link == name && x.Prefix.Addr().String() == addr && x.MayBeSource() && x.Carrier
	}
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		list, err := rtnl.List()
		check(err)
		if slices.ContainsFunc(list, usable) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is not usable: %+v", addr, list)
		}
	}
	_, all, _ := net.ParseCIDR("::/0")
	if table != 0 {
		check(netlink.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Dst: all, Table: table, Gw: net.ParseIP("fe80::1")}))
		r := netlink.NewRule()
		r.Family, r.Table, r.Src = netlink.FAMILY_V6, table, &net.IPNet{IP: a.IP, Mask: net.CIDRMask(128, 128)}
		check(netlink.RuleAdd(r))
		t.Cleanup(func() { _ = netlink.RuleDel(r) })
	}
}

func examine(t *testing.T, config string) []Finding {
	t.Helper()
	file := filepath.Join(t.TempDir(), "shim6.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	list := Examine(t.Context(), Host{Config: file, Socket: filepath.Join(t.TempDir(), "none"), Proc: "/proc"})
	for _, f := range list {
		if f.Text == "" || strings.Contains(f.Text, "%!") || !slices.Contains(Codes(), f.Code) || f.Result == Fail && f.Hint == "" && f.Code != CodeKeysBad {
			t.Errorf("finding %+v", f)
		}
	}
	return list
}

func TestHostWithTwoProviders(t *testing.T) {
	link(t, "w0", "2001:db8:a1::1", 101)
	link(t, "w1", "2001:db8:a2::1", 102)
	list := examine(t, "send_timeout: 15s")
	for check, want := range map[string]string{
		"kernel module": "fail module-missing", "daemon": "fail daemon-down", "configuration": "ok configuration-good",
		"sysctls": "ok sysctls-good", "addresses": "ok providers", "rules": "ok source-routing", "mtu": "ok mtu-good",
	} {
		if got := codes(list, check); got != want {
			t.Errorf("%s: %s, want %s", check, got, want)
		}
	}
}

func TestHostWithEverythingWrong(t *testing.T) {
	if got := codes(examine(t, ""), "addresses"); got != "fail no-address" {
		t.Errorf("without an address: %s", got)
	}
	link(t, "w0", "2001:db8:a1::1", 101)
	if got := codes(examine(t, ""), "addresses"); got != "warn one-provider" {
		t.Errorf("with one provider: %s", got)
	}
	link(t, "w1", "2001:db8:a2::1", 0)
	for key, v := range map[string]string{"w0/use_tempaddr": "2", "w1/forwarding": "1", "w1/accept_ra": "1"} {
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+key, []byte(v), 0); err != nil {
			t.Fatal(err)
		}
	}
	l, err := netlink.LinkByName("w0")
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetMTU(l, 1280); err != nil {
		t.Fatal(err)
	}
	list := examine(t, "send_timeout: 1s\nkeys: /nonesuch")
	for check, want := range map[string]string{
		"configuration": "warn configuration-unwise", "keys": "warn keys-none",
		"sysctls": "warn temporary-addresses, warn forwarding-ignores-ra", "rules": "warn source-routing-broken", "mtu": "warn mtu-small",
	} {
		if got := codes(list, check); got != want {
			t.Errorf("%s: %s, want %s", check, got, want)
		}
	}
	if got := codes(examine(t, "interfaces: [w0]"), "addresses"); got != "warn one-provider" {
		t.Errorf("with one interface: %s", got)
	}
	if got := codes(examine(t, "socet: /x\nx: 1"), "configuration"); got != "fail configuration-bad, fail configuration-bad" {
		t.Errorf("with a bad configuration: %s", got)
	}
}

func TestKeys(t *testing.T) {
	dir := t.TempDir()
	if got := codes(examine(t, "keys: "+dir), "keys"); got != "warn keys-none" {
		t.Errorf("without keys: %s", got)
	}
	key := filepath.Join(dir, "k.pem")
	if err := os.WriteFile(key, []byte("no key"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := codes(examine(t, "keys: "+dir), "keys"); !strings.HasPrefix(got, "fail key-permissions") {
		t.Errorf("with a key for all: %s", got)
	}
	if err := os.Chmod(key, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := codes(examine(t, "keys: "+dir), "keys"); got != "fail keys-bad" {
		t.Errorf("with a key that is none: %s", got)
	}
}

// The rules are the kernel's, as nft would make them.
func TestFirewall(t *testing.T) {
	proto := []expr.Any{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{140}}}
	header := []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 6, Len: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{140}},
	}
	tcp := []expr.Any{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{6}}}
	accept, drop := &expr.Verdict{Kind: expr.VerdictAccept}, &expr.Verdict{Kind: expr.VerdictDrop}
	with := func(match []expr.Any, more ...expr.Any) []expr.Any { return append(slices.Clone(match), more...) }
	for name, tc := range map[string]struct {
		family nftables.TableFamily
		hook   *nftables.ChainHook
		policy nftables.ChainPolicy
		rules  [][]expr.Any
		bad    bool
	}{
		"nothing":                  {nftables.TableFamilyINet, nftables.ChainHookInput, nftables.ChainPolicyAccept, nil, false},
		"drops all":                {nftables.TableFamilyINet, nftables.ChainHookInput, nftables.ChainPolicyDrop, nil, true},
		"drops what goes out":      {nftables.TableFamilyIPv6, nftables.ChainHookOutput, nftables.ChainPolicyDrop, nil, true},
		"drops but TCP":            {nftables.TableFamilyIPv6, nftables.ChainHookInput, nftables.ChainPolicyDrop, [][]expr.Any{with(tcp, accept)}, true},
		"drops but 140":            {nftables.TableFamilyINet, nftables.ChainHookInput, nftables.ChainPolicyDrop, [][]expr.Any{with(tcp, accept), with(proto, &expr.Counter{}, accept)}, false},
		"drops but next header":    {nftables.TableFamilyIPv6, nftables.ChainHookInput, nftables.ChainPolicyDrop, [][]expr.Any{with(header, accept)}, false},
		"accepts all in the end":   {nftables.TableFamilyIPv6, nftables.ChainHookInput, nftables.ChainPolicyDrop, [][]expr.Any{{&expr.Counter{}, accept}}, false},
		"drops 140":                {nftables.TableFamilyINet, nftables.ChainHookInput, nftables.ChainPolicyAccept, [][]expr.Any{with(proto, drop)}, true},
		"drops what is for others": {nftables.TableFamilyINet, nftables.ChainHookForward, nftables.ChainPolicyDrop, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := nftables.New()
			if err != nil {
				t.Fatal(err)
			}
			table := c.AddTable(&nftables.Table{Family: tc.family, Name: "t"})
			ch := c.AddChain(&nftables.Chain{Table: table, Name: "c", Type: nftables.ChainTypeFilter, Hooknum: tc.hook, Priority: nftables.ChainPriorityFilter, Policy: &tc.policy})
			for _, r := range tc.rules {
				c.AddRule(&nftables.Rule{Table: table, Chain: ch, Exprs: r})
			}
			if err := c.Flush(); err != nil {
				t.Fatalf("nf_tables is needed: %v", err)
			}
			defer func() {
				c.DelTable(table)
				if err := c.Flush(); err != nil {
					t.Error(err)
				}
			}()
			want := "ok firewall-open"
			if tc.bad {
				want = "fail firewall-drops-140"
			}
			if got := codes(examine(t, ""), "firewall"); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		})
	}
}

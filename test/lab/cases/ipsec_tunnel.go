// SPDX-License-Identifier: MIT

package cases

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"shim6/test/lab/kmsg"
	"shim6/test/lab/node"
	"shim6/test/lab/topo"
)

// Networks behind the hosts, for tunnels.
var (
	insideA = netip.MustParseAddr("fd00:a::1")
	insideB = netip.MustParseAddr("fd00:b::1")
)

// carryInside has flows talk between networks behind the hosts, which ESP carries between the ULIDs in a mode that has addresses
// of its own.
func (p *protected) carryInside(mode string, port uint16) error {
	for _, x := range []struct {
		n    *node.Node
		addr netip.Addr
	}{{p.A, insideA}, {p.B, insideB}} {
		lo, err := x.n.LinkByName("lo")
		if err != nil {
			return err
		}
		if err := x.n.AddrReplace(lo, &netlink.Addr{IPNet: netlink.NewIPNet(x.addr.AsSlice()), Flags: unix.IFA_F_NODAD}); err != nil {
			return err
		}
	}
	if err := p.esp(mode, p.plain(), [2]string{insideA.String() + "/128", insideB.String() + "/128"}); err != nil {
		return err
	}
	defer p.noESP()
	flows, err := p.espFlows(insideA, insideB, port)
	if err != nil {
		return err
	}
	err = say(flows, 5000)
	hangUp(flows)
	return err
}

// protectTunnel has ESP in a mode that has addresses of its own between the ULIDs. Its packets are the hosts' own.
func (p *protected) protectTunnel(mode, how string, port uint16, rewritten bool) error {
	if err := errors.Join(p.use(p.other()), p.forget()); err != nil {
		return err
	}
	err := p.carryInside(mode, port)
	chain := "[50]"
	if rewritten {
		chain = "[140 50]"
	}
	chains := []string{chain, strings.Replace(chain, "50", "44 50", 1)}
	if mode == "beet" {
		// What does not fit the link is not left to the device's queue: it is encrypted at once, rewritten and cut up.
		chains = append(chains, "[140 44 50]")
	}
	seen, trouble, takeErr := p.clear(chains...)
	p.e.Check(fmt.Sprintf("ESP %s in mode %s carries all flows", how, mode), err == nil, "%s", errText(err))
	p.e.Check(fmt.Sprintf("and its packets are rewritten: %v", rewritten), takeErr == nil && trouble == "" && seen > 20, "%d packets %s%s", seen, trouble, errText(takeErr))
	return nil
}

// A fate is what becomes of large packets that ESP in BEET mode has left to the device's queue. Linux sets no inner transport
// header in them (xfrm6_beet_encap_add), where it looks for TCP's when they come to that queue (qdisc_pkt_len_init): some
// versions drop them all, and complain when they were built to check themselves. TCP then sends smaller ones.
type fate struct {
	dropped    bool     // by the hosts' devices
	complaints []string // of the kernel: where it stands in its source
}

func (f fate) String() string {
	return fmt.Sprintf("dropped: %v, complaints at: %q", f.dropped, f.complaints)
}

// warned is where a warning comes from.
var warned = regexp.MustCompile(`WARNING: .* at (\S+ \w+)`)

// fateIn finds it while f runs.
func (p *protected) fateIn(f func() error) (fate, error) {
	before, err := p.drops()
	if err != nil {
		return fate{}, err
	}
	complaints, err := kmsg.Aside(f)
	if err != nil {
		return fate{}, err
	}
	after, err := p.drops()
	found := fate{dropped: after > before}
	for _, c := range complaints {
		switch m := warned.FindStringSubmatch(c); {
		case m != nil:
			found.complaints = append(found.complaints, m[1])
		case !strings.Contains(c, "Call Trace"):
			found.complaints = append(found.complaints, c)
		}
	}
	return found, err
}

// drops counts what the devices that lead to provider 1 have refused.
func (p *protected) drops() (uint64, error) {
	a, err1 := p.A.LinkByName("p1")
	b, err2 := p.B.LinkByName("p1")
	if err := errors.Join(err1, err2); err != nil {
		return 0, err
	}
	return a.Attrs().Statistics.TxDropped + b.Attrs().Statistics.TxDropped, nil
}

// beetAlone tells how flows fare in ESP in BEET mode with esp6_offload without our module.
func (e *Env) beetAlone() (found fate, err error) {
	network, err := topo.Build(topo.Plain(), e.RTT)
	if err != nil {
		return fate{}, err
	}
	p := &protected{Network: network, e: e}
	defer func() { err = errors.Join(err, network.Delete()) }()
	if err := p.offload(1); err != nil {
		return fate{}, err
	}
	found, err = p.fateIn(func() error {
		e.Works("without our module, ESP with esp6_offload in mode beet carries all flows", p.carryInside("beet", 4800))
		return nil
	})
	e.Say("its large packets alone: %v", found)
	return found, err
}

// beetLikeAlone checks that flows fare no worse with the module.
func (p *protected) beetLikeAlone(alone fate) error {
	found, err := p.fateIn(func() error {
		// BEET counts as a tunnel.
		return p.protectTunnel("beet", "with esp6_offload", 4800, false)
	})
	if err != nil {
		return err
	}
	p.e.Check("and its large packets fare as without our module", found.dropped == alone.dropped, "%v", found)
	p.e.kernelCheck("and the kernel complains of nothing but what it complained of then", slices.Equal(found.complaints, alone.complaints), found.String())
	return nil
}

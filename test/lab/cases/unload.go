// SPDX-License-Identifier: MIT

package cases

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"shim6/test/lab/genl"
	"shim6/test/lab/module"
	"shim6/test/lab/node"
	"shim6/test/lab/topo"
	"shim6/test/lab/traffic"
)

var unload = Case{
	Name:  "unload",
	About: "namespaces with live contexts vanish and the module unloads, under traffic",
	CPUs:  2,
	Limit: 5 * time.Minute,
	Run:   runUnload,
}

const (
	tagA = 0x00000a0a0a0a
	tagB = 0x00000b0b0b0b

	received = "/tmp/received"
)

func runUnload(e *Env) error {
	source := "/tmp/source"
	if err := traffic.Fill(source, 40<<20, 1); err != nil {
		return err
	}
	if err := keepHooksCompiled(); err != nil {
		return err
	}
	e.Say("the hosts' namespaces are deleted")
	if err := e.deleteUnderTraffic(source); err != nil {
		return err
	}
	e.Say("flush and unload under traffic")
	if err := e.flushUnderTraffic(source); err != nil {
		return err
	}
	return e.again(5, nil)
}

// keepHooksCompiled hooks the guest's own namespace for as long as the case runs. The first hook in the system and the last one patch
// the kernel's code; emulated processors that execute it meanwhile can still see the breakpoint when it is gone, and die of it.
func keepHooksCompiled() error {
	conn, err := nftables.New()
	if err != nil {
		return fmt.Errorf("nftables: %w", err)
	}
	table := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv6, Name: "stays"})
	for name, hook := range map[string]*nftables.ChainHook{"in": nftables.ChainHookPrerouting, "out": nftables.ChainHookOutput} {
		conn.AddChain(&nftables.Chain{
			Name: name, Table: table, Type: nftables.ChainTypeFilter, Hooknum: hook, Priority: nftables.ChainPriorityFilter,
		})
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("chains of the guest: %w", err)
	}
	return nil
}

// deleteUnderTraffic ends the namespaces while the module rewrites packets in them.
func (e *Env) deleteUnderTraffic(source string) error {
	t, net, err := e.rewritten(source)
	if err != nil {
		return err
	}
	err = module.Unload("shim6")
	e.Check("the module stays while contexts live", errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EBUSY), "%s", errText(err))
	// The programs are what keeps the namespaces once their names are gone; packets are still under way when they die.
	if err := net.Delete(); err != nil {
		return err
	}
	t.Kill()
	e.unloadUnderTest()
	return nil
}

// flushUnderTraffic drops the contexts and unloads while a transfer runs. The ULIDs being locators, it goes on.
func (e *Env) flushUnderTraffic(source string) error {
	t, net, err := e.rewritten(source)
	if err != nil {
		return err
	}
	defer func() { e.Works("the network goes away", net.Delete()) }()
	for _, n := range []*node.Node{net.A, net.B} {
		conn, err := genl.Dial(n.FD())
		if err != nil {
			return err
		}
		err = conn.Do(genl.CtxFlush, nil)
		conn.Close()
		e.Works("flush "+n.Name, err)
	}
	e.unloadUnderTest()
	e.Check("the transfer still runs", !t.Over(), "%v", !t.Over())
	err = t.Wait(2 * time.Minute)
	e.Works("the transfer ends well without the module", err)
	size, same, err := traffic.Compare(source, received)
	e.Check("what arrived is what was sent", err == nil && same, "%d octets %s", size, errText(err))
	return nil
}

// rewritten starts a transfer whose packets leave by provider 2 with a Payload Extension Header, by contexts that the case
// makes itself.
func (e *Env) rewritten(source string) (*traffic.Running, *topo.Network, error) {
	if err := e.loadUnderTest(); err != nil {
		return nil, nil, err
	}
	net, err := topo.Build(topo.Plain(), e.RTT)
	if err != nil {
		return nil, nil, err
	}
	// The connections of a killed program live on, and their namespace with them, until they have given up sending.
	for _, n := range []*node.Node{net.A, net.B} {
		if err := n.Sysctl("net/ipv4/tcp_orphan_retries", "1"); err != nil {
			return nil, nil, err
		}
	}
	a := newContext(pair{net.A1, net.B1}, tagA, tagB, pair{net.A2, net.B1}, net.A1, net.A2)
	b := newContext(pair{net.B1, net.A1}, tagB, tagA, pair{net.B1, net.A2}, net.B1)
	if err := errors.Join(establish(net.A, a), establish(net.B, b)); err != nil {
		return nil, nil, err
	}
	t, err := traffic.Transfer{
		From: net.A, To: net.B, Src: net.A1, Dst: net.B1, Source: source, Sink: received,
		Pace: traffic.Pace{RateMbit: 40, Block: 16384}, Log: e.Path("iperf3-"),
	}.Start()
	if err != nil {
		return nil, nil, err
	}
	const want = 1000
	crossed := uint64(0)
	for start := time.Now(); crossed < want && time.Since(start) < 10*time.Second; time.Sleep(100 * time.Millisecond) {
		link, err := net.R2.LinkByName("cust")
		if err != nil {
			return nil, nil, err
		}
		crossed = link.Attrs().Statistics.RxPackets
	}
	e.Check("packets are rewritten to provider 2", crossed >= want, "%d packets from a", crossed)
	return t, net, nil
}

// establish hooks a node and makes a context in it.
func establish(n *node.Node, c kernelContext) error {
	conn, err := genl.Dial(n.FD())
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.Do(genl.CfgSet, genl.U8(genl.Enabled, 1)); err != nil {
		return fmt.Errorf("enable %s: %w", n.Name, err)
	}
	if err := conn.Do(genl.CtxNew, genl.Attrs(c.list()...)); err != nil {
		return fmt.Errorf("context in %s: %w", n.Name, err)
	}
	return nil
}

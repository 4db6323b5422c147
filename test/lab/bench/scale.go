// SPDX-License-Identifier: MIT

package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"time"

	"shim6/test/lab/genl"
	"shim6/test/lab/node"
	"shim6/test/lab/report"
)

const (
	manyContexts   = 100000
	memoryContexts = 10000 // of the many, those whose memory is looked at
	limitPath      = "/sys/module/shim6/parameters/max_contexts"
)

// Scale measures what it costs that a host has many contexts, and what memory these take.
func Scale(g *Guest) (costs []report.Cost, memory report.Memory, err error) {
	one, err := newBench(load{name: "udp64-scale"}, technique{name: "1-context", rewrite: true}, 101)
	if err != nil {
		return nil, memory, err
	}
	many, err := newBench(load{name: "udp64-scale"}, technique{name: fmt.Sprintf("%d-contexts", manyContexts), rewrite: true}, 102)
	if err != nil {
		return nil, memory, err
	}
	if err := g.Load(); err != nil {
		return nil, memory, err
	}
	if err := os.WriteFile(limitPath, []byte(strconv.Itoa(2*manyContexts)), 0); err != nil {
		return nil, memory, err
	}
	for _, b := range []*bench{one, many} {
		if err := b.net.establish(true); err != nil {
			return nil, memory, err
		}
	}
	if memory, err = many.net.fill(g); err != nil {
		return nil, memory, err
	}
	for range repetitions {
		for _, b := range []*bench{one, many} {
			if err := b.measure(); err != nil {
				return nil, memory, fmt.Errorf("%s: %w", b.technique.name, err)
			}
		}
	}
	g.Say("the contexts go")
	for _, b := range []*bench{one, many} {
		costs = append(costs, b.cost)
		err = errors.Join(err, b.flow.close(), b.net.release(), b.net.delete())
	}
	return costs, memory, errors.Join(err, g.Unload())
}

// fill gives both hosts contexts with peers that do not exist.
func (n *network) fill(g *Guest) (report.Memory, error) {
	m := report.Memory{Contexts: memoryContexts}
	// What the boot and the networks have left to be freed is freed then.
	settle()
	before, err := meminfo()
	if err != nil {
		return m, err
	}
	start, err := now()
	if err != nil {
		return m, err
	}
	if err := strangers(n.a, n.ulidA, n.otherA, 0, memoryContexts); err != nil {
		return m, err
	}
	end, err := now()
	if err != nil {
		return m, err
	}
	m.Instructions = end - start
	// The hash tables' growing is done by others.
	time.Sleep(time.Second)
	after, err := meminfo()
	if err != nil {
		return m, err
	}
	m.Slab, m.PerCPU = after["Slab"]-before["Slab"], after["Percpu"]-before["Percpu"]
	m.Free = before["MemFree"] - after["MemFree"]
	if m.State, err = objectSize("xfrm_state"); err != nil {
		return m, err
	}
	if m.CPUs, err = possibleCPUs(); err != nil {
		return m, err
	}
	g.Say("%d contexts made, %d instructions for each", memoryContexts, m.Instructions/memoryContexts)
	err = errors.Join(
		strangers(n.a, n.ulidA, n.otherA, memoryContexts, manyContexts-1),
		strangers(n.b, n.ulidB, n.otherB, 0, manyContexts-1),
	)
	g.Say("%d contexts made on each host", manyContexts)
	return m, err
}

// strangers makes contexts with numbers from first to before last. All are rewriting, and all have two locators on each side.
func strangers(n *node.Node, ulid, other netip.Addr, first, last int) error {
	conn, err := genl.Dial(n.FD())
	if err != nil {
		return err
	}
	defer conn.Close()
	const step = 1000
	list := make([][]byte, 0, step)
	for i := first; i < last; i += step {
		list = list[:0]
		for k := i; k < min(i+step, last); k++ {
			c := context{ulid, stranger(0xd1, k), uint64(k + 1000), uint64(k + 1000), other, stranger(0xd2, k), []netip.Addr{ulid, other}}
			list = append(list, c.attrs())
		}
		if err := conn.Many(n.FD(), genl.CtxNew, list); err != nil {
			return fmt.Errorf("%s: contexts %d to %d: %w", n.Name, i, i+step, err)
		}
	}
	return nil
}

// stranger returns an address that nobody has.
func stranger(prefix byte, number int) netip.Addr {
	octets := netip.MustParseAddr("2001:db8::").As16()
	octets[5] = prefix
	binary.BigEndian.PutUint32(octets[12:], uint32(number))
	return netip.AddrFrom16(octets)
}

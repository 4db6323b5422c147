// SPDX-License-Identifier: MIT

package cases

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"shim6/test/lab/genl"
	"shim6/test/lab/node"
	"shim6/test/lab/slab"
	"shim6/test/lab/topo"
)

// again loads the modules, has packets rewritten, and takes namespaces and modules away while more are sent, so often. Every
// other time the contexts and the modules go first. The module itself complains when it frees less than it has made.
func (e *Env) again(rounds int) error {
	const settled = 20 // rounds after which everything that the kernel allocates once is there
	var before int64
	var moved uint64
	start := time.Now()
	for round := range rounds {
		if round == settled {
			var err error
			if before, err = slabAtRest(); err != nil {
				return err
			}
		}
		n, err := e.onceAgain(round%2 == 0)
		if err != nil {
			return fmt.Errorf("round %d: %w", round, err)
		}
		if n == 0 {
			return fmt.Errorf("round %d: nothing was rewritten", round)
		}
		moved += n
		if (round+1)%20 == 0 {
			e.Say("%d rounds", round+1)
		}
	}
	e.Check(fmt.Sprintf("%d times namespaces and modules go under traffic", rounds), true, "%d packets were rewritten, %v a round", moved,
		(time.Since(start) / time.Duration(rounds)).Round(time.Millisecond))
	after, err := slabAtRest()
	// One context and its states that stay each round would be more.
	const context = 2048
	grown := after - before
	e.Check("and the slabs are as they were", err == nil && grown < int64(rounds-settled)*context, "grown by %d KiB in %d rounds %s", grown>>10, rounds-settled, errText(err))
	return nil
}

// slabAtRest waits until the slabs do not shrink any more: namespaces end in the background.
func slabAtRest() (int64, error) {
	least, err := slab.Unreclaimable()
	for quiet := 0; quiet < 5 && err == nil; quiet++ {
		time.Sleep(100 * time.Millisecond)
		var now int64
		if now, err = slab.Unreclaimable(); now < least {
			least, quiet = now, 0
		}
	}
	return least, err
}

// onceAgain returns how many packets a host has rewritten before everything went.
func (e *Env) onceAgain(namespacesFirst bool) (uint64, error) {
	for _, name := range []string{mainModule, "shim6_heur_default"} {
		if err := loadOne(name); err != nil {
			return 0, err
		}
	}
	d, err := topo.BuildTwo()
	if err != nil {
		return 0, err
	}
	a1, b1 := d.Link(1)
	a2, b2 := d.Link(2)
	ab, ba := pair{a1, b1}, pair{b1, a1}
	err = errors.Join(
		establish(d.A, newContext(ab, tagA, tagB, pair{a2, b2}, a1, a2)), establish(d.B, newContext(ba, tagB, tagA, pair{b2, a2}, b1, b2)))
	if err != nil {
		return 0, err
	}
	conn, err := genl.Dial(d.A.FD())
	if err != nil {
		return 0, err
	}
	if err := conn.Do(genl.CfgSet, genl.String(genl.Heuristic, "default")); err != nil {
		return 0, err
	}
	stop := new(chatter)
	err = errors.Join(stop.start(d.A, a1, b1), stop.start(d.B, b1, a1))
	const enough = 50
	rewritten := uint64(0)
	for start := time.Now(); err == nil && rewritten < enough && time.Since(start) < 5*time.Second; time.Sleep(2 * time.Millisecond) {
		rewritten, err = stat(conn, statTxRewritten)
	}
	if err != nil {
		return 0, err
	}
	unloadBoth := func() error {
		return errors.Join(unloadSoon("shim6_heur_default"), unloadSoon(mainModule))
	}
	if namespacesFirst {
		conn.Close()
		err = d.Delete()
		stop.end()
		return rewritten, errors.Join(err, unloadBoth())
	}
	err = conn.Do(genl.CfgSet, genl.String(genl.Heuristic, "none"))
	other, dialErr := genl.Dial(d.B.FD())
	if dialErr == nil {
		err = errors.Join(err, conn.Do(genl.CtxFlush, nil), other.Do(genl.CtxFlush, nil))
		other.Close()
	}
	conn.Close()
	err = errors.Join(err, dialErr, unloadBoth())
	stop.end()
	return rewritten, errors.Join(err, d.Delete())
}

// A chatter sends datagrams to the peer, and to addresses that nobody has, until its end.
type chatter struct {
	over    atomic.Bool
	sockets []*net.UDPConn
	senders sync.WaitGroup
}

func (c *chatter) start(n *node.Node, from, to netip.Addr) error {
	return n.Do(func() error {
		s, err := net.ListenUDP("udp6", net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 4000)))
		if err != nil {
			return err
		}
		c.sockets = append(c.sockets, s)
		c.senders.Go(func() { c.talk(s, to) })
		return nil
	})
}

func (c *chatter) talk(s *net.UDPConn, to netip.Addr) {
	const burst = 20
	stranger := to.As16()
	for !c.over.Load() {
		for range burst {
			// Errors are the point: everything under the socket goes away.
			_, _ = s.WriteToUDPAddrPort(make([]byte, 200), netip.AddrPortFrom(to, 4000))
		}
		stranger[14]++
		_, _ = s.WriteToUDPAddrPort(make([]byte, 200), netip.AddrPortFrom(netip.AddrFrom16(stranger), 4000))
		time.Sleep(time.Millisecond)
	}
}

func (c *chatter) end() {
	c.over.Store(true)
	c.senders.Wait()
	for _, s := range c.sockets {
		s.Close()
	}
}

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
	"shim6/test/lab/module"
	"shim6/test/lab/node"
	"shim6/test/lab/slab"
	"shim6/test/lab/topo"
)

var unloadAgain = Case{
	Name:     "unload-again",
	About:    "a hundred namespaces vanish and the modules unload a hundred times, under traffic: nothing is left",
	FastTime: true, // waiting for grace periods is most of it
	Limit:    10 * time.Minute,
	Run:      runUnloadAgain,
}

func runUnloadAgain(e *Env) error {
	const rounds, settled = 50, 10 // rounds after which everything that the kernel allocates once is there
	var before int64
	err := e.again(rounds, func(round int) (err error) {
		if round == settled {
			before, err = slabAtRest()
		}
		return err
	})
	if err != nil {
		return err
	}
	after, err := slabAtRest()
	// A context and its states that stay from each round would be more, and some noise.
	const context = 2048
	noise := int64(64 << 10)
	if e.Debug {
		noise += quarantine // it is for kmemleak to tell
	}
	grown := after - before
	e.Check("and the slabs are as they were", err == nil && grown < (rounds-settled)*context+noise, "grown by %d KiB in %d rounds %s", grown>>10, rounds-settled, errText(err))
	return nil
}

// again makes two hosts so often, and while they send, takes the modules away under them and then, with the modules back, their
// namespaces: twice as many of each go as there are rounds. The module itself complains when it frees less than it has made.
// Before each round it calls between, unless that is nil.
func (e *Env) again(rounds int, between func(round int) error) error {
	var moved uint64
	start := time.Now()
	for round := range rounds {
		if between != nil {
			if err := between(round); err != nil {
				return err
			}
		}
		n, err := onceAgain()
		if err != nil {
			return fmt.Errorf("round %d: %w", round, err)
		}
		moved += n
		if (round+1)%10 == 0 {
			e.Say("%d namespaces deleted, %d times unloaded", 2*(round+1), 2*(round+1))
		}
	}
	e.Check(fmt.Sprintf("%d namespaces and %d times the modules go under traffic", 2*rounds, 2*rounds), true, "%d packets were rewritten, %v a round",
		moved, (time.Since(start) / time.Duration(rounds)).Round(time.Millisecond))
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

// onceAgain returns how many packets were rewritten before everything went.
func onceAgain() (rewritten uint64, err error) {
	d, err := topo.BuildTwo()
	if err != nil {
		return 0, err
	}
	a1, b1 := d.Link(1)
	talk := new(chatter)
	if err := errors.Join(talk.start(d.A, a1, b1), talk.start(d.B, b1, a1)); err != nil {
		return 0, err
	}
	first, err := loadAndRewrite(d)
	if err != nil {
		return 0, err
	}
	for _, n := range []*node.Node{d.A, d.B} {
		conn, err := genl.Dial(n.FD())
		if err != nil {
			return 0, err
		}
		err = errors.Join(conn.Do(genl.CfgSet, genl.String(genl.Heuristic, "none")), conn.Do(genl.CtxFlush, nil))
		conn.Close()
		if err != nil {
			return 0, err
		}
	}
	// Nothing of a heuristic is used any more when the answer to its removal is there: nobody need wait.
	if err := module.Unload("shim6_heur_default"); err != nil {
		return 0, err
	}
	if err := unloadSoon(mainModule); err != nil {
		return 0, err
	}
	second, err := loadAndRewrite(d)
	if err != nil {
		return 0, err
	}
	err = d.Delete()
	talk.end()
	// A namespace holds the heuristic until it ends, in the background. A datagram whose neighbour does not answer holds its socket
	// for three seconds, and that the namespace.
	return first + second, errors.Join(err, unloadSoon("shim6_heur_default"), unloadSoon(mainModule))
}

// loadAndRewrite loads the modules, makes contexts on link 2, follows flows, and waits until packets have been rewritten.
func loadAndRewrite(d *topo.Direct) (rewritten uint64, err error) {
	if err := errors.Join(loadOne(mainModule), loadOne("shim6_heur_default")); err != nil {
		return 0, err
	}
	a1, b1 := d.Link(1)
	a2, b2 := d.Link(2)
	err = errors.Join(
		establish(d.A, newContext(pair{a1, b1}, tagA, tagB, pair{a2, b2}, a1, a2)), establish(d.B, newContext(pair{b1, a1}, tagB, tagA, pair{b2, a2}, b1, b2)))
	if err != nil {
		return 0, err
	}
	conn, err := genl.Dial(d.A.FD())
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	if err := conn.Do(genl.CfgSet, genl.String(genl.Heuristic, "default")); err != nil {
		return 0, err
	}
	const enough = 50
	for start := time.Now(); rewritten < enough; time.Sleep(2 * time.Millisecond) {
		if rewritten, err = stat(conn, statTxRewritten); err != nil {
			return 0, err
		}
		if time.Since(start) > 5*time.Second {
			return 0, fmt.Errorf("%d packets rewritten", rewritten)
		}
	}
	return rewritten, nil
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

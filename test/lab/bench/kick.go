// SPDX-License-Identifier: MIT

package bench

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"time"

	"github.com/mdlayher/genetlink"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"shim6/test/lab/genl"
	"shim6/test/lab/node"
	"shim6/test/lab/report"
)

const (
	kickSockets = 1000
	kickOctets  = 100
	// tablePath says how large the table of connections of a namespace is that comes from now on.
	tablePath = "/proc/sys/net/ipv4/tcp_child_ehash_entries"

	reapExploring = 1 // SHIM6_REAP_EXPLORING
)

// KickCost measures what TCP's part in a path change reaches and costs.
func KickCost(g *Guest) (kick report.Kick, err error) {
	kick.Sockets, kick.Buckets = kickSockets, [2]int{1 << 10, 1 << 17}
	n, err := newNetwork("kick", true, offloads{tso: true})
	if err != nil {
		return kick, err
	}
	var tables [2]*network
	for i, size := range kick.Buckets {
		if err := os.WriteFile(tablePath, []byte(strconv.Itoa(size)), 0); err != nil {
			return kick, err
		}
		if tables[i], err = newNetwork(fmt.Sprintf("table%d", i), false, offloads{}); err != nil {
			return kick, err
		}
	}
	if err := errors.Join(os.WriteFile(tablePath, []byte("0"), 0), g.Load(), n.establish(false), n.kick(&kick)); err != nil {
		return kick, err
	}
	g.Say("%d of %d connections go on, the last after %.1f ms", kick.Resumed, kickSockets, kick.TookMS)
	for _, t := range tables {
		if err := t.establish(false); err != nil {
			return kick, err
		}
	}
	for range repetitions {
		for i, t := range tables {
			took, err := t.pass()
			if err != nil {
				return kick, err
			}
			kick.PassInstructions[i] = append(kick.PassInstructions[i], took)
		}
	}
	for _, x := range []*network{n, tables[0], tables[1]} {
		err = errors.Join(err, x.release(), x.delete())
	}
	return kick, errors.Join(err, g.Unload())
}

// kick makes connections, lets their path die under what they have sent, and changes the path.
func (n *network) kick(k *report.Kick) error {
	listener, err := listen(n, port)
	if err != nil {
		return err
	}
	defer unix.Close(listener)
	var flows []*flow
	defer func() {
		for _, f := range flows {
			_ = f.close()
		}
	}()
	for range kickSockets {
		f, err := n.dial(listener)
		if err != nil {
			return fmt.Errorf("connection %d: %w", len(flows)+1, err)
		}
		flows = append(flows, f)
		if _, err := f.runTCP(kickOctets); err != nil {
			return err
		}
	}
	for _, dead := range []netip.Addr{n.ulidA, n.ulidB} {
		if err := ip(n.r, "-6 route add blackhole %v/128", dead); err != nil {
			return err
		}
	}
	for _, f := range flows {
		if sent, errno := send(f.tx, f.buf[:kickOctets]); sent != kickOctets {
			return fmt.Errorf("send: %w", errno)
		}
	}
	// TCP backs off meanwhile: left alone, it would try again more than a second from now.
	time.Sleep(1500 * time.Millisecond)

	events, err := listenEvents(n.a)
	if err != nil {
		return err
	}
	defer events.Close()
	a, b := n.contexts(true)
	if err := request(n.b, genl.CtxSet, genl.U64(genl.TagLocal, b.tagLocal), b.paths()); err != nil {
		return err
	}
	if err := reap(n.a, a.tagLocal, reapExploring, 1); err != nil {
		return err
	}
	start := time.Now()
	if err := request(n.a, genl.CtxSet, genl.U64(genl.TagLocal, a.tagLocal), a.paths()); err != nil {
		return err
	}
	reached, err := kicked(events)
	if err != nil {
		return err
	}
	k.Reached = reached
	for _, f := range flows {
		if wait(f.rx, unix.POLLIN) != nil {
			break
		}
		if got, _ := receive(f.rx, f.buf); got == kickOctets {
			k.Resumed++
		}
	}
	k.TookMS = float64(time.Since(start).Microseconds()) / 1000
	return nil
}

// dial makes one more connection to a listener.
func (n *network) dial(listener int) (*flow, error) {
	f := &flow{tx: -1, rx: -1, buf: make([]byte, kickOctets)}
	err := n.a.Do(func() (err error) {
		if f.tx, err = tcpSocket(); err != nil {
			return err
		}
		return errors.Join(
			unix.Bind(f.tx, sockaddr(netip.AddrPortFrom(n.ulidA, 0))),
			unix.Connect(f.tx, sockaddr(netip.AddrPortFrom(n.ulidB, port))),
		)
	})
	if err != nil {
		return nil, errors.Join(err, f.close())
	}
	if f.rx, _, err = unix.Accept4(listener, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

// pass changes the path of a host without connections and returns how long it takes until the module has looked for some.
// Most of it is netlink's; how it differs between tables tells the rest.
func (n *network) pass() (int64, error) {
	events, err := listenEvents(n.a)
	if err != nil {
		return 0, err
	}
	defer events.Close()
	plain, _ := n.contexts(false)
	rewriting, _ := n.contexts(true)
	conn, err := genl.Dial(n.a.FD())
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	var took int64
	for _, c := range []*context{rewriting, plain} {
		set := genl.Attrs(genl.U64(genl.TagLocal, c.tagLocal), c.paths())
		once, err := instructions(func() error {
			if err := conn.Do(genl.CtxSet, set); err != nil {
				return err
			}
			_, err := kicked(events)
			return err
		})
		if err != nil {
			return 0, err
		}
		took += once
	}
	return took / 2, nil
}

func reap(n *node.Node, tag uint64, state uint8, epoch uint32) error {
	return request(n, genl.ReapSet, genl.U64(genl.TagLocal, tag), genl.U8(genl.ReapState, state), genl.U32(genl.ReapEpoch, epoch))
}

// listenEvents opens a socket that gets the module's events.
func listenEvents(n *node.Node) (*genetlink.Conn, error) {
	conn, err := genetlink.Dial(&netlink.Config{NetNS: n.FD()})
	if err != nil {
		return nil, err
	}
	family, err := conn.GetFamily(genl.Family)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	for _, group := range family.Groups {
		if group.Name == genl.Group {
			if err := conn.JoinGroup(group.ID); err != nil {
				return nil, errors.Join(err, conn.Close())
			}
			return conn, conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		}
	}
	return nil, errors.Join(errors.New("the family has no events"), conn.Close())
}

// kicked waits for the event that says how many sockets a pass has reached.
func kicked(events *genetlink.Conn) (int64, error) {
	for {
		list, _, err := events.Receive()
		if err != nil {
			return 0, fmt.Errorf("wait for EV_TCP_KICK: %w", err)
		}
		for _, m := range list {
			if m.Header.Command != genl.EvTCPKick {
				continue
			}
			ad, err := netlink.NewAttributeDecoder(m.Data)
			if err != nil {
				return 0, err
			}
			for ad.Next() {
				if ad.Type() == genl.Sockets {
					return int64(ad.Uint32()), nil
				}
			}
		}
	}
}

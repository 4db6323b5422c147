// SPDX-License-Identifier: MIT

package cases

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"shim6/test/lab/node"
	"shim6/test/lab/packet"
	"shim6/test/lab/talk"
)

var icmpErrors = Case{
	Slow:     debugKernels("TCP has its time to learn an MTU"),
	Name:     "icmp-errors",
	About:    "errors about rewritten packets reach sockets under ULIDs, TCP learns a smaller MTU at once, forged ones change nothing",
	FastTime: true,
	Limit:    5 * time.Minute,
	Modules:  transportModules,
	Programs: []string{"wg"},
	Run:      runICMPErrors,
}

func runICMPErrors(e *Env) error {
	p, err := e.protect()
	if err != nil {
		return err
	}
	defer p.remove()
	expires := fmt.Sprint(int(mtuExpires.Seconds()))
	err = errors.Join(
		p.A.Sysctl("net/ipv6/route/mtu_expires", expires), p.B.Sysctl("net/ipv6/route/mtu_expires", expires), p.use(p.other()),
	)
	if err != nil {
		return err
	}
	for _, step := range []func() error{p.tellSockets, p.forgeErrors, p.refuseConnection, p.learnMTU, p.learnMTUAll} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// smallMTU is that of a router's link behind host a's own.
const smallMTU = 1400

// setMTU sets that of a provider's link towards host b, at both ends: an interface drops what is longer than its own.
func (p *protected) setMTU(provider, mtu int) error {
	router, far := p.R1, "core1"
	if provider == 2 {
		router, far = p.R2, "core2"
	}
	for _, end := range []struct {
		n      *node.Node
		device string
	}{{router, "core"}, {p.R3, far}} {
		l, err := end.n.LinkByName(end.device)
		if err == nil {
			err = end.n.LinkSetMTU(l, mtu)
		}
		if err != nil {
			return fmt.Errorf("MTU of %s: %w", end.n.Name, err)
		}
	}
	return nil
}

// learnMTU measures what it costs a TCP connection in mid-flow that the MTU of its path goes down: between ULIDs as between other
// locators no retransmission timeout.
func (p *protected) learnMTU() error {
	if err := errors.Join(p.offload(1), p.forgetMTU()); err != nil {
		return err
	}
	times := map[string]time.Duration{}
	for _, way := range []struct {
		name     string
		path     pair
		provider int
	}{{"between ULIDs", p.plain(), 1}, {"rewritten", p.other(), 2}} {
		if err := p.use(way.path); err != nil {
			return err
		}
		near, far, err := p.connection(7000)
		if err != nil {
			return err
		}
		const size = 200000
		_, err = transferTime(near, far, size)
		if err != nil {
			return err
		}
		if err := p.setMTU(way.provider, smallMTU); err != nil {
			return err
		}
		before, err := timeouts(p.A)
		if err := errors.Join(err, p.forget()); err != nil {
			return err
		}
		took, err := transferTime(near, far, size)
		after, statErr := timeouts(p.A)
		told, toldErr := p.toldTooBig()
		if err := errors.Join(err, statErr, toldErr); err != nil {
			return err
		}
		times[way.name] = took
		p.e.Check("TCP "+way.name+" learns the smaller MTU without a timeout", after == before && told > 0,
			"%d octets in %v, %d times Packet Too Big, %d timeouts", size, took, told, after-before)
		near.Close()
		far.Close()
	}
	// A timeout is 200 ms at least.
	p.e.Check("and as quickly", times["rewritten"] < times["between ULIDs"]+100*time.Millisecond, "%v", times)
	return p.offload(0)
}

// toldTooBig returns how many messages of Packet Too Big have passed host a's links since the last look.
func (p *protected) toldTooBig() (int, error) {
	list1, err1 := p.link1.Take()
	list2, err2 := p.link2.Take()
	count := 0
	for _, k := range append(list1, list2...) {
		if k.Upper() == packet.ICMPv6 && k.Payload[0] == tooBig {
			count++
		}
	}
	return count, errors.Join(err1, err2)
}

// connection makes a TCP connection from a to b.
func (p *protected) connection(port uint16) (near, far net.Conn, err error) {
	var listener *net.TCPListener
	err = p.B.Do(func() (err error) {
		listener, err = net.ListenTCP("tcp6", net.TCPAddrFromAddrPort(netip.AddrPortFrom(p.B1, port)))
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	defer listener.Close()
	err = p.A.Do(func() (err error) {
		dialer := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(p.A1, 0)), KeepAlive: -1, Timeout: 10 * time.Second}
		near, err = dialer.Dial("tcp6", netip.AddrPortFrom(p.B1, port).String())
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	if far, err = listener.Accept(); err != nil {
		return nil, nil, errors.Join(err, near.Close())
	}
	return near, far, nil
}

// transferTime returns how long octets take from one end of a connection to the other.
func transferTime(from, to net.Conn, size int) (time.Duration, error) {
	start := time.Now()
	wrote := make(chan error, 1)
	go func() {
		_, err := from.Write(make([]byte, size))
		wrote <- err
	}()
	_ = to.SetReadDeadline(start.Add(time.Minute))
	buffer := make([]byte, 1<<16)
	for got := 0; got < size; {
		n, err := to.Read(buffer)
		if err != nil {
			return 0, fmt.Errorf("after %d octets: %w", got, err)
		}
		got += n
	}
	return time.Since(start), <-wrote
}

// timeouts returns how many retransmission timeouts a node's TCP has had.
func timeouts(n *node.Node) (int, error) {
	var raw []byte
	err := n.Do(func() (err error) {
		raw, err = os.ReadFile("/proc/thread-self/net/netstat")
		return err
	})
	if err != nil {
		return 0, err
	}
	var names []string
	for line := range strings.Lines(string(raw)) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != "TcpExt:" {
			continue
		}
		if names == nil {
			names = fields
			continue
		}
		for i, name := range names {
			if name == "TCPTimeouts" {
				return strconv.Atoi(fields[i])
			}
		}
	}
	return 0, errors.New("no TCPTimeouts in /proc/net/netstat")
}

// learnMTUAll has the other transports meet the smaller MTU.
func (p *protected) learnMTUAll() error {
	if err := errors.Join(p.setMTU(1, mtu), p.setMTU(2, mtu), p.use(p.other()), p.forgetMTU()); err != nil {
		return err
	}
	var flows []flowOf
	for i, k := range talk.Kinds() {
		switch k.Name {
		// quic-go does not go back once it has probed a greater MTU, shim6 or not.
		case "tcp", "udp, unconnected", "sctp, one to one", "dccp", "tcp in wireguard", "ICMPv6 echo":
		default:
			continue
		}
		if p.lacks(k) {
			continue
		}
		t, err := k.Open(talk.Ends{A: p.A, B: p.B, AddrA: p.A1, AddrB: p.B1, Port: uint16(7100 + 10*i)})
		if err == nil {
			err = t.Say(100, 1)
		}
		if !p.e.Works("open "+k.Name, err) {
			continue
		}
		defer t.Close()
		flows = append(flows, flowOf{k, t})
	}
	for _, f := range flows {
		if err := errors.Join(p.setMTU(2, mtu), p.forgetMTU(), p.setMTU(2, smallMTU)); err != nil {
			return err
		}
		// Who keeps messages apart may lose one that was too big. DCCP then takes none of that size.
		err := f.Say(f.Max, 2)
		if err != nil && f.Max < mtu {
			err = f.Say(f.Max*3/4, 3)
		}
		p.e.Works(f.Name+" passes a smaller MTU", err)
	}
	quic, err := kindOf("quic")
	if err != nil {
		return err
	}
	t, err := quic.Open(talk.Ends{A: p.A, B: p.B, AddrA: p.A1, AddrB: p.B1, Port: 7300})
	if err == nil {
		err = t.Say(quic.Max, 1)
		t.Close()
	}
	p.e.Works("quic finds a smaller MTU", err)
	return p.setMTU(2, mtu)
}

// mtuExpires is how long the hosts believe in what they have learned of a path.
const mtuExpires = 10 * time.Second

// forgetMTU waits until the hosts have forgotten what they have learned of paths.
func (p *protected) forgetMTU() error {
	time.Sleep(mtuExpires + time.Second)
	return p.forget()
}

// refuseConnection has a router without a route to b's locator refuse what host a sends.
func (p *protected) refuseConnection() error {
	route := &netlink.Route{Dst: netlink.NewIPNet(p.b2.AsSlice()), Type: unix.RTN_UNREACHABLE, Priority: 1}
	if err := p.R3.RouteAdd(route); err != nil {
		return fmt.Errorf("unreachable route: %w", err)
	}
	start := time.Now()
	_, _, err := p.connection(7050)
	took := time.Since(start)
	p.e.Check("a TCP connection is refused as the router tells", errors.Is(err, unix.ENETUNREACH) && took < time.Second, "%v after %v", err, took)
	if err := p.R3.RouteDel(route); err != nil {
		return fmt.Errorf("unreachable route: %w", err)
	}
	return nil
}

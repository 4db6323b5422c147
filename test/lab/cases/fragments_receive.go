// SPDX-License-Identifier: MIT

package cases

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"shim6/test/lab/hostile"
	"shim6/test/lab/node"
	"shim6/test/lab/packet"
)

// A piece of a datagram, as a sender might make it.
type piece struct {
	from, to int // octets of the datagram, a multiple of eight but the last
	more     bool
	// bare goes between the ULIDs without a Payload Extension Header.
	bare bool
	wait time.Duration // before it is sent, of a reassembly that takes reassemblyTime
}

// reassemblyTime is how long a kernel waits for the rest of a datagram unless told otherwise.
const reassemblyTime = time.Minute

// realReassemblyTime is what it is told where waiting takes real time.
const realReassemblyTime = 9 * time.Second

// waits for a part of the time that a reassembly takes.
func (p *protected) waits(d time.Duration) {
	if !p.e.FastTime {
		d = time.Duration(d.Seconds() / reassemblyTime.Seconds() * float64(realReassemblyTime))
	}
	time.Sleep(d)
}

// datagramSize is that of the datagrams that come in pieces, UDP header included.
const datagramSize = 2600

// fragmentSets are ways for a datagram to arrive.
var fragmentSets = []struct {
	name   string
	pieces []piece
	whole  bool
	mixed  bool // works only where each fragment has a header of its own
}{
	{name: "in order", pieces: []piece{{0, 1200, true, false, 0}, {1200, 2400, true, false, 0}, {2400, 2600, false, false, 0}}, whole: true},
	{name: "last first", pieces: []piece{{2400, 2600, false, false, 0}, {1200, 2400, true, false, 0}, {0, 1200, true, false, 0}}, whole: true},
	{name: "one twice", pieces: []piece{{0, 1200, true, false, 0}, {0, 1200, true, false, 0}, {1200, 2600, false, false, 0}}, whole: true},
	{name: "one late", pieces: []piece{{1200, 2600, false, false, 0}, {0, 1200, true, false, 50 * time.Second}}, whole: true},
	{name: "one too late", pieces: []piece{{0, 1200, true, false, 0}, {1200, 2600, false, false, 70 * time.Second}}},
	{name: "one lost", pieces: []piece{{0, 1200, true, false, 0}, {2400, 2600, false, false, 0}}},
	// RFC 8200 section 4.5: a datagram with overlapping fragments is discarded.
	{name: "overlapping", pieces: []piece{{0, 1200, true, false, 0}, {1192, 2400, true, false, 0}, {2400, 2600, false, false, 0}}},
	{name: "one before the path changed, one after", pieces: []piece{{0, 1200, true, true, 0}, {1200, 2600, false, false, 0}}, whole: true, mixed: true},
}

// takeFragments sends host a fragments from afar, in the order of RFC 5533 section 4.6 and with the Payload Extension Header
// inside what is fragmented.
func (p *protected) takeFragments(who string) error {
	a, err := listenAt(p.A, p.A1, 6000)
	if err != nil {
		return err
	}
	defer a.close()
	far, err := hostile.NewSender(p.R3)
	if err != nil {
		return err
	}
	defer far.Close()
	for _, inside := range []bool{false, true} {
		order := "Shim6 before Fragment"
		if inside {
			order = "Fragment before Shim6"
		}
		for i, set := range fragmentSets {
			if inside && set.mixed {
				continue
			}
			if err := p.forget(); err != nil {
				return err
			}
			data := slices.Repeat([]byte{byte('a' + i)}, datagramSize-8)
			peer := netip.AddrPortFrom(p.B1, 6001)
			if err := p.sendPieces(far, packet.Datagram(peer, a.addr, data), set.pieces, inside, uint32(100+i)); err != nil {
				return err
			}
			got := a.take()
			ok := len(got) == 0
			if set.whole {
				ok = len(got) == 1 && got[0] == string(data) && a.from == peer
			}
			p.e.Check(fmt.Sprintf("%s, %s: %s", who, order, set.name), ok, "%d datagrams from %v", len(got), a.from)
		}
	}
	return p.tellLateSender(who, far)
}

// sendPieces sends fragments of a datagram from b's locator to a's.
func (p *protected) sendPieces(far *hostile.Sender, datagram []byte, pieces []piece, inside bool, id uint32) error {
	// What is fragmented, and the Next Header value that the Fragment header has for it.
	whole, upper := datagram, uint8(packet.UDP)
	if inside {
		whole, upper = append(append([]byte{packet.UDP}, packet.Payload(tagA).Rest...), datagram...), packet.Shim6
	}
	for _, x := range pieces {
		p.waits(x.wait)
		part := whole[min(x.from, len(whole)):]
		if x.more {
			part = whole[x.from:x.to]
		}
		src, dst, headers := p.b2, p.A2, []packet.Header{}
		switch {
		case x.bare:
			src, dst = p.B1, p.A1
		case !inside:
			headers = append(headers, packet.Payload(tagA))
		}
		headers = append(headers, packet.FragmentOf(id, x.from, x.more))
		if err := far.SendPacket(packet.Make(src, dst, upper, part, headers...)); err != nil {
			return err
		}
	}
	return nil
}

// tellLateSender loses a fragment: the Time Exceeded message goes to the sender's ULID, and so by its locator.
func (p *protected) tellLateSender(who string, far *hostile.Sender) error {
	if err := p.forget(); err != nil {
		return err
	}
	datagram := packet.Datagram(netip.AddrPortFrom(p.B1, 6001), netip.AddrPortFrom(p.A1, 6000), make([]byte, datagramSize-8))
	if err := p.sendPieces(far, datagram, []piece{{from: 0, to: 1200, more: true}}, false, 999); err != nil {
		return err
	}
	p.waits(70 * time.Second)
	list, err := p.link2.Take()
	if err != nil {
		return err
	}
	told := slices.ContainsFunc(list, func(k *packet.Packet) bool {
		return k.Upper() == packet.ICMPv6 && k.Payload[0] == 3 && k.Payload[1] == 1 && p.inspect(k, p.other()) == ""
	})
	p.e.Check(who+": the sender of an incomplete datagram is told by its locator", told, "%v", list)
	return nil
}

// A listener is a UDP socket of the case.
type listener struct {
	socket *net.UDPConn
	addr   netip.AddrPort
	from   netip.AddrPort // whom the last datagram was from
}

func listenAt(n *node.Node, addr netip.Addr, port uint16) (*listener, error) {
	l := &listener{addr: netip.AddrPortFrom(addr, port)}
	err := n.Do(func() (err error) {
		l.socket, err = net.ListenUDP("udp6", net.UDPAddrFromAddrPort(l.addr))
		return err
	})
	return l, err
}

func (l *listener) close() { l.socket.Close() }

func (l *listener) send(data []byte, to netip.AddrPort) error {
	_, err := l.socket.WriteToUDPAddrPort(data, to)
	return err
}

// take returns the datagrams that are there or come within 300 ms.
func (l *listener) take() []string {
	var list []string
	l.from = netip.AddrPort{}
	buffer := make([]byte, 1<<16)
	for {
		_ = l.socket.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		n, from, err := l.socket.ReadFromUDPAddrPort(buffer)
		if err != nil {
			return list
		}
		list = append(list, string(buffer[:n]))
		l.from = from
	}
}

// control calls f with the socket's descriptor.
func (l *listener) control(f func(fd int) error) error {
	raw, err := l.socket.SyscallConn()
	if err != nil {
		return err
	}
	if ctlErr := raw.Control(func(fd uintptr) { err = f(int(fd)) }); ctlErr != nil {
		return ctlErr
	}
	return err
}

// rawSocket makes one that takes IPv6 headers from us.
func rawSocket(n *node.Node) (fd int, err error) {
	err = n.Do(func() error {
		fd, err = unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		return err
	})
	return fd, err
}

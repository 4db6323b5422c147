// SPDX-License-Identifier: MIT

package cases

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"shim6/test/lab/hostile"
	"shim6/test/lab/packet"
)

// ICMPv6 error types, RFC 4443 and RFC 4884's extension structure.
const (
	unreachable      = 1
	tooBig           = 2
	timeExceeded     = 3
	parameterProblem = 4
)

// router2 is the address of provider 2's router towards host b.
var router2 = netip.MustParseAddr("2001:db8:c2::2")

// A told is an error as a socket learns of it (struct sock_extended_err).
type told struct {
	kind, code uint8
	info       uint32
	to         netip.AddrPort // where the packet was sent
	offender   netip.Addr
	data       []byte // of the packet
}

func (t told) String() string {
	return fmt.Sprintf("type %d code %d info %d about %v from %v: %q", t.kind, t.code, t.info, t.to, t.offender, t.data)
}

// A teller is a socket of host a that asks for errors, beside one that sees ICMPv6 messages as they are received.
type teller struct {
	fd, raw int
	peer    *unix.SockaddrInet6
	upper   func(data []byte) []byte
}

func (p *protected) newTeller(kind, proto int, connected bool) (*teller, error) {
	t := &teller{peer: &unix.SockaddrInet6{Addr: p.B1.As16(), Port: 8001}, upper: func(d []byte) []byte { return d }}
	if kind == unix.SOCK_RAW {
		t.peer.Port = 0
	}
	if proto == unix.IPPROTO_ICMPV6 {
		t.peer.Port = 0
		t.upper = func(d []byte) []byte { return packet.ICMP(p.A1, p.B1, 128, 0, 1, d) }
	}
	err := p.A.Do(func() (err error) {
		if t.fd, err = unix.Socket(unix.AF_INET6, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, proto); err != nil {
			return err
		}
		if t.raw, err = unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_ICMPV6); err != nil {
			return errors.Join(err, unix.Close(t.fd))
		}
		err = errors.Join(
			unix.SetsockoptInt(t.fd, unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1),
			unix.Bind(t.fd, &unix.SockaddrInet6{Addr: p.A1.As16()}),
		)
		if connected {
			err = errors.Join(err, unix.Connect(t.fd, t.peer))
		}
		if err != nil {
			t.close()
		}
		return err
	})
	return t, err
}

func (t *teller) close() {
	unix.Close(t.fd)
	unix.Close(t.raw)
}

// send sends data; an error of before is thrown away.
func (t *teller) send(data []byte) error {
	_, _ = unix.GetsockoptInt(t.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	return unix.Sendto(t.fd, t.upper(data), 0, t.peer)
}

// errors returns what the socket has been told.
func (t *teller) told() ([]told, error) {
	var list []told
	data, control := make([]byte, 2048), make([]byte, 512)
	for {
		n, oob, _, from, err := unix.Recvmsg(t.fd, data, control, unix.MSG_ERRQUEUE)
		if errors.Is(err, unix.EAGAIN) {
			return list, nil
		}
		if err != nil {
			return nil, fmt.Errorf("error queue: %w", err)
		}
		x := told{data: bytes.Clone(data[:n])}
		if in6, ok := from.(*unix.SockaddrInet6); ok {
			x.to = netip.AddrPortFrom(netip.AddrFrom16(in6.Addr), uint16(in6.Port))
		}
		messages, err := unix.ParseSocketControlMessage(control[:oob])
		if err != nil {
			return nil, err
		}
		for _, m := range messages {
			if m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_RECVERR && len(m.Data) >= 16+24 {
				x.kind, x.code, x.info = m.Data[5], m.Data[6], binary.NativeEndian.Uint32(m.Data[8:])
				x.offender = netip.AddrFrom16([16]byte(m.Data[16+8:]))
			}
		}
		list = append(list, x)
	}
}

// received returns the ICMPv6 errors that have been received, from the type on.
func (t *teller) received() [][]byte {
	var list [][]byte
	buffer := make([]byte, 2048)
	for {
		n, _, err := unix.Recvfrom(t.raw, buffer, 0)
		if err != nil {
			return list
		}
		if buffer[0] < 128 {
			list = append(list, bytes.Clone(buffer[:n]))
		}
	}
}

// An injected error, and what is to become of it.
type injected struct {
	name       string
	kind, code uint8
	word       uint32 // behind the checksum
	info       uint32 // that word as told, with what is said of places and sizes turned back
	padTo      int    // quoted octets, when extensions follow
	padBack    int    // and the quoted octets as told
}

// extensions are an extension structure of RFC 4884 with one object; its checksum is of no interest to kernels.
var extensions = []byte{0x20, 0, 0, 0, 0, 8, 200, 1, 0xde, 0xad, 0xbe, 0xef}

func injections() []injected {
	list := []injected{}
	for code := range uint8(7) {
		list = append(list, injected{name: "destination unreachable", kind: unreachable, code: code})
	}
	for code := range uint8(2) {
		list = append(list, injected{name: "time exceeded", kind: timeExceeded, code: code})
	}
	for code := range uint8(3) {
		list = append(list, injected{name: "parameter problem in the IPv6 header", kind: parameterProblem, code: code, word: 6, info: 6})
	}
	return append(list,
		injected{name: "parameter problem in the Shim6 header", kind: parameterProblem, word: 41, info: 6},
		injected{name: "parameter problem in the payload", kind: parameterProblem, word: 50, info: 42},
		injected{name: "unreachable with extensions behind 128 octets", kind: unreachable, code: 3, word: 16 << 24, info: 16 << 24, padTo: 128, padBack: 128},
		injected{name: "time exceeded with extensions behind 136 octets", kind: timeExceeded, word: 17 << 24, info: 16 << 24, padTo: 136, padBack: 128},
		injected{name: "packet too big", kind: tooBig, word: 1400, info: 1392},
		injected{name: "packet too big for the minimum", kind: tooBig, word: 1280, info: 1280},
	)
}

// tellSockets has a router tell of packets, and looks at what sockets learn: all of it under ULIDs.
func (p *protected) tellSockets() error {
	router, err := hostile.NewSender(p.R2)
	if err != nil {
		return err
	}
	defer router.Close()
	if err := p.A.Sysctl("net/ipv4/ping_group_range", "0 2147483647"); err != nil {
		return err
	}
	// Host b is to say nothing by itself.
	quiet, err := listenAt(p.B, p.B1, 8001)
	if err != nil {
		return err
	}
	var raw int
	err = p.B.Do(func() (err error) {
		raw, err = unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, packet.Test)
		return err
	})
	if err != nil {
		return err
	}
	defer unix.Close(raw)
	for _, s := range []struct {
		name        string
		kind, proto int
		connected   bool
	}{
		{"connected udp", unix.SOCK_DGRAM, unix.IPPROTO_UDP, true},
		{"unconnected udp", unix.SOCK_DGRAM, unix.IPPROTO_UDP, false},
		{"icmp echo", unix.SOCK_DGRAM, unix.IPPROTO_ICMPV6, false},
		{"raw", unix.SOCK_RAW, packet.Test, true},
	} {
		t, err := p.newTeller(s.kind, s.proto, s.connected)
		if err != nil {
			return err
		}
		for _, x := range injections() {
			if err := p.inject(t, router, s.name, x); err != nil {
				return err
			}
		}
		t.close()
	}
	if err := p.forgetMTU(); err != nil {
		return err
	}
	quiet.close()
	return p.realErrors()
}

// inject has the router tell of a packet that the socket sends.
func (p *protected) inject(t *teller, router *hostile.Sender, who string, x injected) error {
	data := []byte("told " + x.name)
	if err := errors.Join(p.forget(), t.send(data)); err != nil {
		return err
	}
	sent, err := p.sentPacket(p.link2)
	if err != nil {
		return err
	}
	quoted, back := pad(sent.Octets, x.padTo), pad(p.turnedBack(sent), x.padBack)
	err = router.SendPacket(packet.Make(router2, p.A2, packet.ICMPv6, packet.ICMP(router2, p.A2, x.kind, x.code, x.word, quoted)))
	if err != nil {
		return err
	}
	time.Sleep(50 * time.Millisecond)
	want := packet.ICMP(router2, p.A1, x.kind, x.code, x.info, back)
	received := t.received()
	got, err := t.told()
	if err != nil {
		return err
	}
	name := fmt.Sprintf("%s: %s, code %d", who, x.name, x.code)
	p.e.Check(name+" is received as about ULIDs", len(received) == 1 && bytes.Equal(received[0], want), "%x, want %x", received, want)
	// Sockets leave out what they do not look at: echo is told of code and type alone.
	ok := len(got) == 1 && got[0].kind == x.kind && got[0].code == x.code && got[0].info == x.info &&
		got[0].to.Addr() == p.B1 && got[0].offender == router2 && bytes.Contains(got[0].data, data)
	p.e.Check(name+" is told to the socket", ok, "%v", got)
	return nil
}

// sentPacket returns the one packet that host a has sent to b's locator since the last look.
func (p *protected) sentPacket(link interface {
	Take() ([]*packet.Packet, error)
}) (*packet.Packet, error) {
	list, err := link.Take()
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(list, func(k *packet.Packet) bool { return k.Src == p.A2 && k.Has(packet.Shim6) })
	if i < 0 {
		return nil, fmt.Errorf("no rewritten packet in %v", list)
	}
	return list[i], nil
}

// turnedBack is a rewritten packet as the ULP sent it.
func (p *protected) turnedBack(k *packet.Packet) []byte {
	b := packet.Make(p.A1, p.B1, k.Upper(), k.Payload)
	copy(b[:4], k.Octets[:4]) // traffic class and flow label
	b[7] = k.Octets[7]
	return b
}

// pad fills a quoted packet up and adds extensions, when a length is given.
func pad(quoted []byte, to int) []byte {
	if to == 0 {
		return quoted
	}
	return append(append(bytes.Clone(quoted), make([]byte, to-len(quoted))...), extensions...)
}

// realErrors provokes what needs no help: a hop limit that is too low for the second router, and a closed port.
func (p *protected) realErrors() error {
	for _, x := range []struct {
		name     string
		hops     int
		kind     uint8
		code     uint8
		offender netip.Addr
	}{
		{"a hop limit of 1", 1, timeExceeded, 0, netip.MustParseAddr("2001:db8:a2::1")},
		{"a closed port", 64, unreachable, 4, p.B1},
	} {
		t, err := p.newTeller(unix.SOCK_DGRAM, unix.IPPROTO_UDP, false)
		if err != nil {
			return err
		}
		err = unix.SetsockoptInt(t.fd, unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, x.hops)
		if err := errors.Join(err, t.send([]byte("hello"))); err != nil {
			return err
		}
		time.Sleep(100 * time.Millisecond)
		got, err := t.told()
		t.close()
		ok := len(got) == 1 && got[0].kind == x.kind && got[0].code == x.code && got[0].offender == x.offender &&
			got[0].to == netip.AddrPortFrom(p.B1, 8001) && string(got[0].data) == "hello"
		p.e.Check(x.name+" is told under ULIDs", err == nil && ok, "%v %s", got, errText(err))
	}
	return nil
}

// forgeErrors sends errors about packets that were never sent. None may change anything.
func (p *protected) forgeErrors() error {
	router, err := hostile.NewSender(p.R2)
	if err != nil {
		return err
	}
	defer router.Close()
	t, err := p.newTeller(unix.SOCK_DGRAM, unix.IPPROTO_UDP, false)
	if err != nil {
		return err
	}
	defer t.close()
	quiet, err := listenAt(p.B, p.B1, 8001)
	if err != nil {
		return err
	}
	defer quiet.close()
	if err := errors.Join(p.forget(), t.send([]byte("a real one"))); err != nil {
		return err
	}
	sent, err := p.sentPacket(p.link2)
	if err != nil {
		return err
	}
	other := netip.MustParseAddr("2001:db8:b1::bad")
	remake := func(src, dst netip.Addr, tag uint64) []byte {
		return packet.Make(src, dst, packet.UDP, sent.Payload, packet.Payload(tag))
	}
	forged := []struct {
		name    string
		to      netip.Addr
		quoted  []byte
		flip    byte // of the checksum
		unknown uint64
	}{
		{"an unknown tag", p.A2, remake(p.A2, p.b2, tagB+1), 0, 2},
		{"the receiver's tag", p.A2, remake(p.A2, p.b2, tagA), 0, 2},
		{"another destination", p.A2, remake(p.A2, other, tagB), 0, 2},
		{"another source", p.A1, remake(p.A1, p.b2, tagB), 0, 2},
		{"an error to another address than the packet's source", p.A1, remake(p.A2, p.b2, tagB), 0, 2},
		{"a wrong checksum", p.A2, sent.Octets, 0x55, 0},
		{"a packet cut off in the Shim6 header", p.A2, sent.Octets[:46], 0, 0},
	}
	const mtu = 1300
	for _, f := range forged {
		_ = t.received()
		before, err := stat(p.a, statRxICMPUnknown)
		if err != nil {
			return err
		}
		for _, x := range []struct {
			kind uint8
			word uint32
		}{{tooBig, mtu}, {unreachable, 0}} {
			message := packet.ICMP(router2, f.to, x.kind, 0, x.word, f.quoted)
			message[2] ^= f.flip
			if err := router.SendPacket(packet.Make(router2, f.to, packet.ICMPv6, message)); err != nil {
				return err
			}
		}
		time.Sleep(50 * time.Millisecond)
		got, err := t.told()
		if err != nil {
			return err
		}
		after, err := stat(p.a, statRxICMPUnknown)
		if err != nil {
			return err
		}
		learned, err := p.learned(mtu)
		p.e.Check(f.name+" changes nothing", err == nil && len(got) == 0 && learned == "", "%v %s%s", got, learned, errText(err))
		p.e.Check("and is counted", after-before == f.unknown, "%d", after-before)
	}
	translated, err := stat(p.a, statRxICMP)
	p.e.Check("errors that were turned back are counted", err == nil && translated == uint64(4*len(injections())+1), "%d %s", translated, errText(err))
	return nil
}

// learned returns routes of host a to b that know an MTU between that and eight octets less.
func (p *protected) learned(mtu int) (string, error) {
	var found []string
	for _, way := range []pair{p.plain(), p.other()} {
		out, err := p.A.Output("ip", "-6", "route", "get", way.peer.String(), "from", way.local.String())
		if err != nil {
			return "", err
		}
		if strings.Contains(out, fmt.Sprintf("mtu %d", mtu)) || strings.Contains(out, fmt.Sprintf("mtu %d", mtu-8)) {
			found = append(found, strings.TrimSpace(out))
		}
	}
	return strings.Join(found, "; "), nil
}

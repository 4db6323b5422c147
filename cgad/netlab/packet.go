// SPDX-License-Identifier: MIT

package netlab

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	ethernetLen = 14
	ipv6Len     = 40
	icmpv6      = 58
)

// A Packet is an IPv6 packet on a link. Body is what follows the IPv6 header; of ICMPv6, the checksum is filled in.
type Packet struct {
	Source      string
	Destination string // ff02::1 when empty
	HopLimit    int
	Next        uint8 // next header; 0 stands for ICMPv6
	Body        []byte
	BadChecksum bool
	LinkLayer   [6]byte // the destination's, of a packet that was captured
}

func addr16(s string) [16]byte { return netip.MustParseAddr(s).As16() }

func (p Packet) frame(source []byte) []byte {
	if p.Destination == "" {
		p.Destination = "ff02::1"
	}
	if p.Next == 0 {
		p.Next = icmpv6
	}
	src, dst := addr16(p.Source), addr16(p.Destination)
	f := []byte{0x33, 0x33, dst[12], dst[13], dst[14], dst[15]}
	if dst[0] != 0xff {
		f = []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	}
	f = append(f, source...)
	f = append(f, 0x86, 0xdd, 0x60, 0, 0, 0)
	f = binary.BigEndian.AppendUint16(f, uint16(len(p.Body)))
	f = append(f, p.Next, byte(p.HopLimit))
	f = append(f, src[:]...)
	f = append(f, dst[:]...)
	f = append(f, p.Body...)
	if p.Next == icmpv6 {
		body := f[ethernetLen+ipv6Len:]
		body[2], body[3] = 0, 0
		binary.BigEndian.PutUint16(body[2:], ^sum(src, dst, body))
		if p.BadChecksum {
			body[3] ^= 1
		}
	}
	return f
}

// sum is the one's complement sum of the pseudo-header and an ICMPv6 message (RFC 8200 section 8.1).
func sum(src, dst [16]byte, body []byte) uint16 {
	all := append(append(src[:], dst[:]...), 0, 0, byte(len(body)>>8), byte(len(body)), 0, 0, 0, icmpv6)
	all = append(all, body...)
	if len(all)%2 == 1 {
		all = append(all, 0)
	}
	var s uint32
	for i := 0; i < len(all); i += 2 {
		s += uint32(binary.BigEndian.Uint16(all[i:]))
	}
	for s > 0xffff {
		s = s&0xffff + s>>16
	}
	return uint16(s)
}

func parse(f []byte) (Packet, bool) {
	if len(f) < ethernetLen+ipv6Len+8 || binary.BigEndian.Uint16(f[12:]) != unix.ETH_P_IPV6 {
		return Packet{}, false
	}
	h := f[ethernetLen:]
	size := int(binary.BigEndian.Uint16(h[4:]))
	if len(h) < ipv6Len+size {
		return Packet{}, false
	}
	src, dst := [16]byte(h[8:24]), [16]byte(h[24:40])
	p := Packet{
		Source:      netip.AddrFrom16(src).String(),
		Destination: netip.AddrFrom16(dst).String(),
		HopLimit:    int(h[7]),
		Next:        h[6],
		Body:        append([]byte(nil), h[ipv6Len:ipv6Len+size]...),
		LinkLayer:   [6]byte(f),
	}
	if p.Next == icmpv6 {
		p.BadChecksum = sum(src, dst, p.Body) != 0xffff
	}
	return p, true
}

func socket(t testing.TB, link int) int {
	t.Helper()
	const proto = unix.ETH_P_ALL>>8 | unix.ETH_P_ALL&0xff<<8
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, proto)
	if err != nil {
		t.Fatalf("packet socket: %v", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: proto, Ifindex: link}); err != nil {
		unix.Close(fd)
		t.Fatalf("bind packet socket: %v", err)
	}
	return fd
}

// Send puts a packet onto the link from its far end.
func (l *Link) Send(t testing.TB, p Packet) {
	t.Helper()
	if _, err := unix.Write(l.fd, p.frame(l.Far.Attrs().HardwareAddr)); err != nil {
		t.Fatalf("send on %s: %v", l.Far.Attrs().Name, err)
	}
}

// A Capture keeps the packets that the host sends on a link from its making on.
type Capture struct {
	fd   int
	link *Link
}

// Capture begins a capture that lasts until the end of the test.
func (l *Link) Capture(t testing.TB) *Capture {
	t.Helper()
	c := &Capture{socket(t, l.Far.Attrs().Index), l}
	t.Cleanup(func() { unix.Close(c.fd) })
	return c
}

// Read gives the next packet that has come, if one has.
func (c *Capture) Read() (Packet, bool) {
	buf := make([]byte, 1<<16)
	for {
		n, from, err := unix.Recvfrom(c.fd, buf, 0)
		if err != nil {
			if errors.Is(err, unix.EINTR) {
				continue
			}
			return Packet{}, false
		}
		if ll, ok := from.(*unix.SockaddrLinklayer); ok && ll.Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		if p, ok := parse(buf[:n]); ok {
			return p, true
		}
	}
}

// Next waits for a packet for which ok is true.
func (c *Capture) Next(t testing.TB, ok func(Packet) bool) Packet {
	t.Helper()
	for end := time.Now().Add(waitLimit); time.Now().Before(end); {
		p, got := c.Read()
		if !got {
			time.Sleep(waitStep)
		} else if ok(p) {
			return p
		}
	}
	t.Fatalf("no such packet came on %s", c.link.Far.Attrs().Name)
	return Packet{}
}

// SPDX-License-Identifier: MIT

package cases

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"shim6/test/lab/hostile"
	"shim6/test/lab/packet"
)

var payloadHeader = Case{
	Name:     "payload-header",
	About:    "which packets with a Payload Extension Header a host takes, and under what addresses",
	FastTime: true,
	Limit:    5 * time.Minute,
	Run:      runPayloadHeader,
}

// Counters, enum shim6_stat.
const (
	statRxUnknownTag = 6
	statRxNotLocator = 7
	statRxMalformed  = 8
)

// A payloadArrival is one packet for host b, and what is to become of it.
type payloadArrival struct {
	name     string
	src, dst netip.Addr
	octets   []byte // from the Payload Extension Header on
	counted  uint16 // by which counter it is refused, zero when the datagram in it arrives
}

func runPayloadHeader(e *Env) error {
	p, err := e.protect()
	if err != nil {
		return err
	}
	defer p.remove()
	// An address of b that is none of the context's.
	other := netip.MustParseAddr("2001:db8:b1::77")
	dev, err := p.B.LinkByName("p1")
	if err != nil {
		return err
	}
	if err := p.B.AddrAdd(dev, &netlink.Addr{IPNet: netlink.NewIPNet(other.AsSlice()), Flags: unix.IFA_F_NODAD}); err != nil {
		return fmt.Errorf("address %v of b: %w", other, err)
	}
	var socket *net.UDPConn
	err = p.B.Do(func() (err error) {
		socket, err = net.ListenUDP("udp6", net.UDPAddrFromAddrPort(netip.AddrPortFrom(p.B1, 4000)))
		return err
	})
	if err != nil {
		return err
	}
	defer socket.Close()
	sender, err := hostile.NewSender(p.R3)
	if err != nil {
		return err
	}
	defer sender.Close()
	for _, x := range p.arrivals(other) {
		if err := p.deliver(socket, sender, x); err != nil {
			return err
		}
	}
	return nil
}

// arrivals are between ULIDs, between other locators, and wrong.
func (p *protected) arrivals(other netip.Addr) []payloadArrival {
	from, to := netip.AddrPortFrom(p.A1, 4001), netip.AddrPortFrom(p.B1, 4000)
	datagram := packet.Datagram(from, to, []byte("payload"))
	header := func(next, length uint8, tag uint64) []byte {
		return append([]byte{next, length}, packet.Payload(tag).Rest[1:]...)
	}
	with := func(header []byte, rest ...byte) []byte { return append(header, rest...) }
	stranger := netip.MustParseAddr("2001:db8:666::1")
	// Its checksum is over the addresses on the wire, as of a sender that computes it anew.
	anew := packet.Datagram(netip.AddrPortFrom(p.A2, 4001), netip.AddrPortFrom(p.b2, 4000), []byte("payload"))
	return []payloadArrival{
		{"between ULIDs", p.A1, p.B1, with(header(packet.UDP, 0, tagB), datagram...), 0},
		{"between other locators", p.A2, p.b2, with(header(packet.UDP, 0, tagB), datagram...), 0},
		// RFC 5533 section 16.2: the tag alone finds the context.
		{"from a source that is no locator", stranger, p.B1, with(header(packet.UDP, 0, tagB), datagram...), 0},
		{"to a destination that is no locator", p.A1, other, with(header(packet.UDP, 0, tagB), datagram...), statRxNotLocator},
		{"with an unknown tag", p.A1, p.B1, with(header(packet.UDP, 0, tagB+1), datagram...), statRxUnknownTag},
		// RFC 5533 section 5.2: "Hdr Ext Len: 0 (since the header is 8 octets)."
		{"with a header of 16 octets", p.A1, p.B1, with(with(header(packet.UDP, 1, tagB), make([]byte, 8)...), datagram...), statRxMalformed},
		{"with a header in a header", p.A1, p.B1, with(with(header(packet.Shim6, 0, tagB), header(packet.UDP, 0, tagB)...), datagram...), statRxMalformed},
		// RFC 5533 section 11.1: the checksum stays that over ULIDs; nobody makes it right.
		{"with a checksum over locators", p.A2, p.b2, with(header(packet.UDP, 0, tagB), anew...), noCounter},
	}
}

// noCounter stands for a packet that the transport refuses.
const noCounter = 0xffff

// deliver sends one packet and looks what came of it.
func (p *protected) deliver(socket *net.UDPConn, sender *hostile.Sender, x payloadArrival) error {
	counter := func() (uint64, error) {
		if x.counted == 0 || x.counted == noCounter {
			return 0, nil
		}
		return stat(p.b, x.counted)
	}
	before, err := counter()
	if err != nil {
		return err
	}
	if err := sender.Send(x.src, x.dst, hostile.Message{Name: x.name, Octets: x.octets}); err != nil {
		return err
	}
	buffer := make([]byte, 2048)
	if err := socket.SetReadDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
		return err
	}
	n, from, readErr := socket.ReadFromUDPAddrPort(buffer)
	after, err := counter()
	if err != nil {
		return err
	}
	if x.counted == 0 {
		arrived := readErr == nil && string(buffer[:n]) == "payload" && from.Addr() == p.A1
		p.e.Check(x.name+": arrives from the ULID", arrived, "%q from %v %s", buffer[:n], from, errText(readErr))
		return nil
	}
	var timeout net.Error
	silent := errors.As(readErr, &timeout) && timeout.Timeout()
	p.e.Check(x.name+": does not arrive", silent, "%q from %v %s", buffer[:n], from, errText(readErr))
	if x.counted != noCounter {
		p.e.Check(x.name+": is counted", after == before+1, "%d, before %d", after, before)
	}
	return nil
}

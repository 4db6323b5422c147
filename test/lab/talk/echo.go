// SPDX-License-Identifier: MIT

package talk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"shim6/test/lab/packet"
)

const (
	echoRequest = 128
	echoReply   = 129
	echoHeader  = 8
	echoID      = 0x1234
)

// openEcho has host b's kernel answer Echo Requests, from a raw socket or one for which no privilege is needed.
func openEcho(e Ends, kind int) (*Talk, error) {
	if err := e.A.Sysctl("net/ipv4/ping_group_range", "0 2147483647"); err != nil {
		return nil, err
	}
	fd, err := socket(e.A, kind, unix.IPPROTO_ICMPV6, netip.AddrPortFrom(e.AddrA, 0))
	if err != nil {
		return nil, err
	}
	if kind == unix.SOCK_RAW {
		filter := &unix.ICMPv6Filter{} // a bit that is set blocks a type
		for i := range filter.Data {
			filter.Data[i] = ^uint32(0)
		}
		filter.Data[echoReply/32] &^= 1 << (echoReply % 32)
		if err := unix.SetsockoptICMPv6Filter(fd, unix.SOL_ICMPV6, unix.ICMPV6_FILTER, filter); err != nil {
			return nil, errors.Join(err, unix.Close(fd))
		}
	}
	to := netip.AddrPortFrom(e.AddrB, 0)
	return &Talk{
		exchange: func(message []byte) ([]byte, error) {
			request := packet.ICMP(e.AddrA, e.AddrB, echoRequest, 0, echoID<<16|1, message)
			if err := unix.Sendto(fd, request, 0, sockaddr(to)); err != nil {
				return nil, err
			}
			for {
				reply, err := receive(fd, to)
				if err != nil {
					return nil, err
				}
				if len(reply) < echoHeader || reply[0] != echoReply {
					return nil, fmt.Errorf("%d octets that are no Echo Reply", len(reply))
				}
				// A raw socket sees the replies to others. The kernel gives sockets of the other kind their own identifier.
				if kind != unix.SOCK_RAW || binary.BigEndian.Uint16(reply[4:]) == echoID {
					return reply[echoHeader:], nil
				}
			}
		},
		close: func() { unix.Close(fd) },
	}, nil
}

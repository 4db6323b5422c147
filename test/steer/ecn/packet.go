// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"shim6/daemon/ctl"
)

const (
	ipv6Header    = 40
	payloadHeader = 8 // the Payload Extension Header of RFC 5533 section 5.1
	tcpHeader     = 20
	protocolTCP   = 6
	protocolShim6 = 140
	flagsOffset   = 13
	flagEcho      = 0x40 // ECE, RFC 3168 section 6.1
	flagReset     = 0x04
	flagSyn       = 0x02
	readTimeout   = 200 * time.Millisecond
)

// A segment is a TCP segment that came in.
type segment struct {
	flow
	echo bool
}

// listen hands on the segments that come in on any interface until ctx is done.
func listen(ctx context.Context, to chan<- segment) error {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(htons(unix.ETH_P_IPV6)))
	if err != nil {
		return fmt.Errorf("packet socket: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1); err != nil {
		return fmt.Errorf("ignore what goes out: %w", err)
	}
	timeout := unix.NsecToTimeval(readTimeout.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		return fmt.Errorf("receive timeout: %w", err)
	}
	buf := make([]byte, 128) // more than the headers
	for ctx.Err() == nil {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		switch err {
		case nil:
		case unix.EAGAIN, unix.EINTR:
			continue
		default:
			return fmt.Errorf("packet socket: %w", err)
		}
		if s, ok := parse(buf[:n]); ok {
			select {
			case to <- s:
			default: // as good as lost on the way
			}
		}
	}
	return nil
}

func htons(v uint16) uint16 { return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v)) }

// parse reads an IPv6 packet with a TCP segment that acknowledges something.
func parse(b []byte) (s segment, ok bool) {
	if len(b) < ipv6Header || b[0]>>4 != 6 {
		return s, false
	}
	src, _ := netip.AddrFromSlice(b[8:24])
	dst, _ := netip.AddrFromSlice(b[24:40])
	s.local, s.peer = dst, src
	next, rest := b[6], b[ipv6Header:]
	if next == protocolShim6 {
		if len(rest) < payloadHeader || rest[2]&0x80 == 0 {
			return s, false // too short, or a control message
		}
		s.tag = ctl.FormatTag(binary.BigEndian.Uint64(rest) & (1<<47 - 1))
		next, rest = rest[0], rest[payloadHeader:]
	}
	if next != protocolTCP || len(rest) < tcpHeader || rest[flagsOffset]&(flagSyn|flagReset) != 0 {
		return s, false // in a SYN the flag means something else
	}
	s.echo = rest[flagsOffset]&flagEcho != 0
	return s, true
}

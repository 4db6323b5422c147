// SPDX-License-Identifier: MIT

package fuzzer

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"unsafe"

	nl "github.com/mdlayher/netlink"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"shim6/test/lab/genl"
	"shim6/test/lab/node"
)

const (
	ethernetLen = 14
	// markMask selects a path by a packet's mark, of which there is a raw socket for each.
	markMask, markStep, rawSockets = 0xf0, 0x10, 4
	drainEvery                     = 64 // requests: their replies fill the socket
)

var deviceMAC = net.HardwareAddr{2, 0, 0, 0, 0, 1}

// Kinds of socket that send datagrams.
const (
	socketUDP = iota
	socketSegmented
	socketHeaders
	socketLite
	socketWhole
	socketPlain
	socketGone
	datagramSockets
)

// A Target is where inputs go: two hosts with the same contexts. What changes the contexts is tried on the first.
type Target struct {
	host, filtered *node.Node
	frame, merged  int // TAP devices of the host
	offloaded      int // TUN device of the filtered host
	raw            [rawSockets]int
	datagram       [datagramSockets]int
	peer           unix.RawSockaddrInet6
	Requests       *genl.Socket
	filteredGenl   *genl.Socket
	requests       int
	zeros          [1 << 16]byte
	buf            [ethernetLen + maxOctets]byte
}

// NewTarget makes the hosts and the contexts.
func NewTarget() (*Target, error) {
	t := &Target{peer: sockaddr(B1, 0)}
	copy(t.buf[:], deviceMAC)
	copy(t.buf[12:], []byte{0x86, 0xdd})
	for _, step := range []func() error{t.makeHost, t.makeFiltered, t.openSockets, t.Reset} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("fuzzer: %w", err)
		}
	}
	return t, nil
}

func (t *Target) makeHost() (err error) {
	if t.host, err = node.New("host"); err != nil {
		return err
	}
	return t.host.Do(func() (err error) {
		if t.frame, err = openTun("frame", unix.IFF_TAP|unix.IFF_NO_PI); err != nil {
			return err
		}
		if t.merged, err = openTun("merged", unix.IFF_TAP|unix.IFF_NO_PI|unix.IFF_NAPI|unix.IFF_NAPI_FRAGS); err != nil {
			return err
		}
		return errors.Join(
			up(t.host, "frame", 1500, deviceMAC), up(t.host, "merged", 1500, deviceMAC), outside(t.host),
		)
	})
}

func (t *Target) makeFiltered() (err error) {
	if t.filtered, err = node.New("filtered"); err != nil {
		return err
	}
	err = t.filtered.Do(func() (err error) {
		t.offloaded, err = openTun("offloaded", unix.IFF_TUN|unix.IFF_NO_PI|unix.IFF_VNET_HDR)
		return err
	})
	if err != nil {
		return err
	}
	_, err = t.filtered.Output("nft", "add table ip6 t; add chain ip6 t c { type filter hook input priority 0; }; "+
		"add rule ip6 t c ct state invalid counter accept; add chain ip6 t o { type filter hook output priority 0; }; "+
		"add rule ip6 t o ct state new counter accept")
	return errors.Join(err, up(t.filtered, "offloaded", 1500, nil), outside(t.filtered),
		t.filtered.Sysctl("net/ipv6/conf/all/forwarding", "1"))
}

// outside gives a host its addresses and a way out, on which everything vanishes; the way to B3 is narrow.
func outside(n *node.Node) error {
	for _, d := range []struct {
		name string
		mtu  int
	}{{"wide", 1500}, {"narrow", 1280}} {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = d.name
		if err := n.LinkAdd(&netlink.Dummy{LinkAttrs: attrs}); err != nil {
			return fmt.Errorf("device %s: %w", d.name, err)
		}
		if err := up(n, d.name, d.mtu, nil); err != nil {
			return err
		}
	}
	wide, err := n.LinkByName("wide")
	if err != nil {
		return err
	}
	narrow, err := n.LinkByName("narrow")
	if err != nil {
		return err
	}
	for _, a := range []netip.Addr{A1, A2, A3} {
		addr := &netlink.Addr{IPNet: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(128, 128)}, Flags: unix.IFA_F_NODAD}
		if err := n.AddrAdd(wide, addr); err != nil {
			return fmt.Errorf("address %v: %w", a, err)
		}
	}
	all := &net.IPNet{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)}
	b3 := &net.IPNet{IP: B3.AsSlice(), Mask: net.CIDRMask(128, 128)}
	return errors.Join(
		n.RouteAdd(&netlink.Route{LinkIndex: wide.Attrs().Index, Dst: all}),
		n.RouteAdd(&netlink.Route{LinkIndex: narrow.Attrs().Index, Dst: b3}),
	)
}

func up(n *node.Node, device string, mtu int, mac net.HardwareAddr) error {
	l, err := n.LinkByName(device)
	if err != nil {
		return fmt.Errorf("device %s: %w", device, err)
	}
	if mac != nil {
		if err := n.LinkSetHardwareAddr(l, mac); err != nil {
			return fmt.Errorf("device %s: %w", device, err)
		}
	}
	if err := errors.Join(n.LinkSetMTU(l, mtu), n.LinkSetUp(l)); err != nil {
		return fmt.Errorf("device %s: %w", device, err)
	}
	return nil
}

func openTun(name string, flags uint16) (int, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("/dev/net/tun: %w", err)
	}
	request, err := unix.NewIfreq(name)
	if err != nil {
		return 0, err
	}
	request.SetUint16(flags)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		return 0, fmt.Errorf("device %s: %w", name, err)
	}
	return fd, nil
}

func (t *Target) openSockets() error {
	err := t.host.Do(func() (err error) {
		for i := range t.raw {
			t.raw[i], err = unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
			if err != nil {
				return fmt.Errorf("raw socket: %w", err)
			}
			if err := unix.SetsockoptInt(t.raw[i], unix.SOL_SOCKET, unix.SO_MARK, i*markStep); err != nil {
				return fmt.Errorf("mark: %w", err)
			}
		}
		for kind := range t.datagram {
			if t.datagram[kind], err = openDatagram(kind); err != nil {
				return fmt.Errorf("socket %d: %w", kind, err)
			}
		}
		t.Requests, err = genl.Open()
		return err
	})
	if err != nil {
		return err
	}
	return t.filtered.Do(func() (err error) {
		t.filteredGenl, err = genl.Open()
		return err
	})
}

func openDatagram(kind int) (int, error) {
	proto, local, peer := unix.IPPROTO_UDP, A1, B1
	switch kind {
	case socketLite:
		proto = unix.IPPROTO_UDPLITE
	case socketPlain:
		peer = B2
	case socketGone:
		local, peer = gone, B3
	}
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, proto)
	if err != nil {
		return 0, err
	}
	padding := func(kind byte) string { return string([]byte{0, kind, 1, 4, 0, 0, 0, 0}) }
	switch kind {
	case socketSegmented:
		err = unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_SEGMENT, 400)
	case socketHeaders:
		err = errors.Join(
			unix.SetsockoptString(fd, unix.SOL_IPV6, unix.IPV6_HOPOPTS, padding(0)),
			unix.SetsockoptString(fd, unix.SOL_IPV6, unix.IPV6_DSTOPTS, padding(0)),
		)
	case socketWhole:
		err = unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_DONTFRAG, 1)
	case socketGone:
		err = unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_FREEBIND, 1)
	}
	if err != nil {
		return 0, err
	}
	if kind == socketUDP { // which packets from the peer find
		local = netip.IPv6Unspecified()
	}
	return fd, errors.Join(
		unix.Bind(fd, &unix.SockaddrInet6{Addr: local.As16(), Port: portLocal + kind}),
		unix.Connect(fd, &unix.SockaddrInet6{Addr: peer.As16(), Port: portPeer}),
	)
}

func sockaddr(a netip.Addr, port uint16) unix.RawSockaddrInet6 {
	return unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: a.As16(), Port: port}
}

// Reset makes the contexts and settings of both hosts what they were at first.
func (t *Target) Reset() error {
	for _, s := range []*genl.Socket{t.Requests, t.filteredGenl} {
		s.Drain()
		if err := do(s, genl.CtxFlush, nil); err != nil {
			return fmt.Errorf("flush: %w", err)
		}
		if err := t.settings(s); err != nil {
			return err
		}
		for _, c := range contexts() {
			if err := do(s, genl.CtxNew, c); err != nil {
				return fmt.Errorf("new context: %w", err)
			}
		}
	}
	return nil
}

func (t *Target) settings(s *genl.Socket) error {
	mode := genl.U8(genl.GSOMode, 0)
	if s == t.filteredGenl {
		mode = genl.U8(genl.GSOMode, 1)
	}
	err := do(s, genl.CfgSet, genl.Attrs(genl.U8(genl.Enabled, 1), genl.String(genl.Heuristic, "default"), mode,
		genl.U32(genl.MarkMask, markMask), genl.U8(genl.TCPKick, 1)))
	if err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	return nil
}

// Refresh makes again the contexts that requests have removed.
func (t *Target) Refresh() error {
	t.Requests.Drain()
	if err := t.settings(t.Requests); err != nil {
		return err
	}
	for _, c := range contexts() {
		if err := do(t.Requests, genl.CtxNew, c); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("new context: %w", err)
		}
	}
	return nil
}

// FlushStates deletes every xfrm state of the host, as any administrator may: contexts end with theirs.
func (t *Target) FlushStates() error {
	if err := t.host.XfrmStateFlush(0); err != nil {
		return fmt.Errorf("flush states: %w", err)
	}
	return nil
}

func do(s *genl.Socket, command uint8, attrs []byte) error {
	if err := s.Send(s.Message(command, nl.Request|nl.Acknowledge, attrs)); err != nil {
		return err
	}
	return s.Result()
}

// Run gives an input to the kernel, in one system call of this thread. The error is the kernel's answer, if it comes at once.
func (t *Target) Run(in Input) error {
	switch in.Kind {
	case Frame, Merged:
		fd := t.frame
		if in.Kind == Merged {
			fd = t.merged
		}
		n := copy(t.buf[ethernetLen:], in.Octets)
		return write(fd, t.buf[:ethernetLen+n])
	case Offloaded:
		return write(t.offloaded, in.Octets)
	case Raw:
		socket := 0
		if len(in.Octets) > 1 {
			socket = int(in.Octets[1] % rawSockets)
		}
		return t.send(t.raw[socket], in.Octets, &t.peer)
	case Datagram:
		if len(in.Octets) < 3 {
			return unix.EINVAL
		}
		n := int(in.Octets[1])<<8 | int(in.Octets[2])
		return t.send(t.datagram[in.Octets[0]%datagramSockets], t.zeros[:n], nil)
	case Request:
		if t.requests++; t.requests%drainEvery == 0 {
			t.Requests.Drain()
		}
		return t.Requests.Send(in.Octets)
	}
	return unix.EINVAL
}

// Neither tells Go's scheduler: the thread does nothing else meanwhile.

func write(fd int, b []byte) error {
	_, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if errno != 0 {
		return errno
	}
	return nil
}

func (t *Target) send(fd int, b []byte, to *unix.RawSockaddrInet6) error {
	var size uintptr
	if to != nil {
		size = unsafe.Sizeof(*to)
	}
	_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)),
		unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(to)), size)
	if errno != 0 {
		return errno
	}
	return nil
}

// Close removes the hosts.
func (t *Target) Close() error {
	for _, s := range []*genl.Socket{t.Requests, t.filteredGenl} {
		if s != nil {
			s.Close()
		}
	}
	for _, fd := range append(append([]int{t.frame, t.merged, t.offloaded}, t.raw[:]...), t.datagram[:]...) {
		unix.Close(fd)
	}
	return errors.Join(t.host.Delete(), t.filtered.Delete())
}

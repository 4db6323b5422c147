// SPDX-License-Identifier: MIT

package rtnl

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

// An AddressPair is the addresses of a socket that is connected.
type AddressPair struct {
	Local, Peer netip.Addr
}

// Sources gives the local addresses of the TCP and UDP sockets of the network namespace that are connected to a port of dst, each
// once.
func Sources(dst netip.Addr, port uint16) ([]netip.Addr, error) {
	var list []netip.Addr
	err := sockets(func(s socket) {
		if s.remote == netip.AddrPortFrom(dst, port) && !slices.Contains(list, s.local.Addr()) {
			list = append(list, s.local.Addr())
		}
	})
	return list, err
}

// Connections gives the address pairs between which a TCP connection of the network namespace is open, or a UDP socket is
// connected.
func Connections() (map[AddressPair]bool, error) {
	open := make(map[AddressPair]bool)
	err := sockets(func(s socket) {
		if s.open() {
			open[AddressPair{Local: s.local.Addr(), Peer: s.remote.Addr()}] = true
		}
	})
	return open, err
}

// A socket is a line of the kernel's lists.
type socket struct {
	local, remote netip.AddrPort
	state         string // of TCP, in hexadecimal; a UDP socket has that of a connection or of a closed socket
}

// open tells whether something may still be sent and answered.
func (s socket) open() bool {
	const timeWait, closed, listen = "06", "07", "0A"
	return s.state != timeWait && s.state != closed && s.state != listen
}

// sockets visits the TCP and UDP sockets of the network namespace. They are read from procfs: the kernel's modules for socket
// diagnosis may not be there.
func sockets(visit func(socket)) error {
	for _, name := range []string{"tcp6", "udp6"} {
		f, err := os.Open("/proc/thread-self/net/" + name)
		if err != nil {
			return fmt.Errorf("list sockets: %w", err)
		}
		err = readSockets(f, visit)
		f.Close()
		if err != nil {
			return fmt.Errorf("list sockets: %s: %w", name, err)
		}
	}
	return nil
}

// readSockets reads a list of sockets: after a heading each line has a number, the local and the remote address, the state, and
// more.
func readSockets(r io.Reader, visit func(socket)) error {
	lines := bufio.NewScanner(r)
	for n := 0; lines.Scan(); n++ {
		f := strings.Fields(lines.Text())
		if n == 0 || len(f) < 4 {
			continue
		}
		local, err := endpoint(f[1])
		if err != nil {
			return err
		}
		remote, err := endpoint(f[2])
		if err != nil {
			return err
		}
		visit(socket{local, remote, f[3]})
	}
	return lines.Err()
}

// endpoint reads an address, as four numbers of 32 bits in the order of the host, and a port.
func endpoint(s string) (netip.AddrPort, error) {
	word, number, _ := strings.Cut(s, ":")
	raw, err := hex.DecodeString(word)
	port, portErr := strconv.ParseUint(number, 16, 16)
	if err != nil || portErr != nil || len(raw) != 16 {
		return netip.AddrPort{}, fmt.Errorf("%q is no address with a port", s)
	}
	var a [16]byte
	for i := 0; i < 16; i += 4 {
		binary.NativeEndian.PutUint32(a[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	return netip.AddrPortFrom(netip.AddrFrom16(a), uint16(port)), nil
}

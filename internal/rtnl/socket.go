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

// Sources gives the local addresses of the TCP and UDP sockets of the network namespace that are connected to a port of dst, each
// once. They are read from procfs: the kernel's modules for socket diagnosis may not be there.
func Sources(dst netip.Addr, port uint16) ([]netip.Addr, error) {
	var list []netip.Addr
	for _, name := range []string{"tcp6", "udp6"} {
		f, err := os.Open("/proc/thread-self/net/" + name)
		if err != nil {
			return nil, fmt.Errorf("list sockets: %w", err)
		}
		found, err := connected(f, netip.AddrPortFrom(dst, port))
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("list sockets: %s: %w", name, err)
		}
		for _, a := range found {
			if !slices.Contains(list, a) {
				list = append(list, a)
			}
		}
	}
	return list, nil
}

// connected reads a list of sockets: after a heading each line has a number, the local and the remote address, and more.
func connected(r io.Reader, to netip.AddrPort) (list []netip.Addr, err error) {
	lines := bufio.NewScanner(r)
	for n := 0; lines.Scan(); n++ {
		f := strings.Fields(lines.Text())
		if n == 0 || len(f) < 3 {
			continue
		}
		remote, err := endpoint(f[2])
		if err != nil {
			return nil, err
		}
		if remote != to {
			continue
		}
		local, err := endpoint(f[1])
		if err != nil {
			return nil, err
		}
		list = append(list, local.Addr())
	}
	return list, lines.Err()
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

// SPDX-License-Identifier: MIT

package talk

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"shim6/test/lab/node"
)

const (
	wgDevice = "wg0"
	wgPort   = 51820
)

var (
	wgA = netip.MustParsePrefix("fd00:77::a/64")
	wgB = netip.MustParsePrefix("fd00:77::b/64")
)

// openWireguard talks by TCP in a tunnel between the addresses.
func openWireguard(e Ends) (*Talk, error) {
	keyA, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	keyB, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	err = errors.Join(
		tunnel(e.A, wgA, keyA, keyB.PublicKey(), e.AddrB),
		tunnel(e.B, wgB, keyB, keyA.PublicKey(), e.AddrA),
	)
	if err != nil {
		return nil, err
	}
	inner, err := openStream(Ends{e.A, e.B, wgA.Addr(), wgB.Addr(), e.Port}, unix.SOCK_STREAM, unix.IPPROTO_TCP)
	if err != nil {
		return nil, err
	}
	return &Talk{
		exchange: func(message []byte) ([]byte, error) {
			back, err := inner.exchange(message)
			return back, errors.Join(err, endpoint(e.A, e.AddrB), endpoint(e.B, e.AddrA))
		},
		close: func() {
			inner.Close()
			for _, n := range []*node.Node{e.A, e.B} {
				if l, err := n.LinkByName(wgDevice); err == nil {
					_ = n.LinkDel(l)
				}
			}
		},
	}, nil
}

func tunnel(n *node.Node, own netip.Prefix, key *ecdh.PrivateKey, peer *ecdh.PublicKey, to netip.Addr) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = wgDevice
	link := &netlink.Wireguard{LinkAttrs: attrs}
	if err := n.LinkAdd(link); err != nil {
		return fmt.Errorf("%s %s: %w", n.Name, wgDevice, err)
	}
	file, err := os.CreateTemp("", "wg")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	text := base64.StdEncoding.EncodeToString(key.Bytes())
	_, err = file.WriteString(text)
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	_, err = n.Output("wg", "set", wgDevice, "listen-port", strconv.Itoa(wgPort), "private-key", file.Name(),
		"peer", base64.StdEncoding.EncodeToString(peer.Bytes()), "allowed-ips", own.Masked().String(),
		"endpoint", netip.AddrPortFrom(to, wgPort).String())
	if err != nil {
		return err
	}
	address := &netlink.Addr{IPNet: netlink.NewIPNet(own.Addr().AsSlice()), Flags: unix.IFA_F_NODAD}
	address.IPNet.Mask = []byte{255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0}
	if err := n.AddrAdd(link, address); err != nil {
		return fmt.Errorf("%s %s: %w", n.Name, wgDevice, err)
	}
	return n.LinkSetUp(link)
}

// endpoint is an error unless the tunnel's peer is where it was configured: WireGuard follows the source of what it receives.
func endpoint(n *node.Node, want netip.Addr) error {
	out, err := n.Output("wg", "show", wgDevice, "endpoints")
	if err == nil && !strings.Contains(out, netip.AddrPortFrom(want, wgPort).String()) {
		err = fmt.Errorf("%s: the peer of %s is at %s, not %v", n.Name, wgDevice, strings.TrimSpace(out), want)
	}
	return err
}

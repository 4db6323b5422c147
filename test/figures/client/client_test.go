// SPDX-License-Identifier: MIT

package client

import (
	"net/netip"
	"testing"

	"shim6/daemon/wire"
	"shim6/internal/cga"
)

func clients(t *testing.T, n uint64) []*Client {
	t.Helper()
	key, err := cga.NewKey(1024)
	if err != nil {
		t.Fatal(err)
	}
	var list []*Client
	for i := range n {
		c, err := New(key, i)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, c)
	}
	return list
}

// What a client sends verifies, also after a file.
func TestClients(t *testing.T) {
	b, err := Write(clients(t, 3))
	if err != nil {
		t.Fatal(err)
	}
	list, err := Read(b, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[netip.Addr]bool)
	for _, c := range list {
		ulid, err := c.Address()
		if err != nil {
			t.Fatal(err)
		}
		seen[ulid] = true
		r1, err := wire.Marshal(&wire.R1{InitNonce: uint32(c.Number + 1), RespNonce: 7, Options: wire.Options{Validator: []byte{1, 2, 3, 4}}})
		if err != nil {
			t.Fatal(err)
		}
		packet, err := c.I2(r1)
		if err != nil {
			t.Fatal(err)
		}
		m, err := wire.Parse(packet)
		if err != nil {
			t.Fatal(err)
		}
		i2 := m.(*wire.I2)
		var peer []cga.PeerLocator
		for _, l := range i2.Locators.Locators {
			peer = append(peer, cga.PeerLocator{Addr: l.Addr, Method: uint8(l.Method)})
		}
		if bad, err := cga.VerifyLocators(ulid, i2.PDS, peer, i2.Locators.Generation, i2.Signature); err != nil {
			t.Errorf("client %d: locator %d: %v", c.Number, bad, err)
		}
		if len(peer) != 2 || peer[0].Addr != ulid {
			t.Errorf("client %d announces %v", c.Number, peer)
		}
		if _, err := list[0].I2(packet); err == nil {
			t.Error("an I2 was taken for an R1")
		}
	}
	if len(seen) != 2 {
		t.Errorf("addresses %v", seen)
	}
}

func TestWrongFiles(t *testing.T) {
	b, err := Write(clients(t, 2))
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]func() error{
		"cut":      func() error { _, err := Read(b[:len(b)-1], 0, 1); return err },
		"empty":    func() error { _, err := Read(nil, 0, 0); return err },
		"too many": func() error { _, err := Read(b, 1, 2); return err },
		"nobody":   func() error { _, err := Write(nil); return err },
		"mixed":    func() error { _, err := Write(append(clients(t, 1), clients(t, 1)...)); return err },
	} {
		if f() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

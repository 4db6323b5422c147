// SPDX-License-Identifier: MIT

// Package client makes clients that establish contexts with one host, and what they send, ahead of time.
package client

import (
	"bytes"
	"crypto/rsa"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"shim6/daemon/wire"
	"shim6/internal/cga"
)

// A Client has two CGAs of the same key, in two prefixes that no other client has, and signs the list of both.
type Client struct {
	Number    uint64
	Signature []byte
	spki      []byte
}

// Most is how many clients there can be.
const Most = 1 << 30

// New makes a client. What it signs is the same in each exchange, so that it is done here.
func New(key *rsa.PrivateKey, number uint64) (*Client, error) {
	spki, err := cga.MarshalPublicKey(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	c := &Client{Number: number, spki: spki}
	a, b, err := c.addresses()
	if err != nil {
		return nil, err
	}
	c.Signature, err = cga.Sign(key, cga.SignedData(1, []netip.Addr{a, b}))
	return c, err
}

func (c *Client) params(second uint64) cga.Params {
	p := cga.Params{PublicKey: c.spki}
	binary.BigEndian.PutUint64(p.Prefix[:], 0x20010db880000000|2*c.Number|second)
	binary.BigEndian.PutUint64(p.Modifier[:], c.Number)
	return p
}

func (c *Client) addresses() (a, b netip.Addr, err error) {
	if c.Number >= Most {
		return a, b, fmt.Errorf("client %d: there are fewer than %d", c.Number, Most)
	}
	p := c.params(0)
	if a, err = p.Address(0); err != nil {
		return a, b, err
	}
	p = c.params(1)
	b, err = p.Address(0)
	return a, b, err
}

// Tag is the client's context tag.
func (c *Client) Tag() wire.ContextTag { return wire.ContextTag(c.Number + 1) }

// Address is the client's ULID.
func (c *Client) Address() (netip.Addr, error) {
	a, _, err := c.addresses()
	return a, err
}

// I1 begins the exchange.
func (c *Client) I1() ([]byte, error) {
	return wire.Marshal(&wire.I1{InitiatorTag: c.Tag(), InitNonce: uint32(c.Number + 1)})
}

// I2 answers the R1 in a packet.
func (c *Client) I2(packet []byte) ([]byte, error) {
	m, err := wire.Parse(packet)
	if err != nil {
		return nil, err
	}
	r1, ok := m.(*wire.R1)
	if !ok {
		return nil, fmt.Errorf("%v is no R1", m.Type())
	}
	if r1.InitNonce != uint32(c.Number+1) {
		return nil, fmt.Errorf("an R1 for client %d came to client %d", r1.InitNonce-1, c.Number)
	}
	a, b, err := c.addresses()
	if err != nil {
		return nil, err
	}
	p := c.params(0)
	return wire.Marshal(&wire.I2{InitiatorTag: c.Tag(), InitNonce: r1.InitNonce, RespNonce: r1.RespNonce, Options: wire.Options{
		Validator: r1.Validator, PDS: p.Marshal(), Signature: c.Signature,
		Locators: &wire.LocatorList{Generation: 1, Locators: []wire.Locator{{Addr: a, Method: wire.VerifyCGA}, {Addr: b, Method: wire.VerifyCGA}}},
	}})
}

// IsR2 tells whether a packet is the R2 that ends the exchange.
func (c *Client) IsR2(packet []byte) (bool, error) {
	m, err := wire.Parse(packet)
	if err != nil {
		return false, err
	}
	r2, ok := m.(*wire.R2)
	return ok && r2.InitNonce == uint32(c.Number+1), nil
}

// Write puts clients of one key into a file: key length, signature length, key, then number and signature of each.
func Write(list []*Client) ([]byte, error) {
	if len(list) == 0 {
		return nil, errors.New("no clients")
	}
	spki, n := list[0].spki, len(list[0].Signature)
	b := binary.BigEndian.AppendUint16(nil, uint16(len(spki)))
	b = binary.BigEndian.AppendUint16(b, uint16(n))
	b = append(b, spki...)
	for _, c := range list {
		if !bytes.Equal(c.spki, spki) || len(c.Signature) != n {
			return nil, errors.New("clients have different keys")
		}
		b = binary.BigEndian.AppendUint64(b, c.Number)
		b = append(b, c.Signature...)
	}
	return b, nil
}

// Read reads what Write wrote, from client first on, count of them.
func Read(b []byte, first, count int) ([]*Client, error) {
	if len(b) < 4 {
		return nil, errors.New("the file of clients has no header")
	}
	key, n := int(binary.BigEndian.Uint16(b)), int(binary.BigEndian.Uint16(b[2:]))
	each := 8 + n
	rest := b[4:]
	if len(rest) < key || (len(rest)-key)%each != 0 {
		return nil, fmt.Errorf("the file of clients has %d octets, which are no whole number of clients", len(b))
	}
	spki, rest := rest[:key], rest[key:]
	if have := len(rest) / each; first < 0 || count < 0 || count > have-first {
		return nil, fmt.Errorf("the file has %d clients, not %d from number %d on", have, count, first)
	}
	var list []*Client
	for i := first; i < first+count; i++ {
		c := rest[i*each : (i+1)*each]
		list = append(list, &Client{Number: binary.BigEndian.Uint64(c), Signature: c[8:], spki: spki})
	}
	return list, nil
}

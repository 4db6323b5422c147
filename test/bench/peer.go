// SPDX-License-Identifier: MIT

package main

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"shim6/daemon/engine"
	"shim6/daemon/wire"
	"shim6/internal/cga"
)

const keyBits = 2048

// A responder is an engine with two CGAs and a clock of its own.
type responder struct {
	engine *engine.Engine
	now    time.Time
	addr   netip.Addr
}

func newResponder(key *rsa.PrivateKey, limits engine.Limits) (*responder, error) {
	r := &responder{now: time.Unix(1, 0)}
	cfg := engine.Config{Limits: limits}
	rand.Read(cfg.Seed[:])
	var err error
	if r.engine, err = engine.New(cfg); err != nil {
		return nil, err
	}
	spki, err := cga.MarshalPublicKey(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	var own []engine.LocalLocator
	for i := range uint64(2) {
		a, pds, err := address(spki, i, 1)
		if err != nil {
			return nil, err
		}
		own = append(own, engine.LocalLocator{Addr: a, PDS: pds, KeyID: "own"})
	}
	r.addr = own[0].Addr
	for _, a := range r.handle(engine.LocalLocators{Locators: own}) {
		if s, ok := a.(engine.Sign); ok {
			sig, err := cga.Sign(key, s.Data)
			r.handle(engine.SignDone{ID: s.ID, Signature: sig, Err: err})
		}
	}
	return r, nil
}

func (r *responder) handle(ev engine.Event) []engine.Action { return r.engine.Handle(r.now, ev) }

// address makes a CGA in the prefix of that number, and its parameters.
func address(spki []byte, prefix, modifier uint64) (netip.Addr, []byte, error) {
	p := cga.Params{PublicKey: spki}
	binary.BigEndian.PutUint64(p.Prefix[:], 0x20010db800000000|prefix)
	binary.BigEndian.PutUint64(p.Modifier[:], modifier)
	a, err := p.Address(0)
	return a, p.Marshal(), err
}

// A peer is an initiator with two CGAs. It has what it sends, not the state of a host.
type peer struct {
	addr netip.Addr
	tag  wire.ContextTag
	pds  []byte
	list *wire.LocatorList
	sig  []byte
}

// newPeer makes the peer of a number; without a key its signature is noise.
func newPeer(spki []byte, key *rsa.PrivateKey, n uint64) (*peer, error) {
	a, pds, err := address(spki, 2*n+16, n)
	if err != nil {
		return nil, err
	}
	b, _, err := address(spki, 2*n+17, n)
	if err != nil {
		return nil, err
	}
	p := &peer{addr: a, tag: wire.ContextTag(n + 1), pds: pds, sig: make([]byte, keyBits/8), list: &wire.LocatorList{Generation: 1, Locators: []wire.Locator{
		{Addr: a, Method: wire.VerifyCGA}, {Addr: b, Method: wire.VerifyCGA},
	}}}
	rand.Read(p.sig)
	if key != nil {
		p.sig, err = cga.Sign(key, cga.SignedData(1, []netip.Addr{a, b}))
	}
	return p, err
}

func (p *peer) packet(r *responder, m wire.Message) (engine.PacketIn, error) {
	b, err := wire.Marshal(m)
	return engine.PacketIn{Src: p.addr, Dst: r.addr, HopLimit: 64, Payload: b}, err
}

// i1 gives the R1 that answers an I1 of the peer, nil where none does.
func (p *peer) i1(r *responder) (*wire.R1, error) {
	in, err := p.packet(r, &wire.I1{InitiatorTag: p.tag, InitNonce: uint32(p.tag)})
	if err != nil {
		return nil, err
	}
	for _, a := range r.handle(in) {
		if s, ok := a.(engine.SendPacket); ok {
			m, err := wire.Parse(s.Payload)
			if err != nil {
				return nil, err
			}
			if r1, ok := m.(*wire.R1); ok {
				return r1, nil
			}
		}
	}
	return nil, nil
}

// i2 gives the I2 that answers an R1.
func (p *peer) i2(r *responder, r1 *wire.R1) (engine.PacketIn, error) {
	return p.packet(r, &wire.I2{InitiatorTag: p.tag, InitNonce: r1.InitNonce, RespNonce: r1.RespNonce, Options: wire.Options{
		Validator: r1.Validator, Locators: p.list, PDS: p.pds, Signature: p.sig,
	}})
}

// begin brings the peer as far as its I2.
func (p *peer) begin(r *responder) (engine.PacketIn, error) {
	r1, err := p.i1(r)
	if err != nil {
		return engine.PacketIn{}, err
	}
	if r1 == nil {
		return engine.PacketIn{}, fmt.Errorf("no R1 for %v", p.addr)
	}
	return p.i2(r, r1)
}

// verification finds what the engine wants verified.
func verification(acts []engine.Action) (engine.Verify, bool) {
	for _, a := range acts {
		if v, ok := a.(engine.Verify); ok {
			return v, true
		}
	}
	return engine.Verify{}, false
}

// verify does what a worker of shim6d does.
func verify(a engine.Verify) engine.VerifyDone {
	list := make([]cga.PeerLocator, len(a.List.Locators))
	for i, l := range a.List.Locators {
		list[i] = cga.PeerLocator{Addr: l.Addr, Method: uint8(l.Method)}
	}
	bad, err := cga.VerifyLocators(a.ULID, a.PDS, list, a.List.Generation, a.Signature)
	return engine.VerifyDone{ID: a.ID, BadLocator: bad, Err: err}
}

// programmed gives the tag of the context that the actions give to the kernel, zero for none.
func programmed(acts []engine.Action) wire.ContextTag {
	for _, a := range acts {
		if c, ok := a.(engine.ProgramContext); ok {
			return c.TagLocal
		}
	}
	return 0
}

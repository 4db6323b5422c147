// SPDX-License-Identifier: MIT

package sim

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"shim6/daemon/engine"
	"shim6/daemon/wire"
	"shim6/internal/cga"
)

// tamper changes what an engine wants done, where a test wants to see that this is found out.
var tamper func(*Host, []engine.Action) []engine.Action

// Handle gives an event to the engine and carries out what it asks for. Without a daemon it is lost; a suspended one gets it
// later.
func (h *Host) Handle(ev engine.Event) { h.handle(ev, nil) }

// handle is Handle for a packet of which the message may be known already.
func (h *Host) handle(ev engine.Event, in wire.Message) {
	switch {
	case h.Engine == nil:
		return
	case h.asleep():
		h.pending = append(h.pending, func() { h.handle(ev, in) })
		return
	}
	deadline := h.deadline()
	due := !deadline.IsZero() && !deadline.After(h.now())
	acts := h.Engine.Handle(h.now(), ev)
	if tamper != nil {
		acts = tamper(h, acts)
	}
	if p, ok := ev.(engine.PacketIn); ok && in == nil {
		in, _ = wire.Parse(p.Payload)
	}
	h.check(ev, in, due, acts)
	for _, a := range acts {
		h.traceAction(a)
		switch a := a.(type) {
		case engine.SendPacket:
			if !h.has(a.Src) {
				h.w.tracef("%s cannot send from %s", h.Name, h.w.Name(a.Src))
				continue
			}
			h.w.carryControl(a, h.checkSent(ev, in, a))
		case engine.ProgramContext:
			h.kernel.program(a)
			h.save()
		case engine.RemoveContext:
			h.kernel.remove(a.Tag)
			h.save()
		case engine.StateChanged, engine.PathChanged:
			h.save()
		case engine.SetReap:
			h.kernel.setReap(h.kernelNow(), a)
		case engine.Sign:
			sig, err := h.sign(a.Data)
			h.later(h.w.crypto, func() { h.Handle(engine.SignDone{ID: a.ID, Signature: sig, Err: err}) })
		case engine.Verify:
			done := h.w.verify(a)
			h.later(h.w.crypto, func() { h.Handle(done) })
		}
	}
}

// carryControl brings a control message to its destination, if the links let it.
func (w *World) carryControl(a engine.SendPacket, m wire.Message) {
	from := w.owner[a.Src]
	delays, n := w.Links.pass(w.rng, a.Src, a.Dst)
	if n == 0 && w.Links.refused[[2]netip.Addr{a.Src, a.Dst}] {
		w.After(2*delays[0], func() { from.icmp(a, icmpUnreachable, 0) })
	}
	for _, d := range delays[:n] {
		b, m := a.Payload, m
		if w.Links.Corrupt > 0 && w.rng.Float64() < w.Links.Corrupt {
			b, m = bytes.Clone(b), nil
			bit := w.rng.IntN(8 * len(b))
			b[bit/8] ^= 1 << (bit % 8)
		}
		w.After(d, func() {
			to := w.receiver(a.Dst)
			switch {
			case to == nil:
			case to.foreign:
				w.After(d, func() { from.icmp(a, icmpParameterProblem, 1) })
			default:
				from.reached[a.Dst] = true
				to.handle(engine.PacketIn{Src: a.Src, Dst: a.Dst, HopLimit: 64, Payload: b}, m)
			}
		})
	}
}

// Types of ICMPv6 errors.
const (
	icmpUnreachable      = 1
	icmpParameterProblem = 4
)

// icmp tells the host of a packet that came to nothing.
func (h *Host) icmp(a engine.SendPacket, typ, code uint8) {
	if !h.has(a.Src) || h.asleep() {
		return
	}
	b := make([]byte, 40, 40+len(a.Payload))
	b[0] = 6 << 4
	binary.BigEndian.PutUint16(b[4:], uint16(len(a.Payload)))
	b[6], b[7] = wire.Protocol, 64
	src, dst := a.Src.As16(), a.Dst.As16()
	copy(b[8:], src[:])
	copy(b[24:], dst[:])
	h.Handle(engine.ICMPError{Src: a.Dst, Type: typ, Code: code, Quoted: append(b, a.Payload...)})
}

// sign makes a signature. Random scripts do with a model of it: most of their time would be RSA's, and nobody forges there.
func (h *Host) sign(data []byte) ([]byte, error) {
	if h.keyless {
		return nil, errors.New("the key is not there")
	}
	if !h.w.cheap {
		return cga.Sign(h.key, data)
	}
	spki, err := cga.MarshalPublicKey(&h.key.PublicKey)
	return modelSignature(spki, data), err
}

// modelSignature is as long as that of the least RSA key.
func modelSignature(spki, data []byte) []byte {
	sum := sha256.Sum256(append(bytes.Clone(spki), data...))
	return bytes.Repeat(sum[:], cga.MinKeyBits/8/len(sum))
}

func (w *World) verify(a engine.Verify) engine.VerifyDone {
	var ls []cga.PeerLocator
	var signed []netip.Addr
	var generation uint32
	if a.List != nil {
		generation = a.List.Generation
		for _, l := range a.List.Locators {
			if w.cheap && l.Method == wire.VerifyCGA {
				signed = append(signed, l.Addr)
				continue
			}
			ls = append(ls, cga.PeerLocator{Addr: l.Addr, Method: uint8(l.Method)})
		}
	}
	bad, err := cga.VerifyLocators(a.ULID, a.PDS, ls, generation, a.Signature)
	if err == nil && len(signed) > 0 {
		bad, err = -1, verifyModel(a.PDS, cga.SignedData(generation, signed), a.Signature)
	}
	return engine.VerifyDone{ID: a.ID, BadLocator: bad, Err: err}
}

func verifyModel(pds, data, signature []byte) error {
	p, err := cga.ParseParams(pds)
	if err == nil && !bytes.Equal(signature, modelSignature(p.PublicKey, data)) {
		err = fmt.Errorf("model of a signature: %w", cga.ErrSignature)
	}
	return err
}

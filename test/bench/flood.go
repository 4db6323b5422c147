// SPDX-License-Identifier: MIT

package main

import (
	"crypto/rsa"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"shim6/daemon/engine"
	"shim6/daemon/wire"
	"shim6/internal/cga"
)

const (
	header  = 40 // octets of IPv6
	retries = 5
	every   = 4 * time.Second // I1_TIMEOUT of RFC 5533 section 11
	spacing = 20 * time.Microsecond
)

// An exchange is the good peer's among a flood: it begins again as long as it is not answered.
type exchange struct {
	peer  *peer
	next  time.Time
	tries int
	tag   wire.ContextTag
}

func (x *exchange) step(r *responder) error {
	if x.tag != 0 || x.tries == retries || r.now.Before(x.next) {
		return nil
	}
	x.tries, x.next = x.tries+1, r.now.Add(every)
	r1, err := x.peer.i1(r)
	if err != nil || r1 == nil {
		return err
	}
	in, err := x.peer.i2(r, r1)
	if err != nil {
		return err
	}
	if v, ok := verification(r.handle(in)); ok {
		x.tag = programmed(r.handle(verify(v)))
	}
	return nil
}

func (x *exchange) report(t *table, flood string) {
	left := 0.0
	if x.tag == 0 {
		left = 1
	}
	t.atMost(flood+": good peers left without a context", left, "", 0)
	t.note(flood+": tries of the good peer", float64(x.tries), "")
}

// floods measures what strangers can cause with the default limits.
func floods(key *rsa.PrivateKey, n int, t *table) error {
	spki, err := cga.MarshalPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	if err := i1Flood(key, spki, n, t); err != nil {
		return fmt.Errorf("I1 flood: %w", err)
	}
	if err := i2Flood(key, spki, n/10, t); err != nil {
		return fmt.Errorf("I2 flood: %w", err)
	}
	return nil
}

func i1Flood(key *rsa.PrivateKey, spki []byte, n int, t *table) error {
	r, err := newResponder(key, engine.Limits{})
	if err != nil {
		return err
	}
	good, err := newPeer(spki, key, 1)
	if err != nil {
		return err
	}
	x := &exchange{peer: good, next: r.now.Add(time.Second)}
	rng := rand.New(rand.NewPCG(1, 2))
	before, most, widest, out := heap(), 0, 0.0, 0
	for i := range n {
		var a [16]byte
		binary.BigEndian.PutUint64(a[:], 0x2000000000000000|rng.Uint64()>>3)
		binary.BigEndian.PutUint64(a[8:], rng.Uint64())
		p := peer{addr: netip.AddrFrom16(a), tag: wire.ContextTag(i + 100)}
		in, err := p.packet(r, &wire.I1{InitiatorTag: p.tag, InitNonce: uint32(i)})
		if err != nil {
			return err
		}
		sent := 0
		for _, a := range r.handle(in) {
			if s, ok := a.(engine.SendPacket); ok {
				sent++
				widest = max(widest, float64(header+len(s.Payload))/float64(header+len(in.Payload)))
			}
		}
		most, out = max(most, sent), out+sent
		if err := x.step(r); err != nil {
			return err
		}
		r.now = r.now.Add(spacing)
	}
	t.note("I1 flood: I1s", float64(n), "")
	t.note("I1 flood: R1s", float64(out), "")
	t.atMost("I1 flood: memory gained", (heap()-before)/1024, "KiB", 64)
	t.atMost("I1 flood: packets out for one in", float64(most), "", 1)
	t.atMost("R1 amplification, octets with the IPv6 header", widest, "", 3)
	x.report(t, "I1 flood")
	return nil
}

// i2Flood has a good peer among attackers of 64 prefixes, whose parameters and validators are good and whose signatures are
// not. Verifications take no time here; what counts is how many the engine asks for.
func i2Flood(key *rsa.PrivateKey, spki []byte, n int, t *table) error {
	const attackers = 64
	limits := engine.Limits{VerifyRate: 20}
	r, err := newResponder(key, limits)
	if err != nil {
		return err
	}
	good, err := newPeer(spki, key, 1)
	if err != nil {
		return err
	}
	x := &exchange{peer: good, next: r.now.Add(time.Second)}
	var bad []*peer
	for i := range uint64(attackers) {
		p, err := newPeer(spki, nil, 1000+i)
		if err != nil {
			return err
		}
		bad = append(bad, p)
	}
	packets := make([]engine.PacketIn, attackers)
	start, asked, renewed := r.now, 0, time.Time{}
	for i := range n {
		if r.now.Sub(renewed) > 10*time.Second {
			for j, p := range bad {
				if packets[j], err = p.begin(r); err != nil {
					return err
				}
			}
			renewed = r.now
		}
		if v, ok := verification(r.handle(packets[i%attackers])); ok {
			asked++
			if programmed(r.handle(verify(v))) != 0 {
				return fmt.Errorf("a bad signature made a context")
			}
		}
		if err := x.step(r); err != nil {
			return err
		}
		r.now = r.now.Add(10 * spacing)
	}
	seconds := r.now.Sub(start).Seconds()
	budget := float64(attackers*limits.VerifyRate) * (seconds + 2) // two seconds' worth may come at once
	t.note("bad I2 flood: I2s", float64(n), "")
	t.note("bad I2 flood: verifications", float64(asked), "")
	t.atMost("bad I2 flood: verifications / budget of the prefixes", float64(asked)/budget, "", 1)
	x.report(t, "bad I2 flood")
	return nil
}

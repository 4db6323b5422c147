// SPDX-License-Identifier: MIT

package engine_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"shim6/daemon/engine"
	"shim6/daemon/reap"
	"shim6/daemon/shim6"
	"shim6/daemon/wire"
)

// FuzzEngine turns octets into events, most of which make some sense: nonces, tags and validators that the engine gave out
// come back, from right and wrong places. What must hold is checked after each.
func FuzzEngine(f *testing.F) {
	for seed := range byte(16) {
		rng := rand.New(rand.NewChaCha8([32]byte{seed}))
		b := make([]byte, 1500)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		z := newFuzz(t, b)
		for range 250 {
			if len(z.b) == 0 {
				break
			}
			z.step()
		}
	})
}

const fuzzContexts = 12

// A fuzzer feeds one engine and knows what may come out.
type fuzzer struct {
	t   *testing.T
	b   []byte
	e   *engine.Engine
	now time.Time

	pool     []netip.Addr
	tags     []wire.ContextTag
	nonces   []uint32
	prompts  []prompt
	nonce    map[string]bool
	mine     map[uint32]bool // initiator nonces sent
	reports  []wire.ProbeReport
	verifies map[uint64]engine.Verify
	signs    map[uint64]bool
	verified map[[2]netip.Addr]bool // ULID and locator
	ulids    map[netip.Addr]bool    // that peers have
	proved   map[netip.Addr]bool    // was the source of a message with a validator or nonce of ours
	epochs   map[wire.ContextTag]uint32
	used     map[string]bool // epochs by tag
	contexts int
}

func newFuzz(t *testing.T, b []byte) *fuzzer {
	e, err := engine.New(engine.Config{Seed: [32]byte{1}, SendTimeout: 3 * time.Second, Limits: engine.Limits{
		Contexts: fuzzContexts, Verifying: 4, Waiting: 4,
	}})
	if err != nil {
		t.Fatal(err)
	}
	z := &fuzzer{
		t: t, b: b, e: e, now: start,
		nonce: map[string]bool{}, mine: map[uint32]bool{}, verifies: map[uint64]engine.Verify{}, signs: map[uint64]bool{},
		verified: map[[2]netip.Addr]bool{}, ulids: map[netip.Addr]bool{}, proved: map[netip.Addr]bool{},
		epochs: map[wire.ContextTag]uint32{}, used: map[string]bool{},
		tags: []wire.ContextTag{0, 1, 1 << 46}, nonces: []uint32{0, 1},
	}
	for i := range 4 {
		z.pool = append(z.pool, netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, 0xa, 0, byte(i), 15: 1}))
	}
	for i := range 6 {
		z.pool = append(z.pool, netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, 0xb, 0, byte(i), 15: 1}))
	}
	z.pool = append(z.pool, netip.MustParseAddr("ff02::1"), netip.MustParseAddr("fe80::1"), netip.Addr{})
	z.handle(z.locators(7), nil)
	return z
}

func (z *fuzzer) byte() byte {
	if len(z.b) == 0 {
		return 0
	}
	c := z.b[0]
	z.b = z.b[1:]
	return c
}

func (z *fuzzer) below(n int) int      { return int(z.byte()) % n }
func (z *fuzzer) addr() netip.Addr     { return z.pool[z.below(len(z.pool))] }
func (z *fuzzer) tag() wire.ContextTag { return z.tags[len(z.tags)-1-z.below(min(len(z.tags), 16))] }
func (z *fuzzer) initNonce() uint32    { return z.nonces[len(z.nonces)-1-z.below(min(len(z.nonces), 8))] }
func (z *fuzzer) local() netip.Addr    { return z.pool[z.below(4)] }
func (z *fuzzer) peer() netip.Addr     { return z.pool[4+z.below(6)] }
func (z *fuzzer) chance(of int) bool   { return z.below(of) == 0 }
func (z *fuzzer) octets(most int) []byte {
	n := min(z.below(most+1), len(z.b))
	b := z.b[:n]
	z.b = z.b[n:]
	return append([]byte{}, b...)
}

// locators gives some of the first four addresses; the first two look like CGAs of one key.
func (z *fuzzer) locators(mask int) engine.LocalLocators {
	var ev engine.LocalLocators
	for i := range 4 {
		if mask&(1<<i) == 0 {
			continue
		}
		l := engine.LocalLocator{Addr: z.pool[i]}
		if i < 2 {
			l.PDS, l.KeyID = append(make([]byte, 25), 0x30, 2, 5, 0), "k"
		}
		ev.Locators = append(ev.Locators, l)
	}
	return ev
}

func (z *fuzzer) options(o *wire.Options) {
	if z.chance(4) {
		o.ULIDs = &wire.ULIDPairOption{Sender: z.peer(), Receiver: z.local()}
	}
	if z.chance(8) {
		o.FII = new(uint32(z.byte()))
	}
}

func (z *fuzzer) offer(o *wire.Options) {
	if z.chance(3) {
		o.KeepaliveTimeout = new(uint16(z.byte()))
	}
	if z.chance(2) {
		o.PDS, o.Signature = z.octets(3), z.octets(3)
	}
	if z.chance(2) {
		o.Locators = &wire.LocatorList{Generation: uint32(z.byte())}
		for range z.below(5) {
			o.Locators.Locators = append(o.Locators.Locators, wire.Locator{Addr: z.peer(), Method: wire.VerificationMethod(1 + z.below(3))})
		}
	}
}

// A prompt is a message that the engine sent, and what made it do so.
type prompt struct {
	packet engine.SendPacket
	sent   wire.Message
	cause  wire.Message
}

// answer gives a message that fits what the engine sent before, on the same addresses.
func (z *fuzzer) answer() (engine.PacketIn, wire.Message) {
	if len(z.prompts) == 0 {
		return z.packet()
	}
	to := z.prompts[len(z.prompts)-1-z.below(min(len(z.prompts), 6))]
	p := engine.PacketIn{Src: to.packet.Dst, Dst: to.packet.Src, HopLimit: 64}
	var m wire.Message
	switch sent := to.sent.(type) {
	case *wire.I1:
		m = &wire.R1{InitNonce: sent.InitNonce, RespNonce: uint32(z.byte()), Options: wire.Options{Validator: z.octets(5)}}
		if z.chance(4) {
			r2 := &wire.R2{ResponderTag: z.tag(), InitNonce: sent.InitNonce}
			z.offer(&r2.Options)
			m = r2
		}
	case *wire.R1:
		i2 := &wire.I2{RespNonce: sent.RespNonce, InitNonce: z.initNonce()}
		if i1, ok := to.cause.(*wire.I1); ok {
			i2.InitiatorTag, i2.ULIDs, i2.FII = i1.InitiatorTag, i1.ULIDs, i1.FII
		}
		i2.Validator = sent.Validator
		z.offer(&i2.Options)
		m = i2
	case *wire.R1bis:
		i2bis := &wire.I2bis{InitiatorTag: z.tag(), RespNonce: sent.RespNonce, InitNonce: z.initNonce(), PacketTag: sent.PacketTag}
		i2bis.Validator = sent.Validator
		z.options(&i2bis.Options)
		z.offer(&i2bis.Options)
		m = i2bis
	case *wire.I2:
		r2 := &wire.R2{ResponderTag: z.tag(), InitNonce: sent.InitNonce}
		z.offer(&r2.Options)
		m = r2
	case *wire.I2bis:
		r2 := &wire.R2{ResponderTag: z.tag(), InitNonce: sent.InitNonce}
		z.offer(&r2.Options)
		m = r2
	case *wire.Probe:
		tag := z.tagged()
		probe := &wire.Probe{ReceiverTag: tag, State: uint8(z.below(3)), Sent: []wire.ProbeReport{
			{Src: p.Src, Dst: p.Dst, Nonce: uint32(z.byte())},
		}, Received: sent.Sent[:z.below(len(sent.Sent)+1)]}
		m = probe
	case *wire.Keepalive, *wire.R2, *wire.UpdateAck:
		tag := z.tagged()
		m = &wire.Keepalive{ReceiverTag: tag}
		if z.chance(2) {
			ur := &wire.UpdateRequest{ReceiverTag: tag, ReqNonce: uint32(z.byte())}
			z.offer(&ur.Options)
			m = ur
		}
		if cs := z.e.Contexts(); len(cs) > 0 && z.chance(3) {
			m = &wire.R1bis{PacketTag: cs[z.below(len(cs))].TagPeer, Options: wire.Options{Validator: z.octets(3)}}
		}
	default:
		return z.packet()
	}
	b, err := wire.Marshal(m)
	if err != nil {
		return p, nil
	}
	p.Payload = b
	return p, m
}

func (z *fuzzer) message() wire.Message {
	switch z.below(11) {
	case 0:
		m := &wire.I1{InitiatorTag: z.tag(), InitNonce: z.initNonce()}
		z.options(&m.Options)
		return m
	case 1:
		return &wire.R1{InitNonce: z.initNonce(), RespNonce: uint32(z.byte()), Options: wire.Options{Validator: z.octets(9)}}
	case 2:
		m := &wire.I2{InitiatorTag: z.tag(), InitNonce: z.initNonce()}
		z.options(&m.Options)
		z.offer(&m.Options)
		return m
	case 3, 4:
		m := &wire.R2{ResponderTag: z.tag(), InitNonce: z.initNonce()}
		z.offer(&m.Options)
		return m
	case 5:
		return &wire.R1bis{PacketTag: z.tag(), RespNonce: uint32(z.byte()), Options: wire.Options{Validator: z.octets(9)}}
	case 6:
		m := &wire.I2bis{InitiatorTag: z.tag(), InitNonce: z.initNonce(), PacketTag: z.tag()}
		z.options(&m.Options)
		z.offer(&m.Options)
		return m
	case 7:
		m := &wire.UpdateRequest{ReceiverTag: z.tag(), ReqNonce: uint32(z.byte())}
		z.offer(&m.Options)
		if z.chance(2) {
			m.Preferences = &wire.LocatorPreferences{Generation: uint32(z.byte()), ElementLen: 1}
			for range z.below(4) {
				m.Preferences.Elements = append(m.Preferences.Elements, wire.Preference{Flags: z.byte()})
			}
		}
		return m
	case 8:
		return &wire.Keepalive{ReceiverTag: z.tag()}
	case 9:
		return &wire.UpdateAck{ReceiverTag: z.tag(), ReqNonce: z.initNonce()}
	}
	m := &wire.Probe{ReceiverTag: z.tag(), State: uint8(z.below(3)), Sent: []wire.ProbeReport{{Nonce: uint32(z.byte())}}}
	for range z.below(3) {
		if len(z.reports) > 0 {
			m.Received = append(m.Received, z.reports[len(z.reports)-1-z.below(min(len(z.reports), 8))])
		}
	}
	return m
}

// packet gives a packet and, when it is well-formed, the message in it.
func (z *fuzzer) packet() (engine.PacketIn, wire.Message) {
	p := engine.PacketIn{Src: z.peer(), Dst: z.local(), HopLimit: z.byte()}
	if z.chance(16) {
		p.Src, p.Dst = z.addr(), z.addr()
	}
	if z.chance(16) {
		p.Payload = z.octets(80)
		return p, nil
	}
	m := z.message()
	if probe, ok := m.(*wire.Probe); ok {
		probe.Sent[0].Src, probe.Sent[0].Dst = p.Src, p.Dst
	}
	b, err := wire.Marshal(m)
	if err != nil {
		return p, nil
	}
	p.Payload = b
	return p, m
}

// tagged gives a context of the engine, mostly.
func (z *fuzzer) tagged() wire.ContextTag {
	if cs := z.e.Contexts(); len(cs) > 0 && !z.chance(8) {
		return cs[z.below(len(cs))].TagLocal
	}
	return z.tag()
}

func (z *fuzzer) step() {
	tag := z.tagged()
	epoch := z.epochs[tag]
	if z.chance(8) {
		epoch--
	}
	switch z.below(26) {
	case 0:
		z.handle(engine.Trigger{ULIDs: engine.ULIDPair{Local: z.local(), Peer: z.peer()}}, nil)
	case 1:
		z.handle(engine.SendTimeoutExpired{Tag: tag, Epoch: epoch}, nil)
	case 2:
		z.handle(engine.PayloadSeen{Tag: tag, Epoch: epoch}, nil)
	case 3:
		z.handle(engine.KeepaliveDue{Tag: tag, Epoch: epoch, Last: z.chance(2)}, nil)
	case 4:
		z.handle(engine.UnknownTag{Src: z.addr(), Dst: z.addr(), Tag: z.tag()}, nil)
	case 5:
		z.handle(engine.ContextGone{Tag: tag}, nil)
	case 6:
		z.handle(z.locators(int(z.byte())), nil)
	case 7:
		z.handle(engine.ProbeContext{Tag: tag}, nil)
	case 8:
		z.handle(engine.ContextIdle{Tag: tag, Idle: time.Duration(z.byte()) * 5 * time.Second}, nil)
	case 9:
		if z.chance(4) {
			z.handle(engine.DeleteContext{Tag: tag}, nil)
		}
	case 10, 11:
		if id, ok := lowest(z.verifies); ok {
			v := z.verifies[id]
			if z.chance(3) {
				z.handle(engine.VerifyDone{ID: id, BadLocator: z.below(8) - 2, Err: errors.New("no")}, nil)
			} else {
				if v.List != nil {
					for _, l := range v.List.Locators {
						z.verified[[2]netip.Addr{v.ULID, l.Addr}] = true
					}
				}
				z.handle(engine.VerifyDone{ID: id, BadLocator: -1}, nil)
			}
			delete(z.verifies, id)
		}
	case 12:
		if id, ok := lowest(z.signs); ok {
			delete(z.signs, id)
			z.handle(engine.SignDone{ID: id, Signature: z.octets(3)}, nil)
		}
	case 13:
		z.now = z.now.Add(time.Duration(z.byte()) * 37 * time.Millisecond)
		z.handle(engine.Tick{}, nil)
	case 14:
		if d := z.e.Deadline(); !d.IsZero() {
			z.now = d
			z.handle(engine.Tick{}, nil)
		}
	case 15:
		if cs := z.e.Contexts(); len(cs) > 0 {
			s := cs[z.below(len(cs))]
			s.FII, s.TagLocal = s.FII+uint32(z.below(2)), s.TagLocal^wire.ContextTag(z.below(2))
			z.handle(engine.AdoptContext{Snapshot: s}, nil)
		}
	case 16:
		z.handle(engine.ICMPError{Src: z.addr(), Type: 4, Code: 1, Quoted: z.octets(120)}, nil)
	case 17, 18:
		p, m := z.packet()
		z.handle(p, m)
	default:
		p, m := z.answer()
		z.handle(p, m)
	}
}

// lowest gives the lowest key, so that equal input makes an equal run.
func lowest[V any](m map[uint64]V) (id uint64, ok bool) {
	if len(m) == 0 {
		return 0, false
	}
	return slices.Min(slices.Collect(maps.Keys(m))), true
}

// handle gives an event to the engine and checks what comes of it.
func (z *fuzzer) handle(ev engine.Event, m wire.Message) {
	t := z.t
	acts := z.e.Handle(z.now, ev)
	if d := z.e.Deadline(); !d.IsZero() && !d.After(z.now) {
		t.Fatalf("%T: deadline %v is not after %v", ev, d, z.now)
	}
	cs := z.e.Contexts()
	if len(cs) > fuzzContexts {
		t.Fatalf("%d contexts", len(cs))
	}
	p, isPacket := ev.(engine.PacketIn)
	z.note(ev, p, m)
	if len(cs) > z.contexts {
		z.mayMakeContext(ev, m)
	}
	z.contexts = len(cs)
	for _, c := range cs {
		z.ulids[c.ULIDs.Peer] = true
		z.checkSnapshot(c)
	}
	sent := 0
	for _, a := range acts {
		switch a := a.(type) {
		case engine.SendPacket:
			sent++
			z.checkSent(ev, m, a)
		case engine.ProgramContext:
			for _, path := range a.Paths {
				z.mayBeDestination(path.Peer, a.ULIDs.Peer)
				if path.Peer != a.ULIDs.Peer && !z.proved[path.Peer] {
					t.Fatalf("%T: payload to %v, which never answered", ev, path.Peer)
				}
			}
		case engine.Verify:
			z.verifies[a.ID] = a
			if len(z.verifies) > 4 {
				t.Fatalf("%d verifications", len(z.verifies))
			}
			z.mayVerify(ev, m)
		case engine.Sign:
			z.signs[a.ID] = true
		case engine.SetReap:
			key := fmt.Sprint(a.Tag, a.Epoch)
			if z.used[key] {
				t.Fatalf("%T: epoch %d of %v again", ev, a.Epoch, a.Tag)
			}
			z.used[key] = true
			z.epochs[a.Tag] = a.Epoch
			if a.State == reap.Exploring && (a.Send > reap.TimerStop || a.Keepalive > reap.TimerStop) {
				t.Fatalf("%T: %+v starts a timer in Exploring", ev, a)
			}
			if a.Send > reap.TimerStop && a.Keepalive > reap.TimerStop {
				t.Fatalf("%T: %+v runs both timers", ev, a)
			}
		}
	}
	if isPacket && sent > 4 {
		t.Fatalf("one packet made %d", sent)
	}
}

// note remembers what an event proves: a nonce or validator of ours came back from its source.
func (z *fuzzer) note(ev engine.Event, p engine.PacketIn, m wire.Message) {
	switch m := m.(type) {
	case *wire.I2:
		z.proved[p.Src] = z.proved[p.Src] || z.nonce[key(m.RespNonce, m.Validator)]
	case *wire.I2bis:
		z.proved[p.Src] = z.proved[p.Src] || z.nonce[key(m.RespNonce, m.Validator)]
	case *wire.R2:
		z.proved[p.Src] = z.proved[p.Src] || z.mine[m.InitNonce]
	case *wire.Probe:
		for _, r := range m.Received {
			z.proved[r.Dst] = true // only reports of probes that were sent are made here
		}
	}
	if a, ok := ev.(engine.AdoptContext); ok {
		z.proved[a.Snapshot.Current.Peer] = true
	}
}

func key(nonce uint32, validator []byte) string { return fmt.Sprint(nonce, validator) }

// mayMakeContext: "a responder holds no state before a valid I2".
func (z *fuzzer) mayMakeContext(ev engine.Event, m wire.Message) {
	switch ev.(type) {
	case engine.Trigger, engine.AdoptContext, engine.VerifyDone, engine.SignDone, engine.LocalLocators:
		return
	case engine.PacketIn:
		if z.isValidated(m) {
			return
		}
	}
	z.t.Fatalf("%T (%T) made a context", ev, m)
}

// mayVerify: RSA never comes before a good validator or nonce.
func (z *fuzzer) mayVerify(ev engine.Event, m wire.Message) {
	switch m := m.(type) {
	case *wire.R2:
		if z.mine[m.InitNonce] {
			return
		}
	case *wire.UpdateRequest:
		return // for a context, from one of its locators
	default:
		if z.isValidated(m) {
			return
		}
	}
	z.t.Fatalf("%T (%T) made a verification", ev, m)
}

func (z *fuzzer) isValidated(m wire.Message) bool {
	switch m := m.(type) {
	case *wire.I2:
		return z.nonce[key(m.RespNonce, m.Validator)]
	case *wire.I2bis:
		return z.nonce[key(m.RespNonce, m.Validator)]
	}
	return false
}

// mayBeDestination: nothing unverified ever is a destination.
func (z *fuzzer) mayBeDestination(a, ulid netip.Addr) {
	if a != ulid && !z.verified[[2]netip.Addr{ulid, a}] {
		z.t.Fatalf("%v is a destination for ULID %v, and was not verified", a, ulid)
	}
}

func (z *fuzzer) checkSnapshot(c engine.Snapshot) {
	if c.State == shim6.StateEstablished && (!c.TagLocal.Valid() || !c.TagPeer.Valid()) {
		z.t.Fatalf("established with tags %v and %v", c.TagLocal, c.TagPeer)
	}
	if len(c.LocatorsPeer) > shim6.MaxLocators {
		z.t.Fatalf("%d locators", len(c.LocatorsPeer))
	}
}

// checkSent looks at a packet, and remembers what it gives away.
func (z *fuzzer) checkSent(ev engine.Event, cause wire.Message, p engine.SendPacket) {
	m, err := wire.Parse(p.Payload)
	z.prompts = append(z.prompts, prompt{p, m, cause})
	if err != nil || len(p.Payload) > wire.MaxControl {
		z.t.Fatalf("%T: sent %d octets: %v", ev, len(p.Payload), err)
	}
	switch m := m.(type) {
	case *wire.R1:
		z.nonce[key(m.RespNonce, m.Validator)] = true
		z.answers(ev, p)
	case *wire.R1bis:
		z.nonce[key(m.RespNonce, m.Validator)] = true
		z.answers(ev, p)
	case *wire.ErrorMsg:
		if v, ok := ev.(engine.VerifyDone); !ok || v.Err == nil {
			z.answers(ev, p)
		}
	case *wire.I1:
		z.give(p, m.InitiatorTag, m.InitNonce)
	case *wire.I2:
		z.give(p, m.InitiatorTag, m.InitNonce)
	case *wire.I2bis:
		z.give(p, m.InitiatorTag, m.InitNonce)
	case *wire.R2:
		z.give(p, m.ResponderTag, 0)
	case *wire.Probe:
		z.give(p, m.ReceiverTag, 0)
		z.reports = append(z.reports, m.Sent[0])
		if m.Sent[0].Src != p.Src || m.Sent[0].Dst != p.Dst {
			z.t.Fatalf("probe from %v to %v says %+v", p.Src, p.Dst, m.Sent[0])
		}
	case *wire.Keepalive:
		z.give(p, m.ReceiverTag, 0)
	}
}

// answers asserts that a packet without context goes back where the one it answers came from, and is not much longer.
func (z *fuzzer) answers(ev engine.Event, p engine.SendPacket) {
	switch ev := ev.(type) {
	case engine.PacketIn:
		if p.Dst == ev.Src && p.Src == ev.Dst && len(p.Payload) <= len(ev.Payload)+48 {
			return
		}
	case engine.UnknownTag:
		if p.Dst == ev.Src && p.Src == ev.Dst {
			return
		}
	case engine.VerifyDone, engine.SignDone, engine.LocalLocators:
		return // to a packet that waited
	}
	z.t.Fatalf("%T made an answer from %v to %v of %d octets", ev, p.Src, p.Dst, len(p.Payload))
}

// give remembers what a message of a context tells to its receiver, who must be the peer.
func (z *fuzzer) give(p engine.SendPacket, tag wire.ContextTag, nonce uint32) {
	z.tags = append(z.tags, tag)
	if nonce != 0 {
		z.nonces = append(z.nonces, nonce)
		z.mine[nonce] = true
	}
	if z.ulids[p.Dst] {
		return
	}
	for v := range z.verified {
		if v[1] == p.Dst && z.ulids[v[0]] {
			return
		}
	}
	z.t.Fatalf("sent to %v, which is neither ULID nor verified", p.Dst)
}

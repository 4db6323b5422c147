// SPDX-License-Identifier: MIT

package engine_test

import (
	"errors"
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
	cfg engine.Config
	e   *engine.Engine
	now time.Time

	pool     []netip.Addr
	tags     []wire.ContextTag
	nonces   []uint32
	prompts  []prompt
	nonce    map[nonceKey]bool
	mine     map[uint32]bool // initiator nonces sent
	reports  []wire.ProbeReport
	verifies map[uint64]engine.Verify
	signs    map[uint64]bool
	verified map[[2]netip.Addr]bool // ULID and locator
	ulids    map[netip.Addr]bool    // that peers have
	proved   map[netip.Addr]bool    // was the source of a message with a validator or nonce of ours
	epochs   map[wire.ContextTag]uint32
	used     map[epochKey]bool // epochs by tag
	contexts []engine.Snapshot
}

// A nonceKey is a responder nonce with its validator, an epochKey an epoch of a context.
type (
	nonceKey struct {
		nonce     uint32
		validator string
	}
	epochKey struct {
		tag   wire.ContextTag
		epoch uint32
	}
)

func newFuzz(t *testing.T, b []byte) *fuzzer {
	cfg := engine.Config{Seed: [32]byte{1}, SendTimeout: 3 * time.Second, FailBack: 5 * time.Second, Multipath: true, Limits: engine.Limits{
		Contexts: fuzzContexts, Verifying: 4, Waiting: 4,
	}}
	e, err := engine.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	z := &fuzzer{
		t: t, b: b, cfg: cfg, e: e, now: start,
		nonce: map[nonceKey]bool{}, mine: map[uint32]bool{}, verifies: map[uint64]engine.Verify{}, signs: map[uint64]bool{},
		verified: map[[2]netip.Addr]bool{}, ulids: map[netip.Addr]bool{}, proved: map[netip.Addr]bool{},
		epochs: map[wire.ContextTag]uint32{}, used: map[epochKey]bool{},
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

func (z *fuzzer) step() {
	tag := z.tagged()
	epoch := z.epochs[tag]
	if z.chance(8) {
		epoch--
	}
	switch z.below(33) {
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
		if cs := z.contexts; len(cs) > 0 {
			s := cs[z.below(len(cs))]
			s.FII, s.TagLocal = s.FII+uint32(z.below(2)), s.TagLocal^wire.ContextTag(z.below(2))
			z.handle(engine.AdoptContext{Snapshot: s}, nil)
		}
	case 16:
		z.handle(engine.ICMPError{Src: z.addr(), Type: 4, Code: 1, Quoted: z.octets(120)}, nil)
	case 17:
		z.handle(engine.ContextHint{Tag: z.tag(), Why: "hint"}, nil)
		z.handle(engine.Hint{Pair: engine.LocatorPair{Local: z.local(), Peer: z.addr()}, Why: "hint"}, nil)
	case 18:
		z.handle(engine.SetTimeouts{
			Tag: tag, SendTimeout: time.Duration(z.byte()) * 100 * time.Millisecond, Teardown: time.Duration(z.byte()) * time.Second,
		}, nil)
	case 19:
		// As long as a watched pair takes to be probed.
		z.now = z.now.Add(time.Duration(z.byte()) * 500 * time.Millisecond)
		z.handle(engine.Tick{}, nil)
	case 20:
		z.handle(engine.ULIDEnds{ULID: z.local(), At: z.now.Add(time.Duration(z.byte())*time.Second - time.Minute)}, nil)
	case 21:
		z.handle(engine.Fork{
			Tag: tag, Pair: engine.LocatorPair{Local: z.local(), Peer: z.peer()}, SendTimeout: time.Duration(z.byte()) * 100 * time.Millisecond,
		}, nil)
	case 22:
		pair := engine.LocatorPair{Local: z.local(), Peer: z.peer()}
		if z.chance(2) {
			z.handle(engine.SwitchPath{Tag: tag, Pair: pair}, nil)
		} else {
			z.handle(engine.PreferPairs{Tag: tag, Pairs: []engine.LocatorPair{pair, {Local: z.local(), Peer: z.peer()}}[:z.below(3)]}, nil)
		}
	case 23:
		z.handle(engine.Configure{Config: z.config()}, nil)
	case 24, 25:
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
	if len(cs) > len(z.contexts) {
		z.mayMakeContext(ev, m)
	}
	z.contexts = cs
	for _, a := range acts { // one of two messages that waited for a signature may undo what the other did
		if made, ok := a.(engine.StateChanged); ok && made.To.Alive() {
			z.ulids[made.ULIDs.Peer] = true
		}
	}
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
			key := epochKey{a.Tag, a.Epoch}
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

func key(nonce uint32, validator []byte) nonceKey { return nonceKey{nonce, string(validator)} }

// mayMakeContext: "a responder holds no state before a valid I2".
func (z *fuzzer) mayMakeContext(ev engine.Event, m wire.Message) {
	switch ev.(type) {
	case engine.Trigger, engine.Fork, engine.AdoptContext, engine.VerifyDone, engine.SignDone, engine.LocalLocators:
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

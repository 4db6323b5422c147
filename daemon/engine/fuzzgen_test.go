// SPDX-License-Identifier: MIT

package engine_test

import (
	"net/netip"
	"time"

	"shim6/daemon/engine"
	"shim6/daemon/wire"
)

func (z *fuzzer) byte() byte {
	if len(z.b) == 0 {
		return 0
	}
	c := z.b[0]
	z.b = z.b[1:]
	return c
}

func (z *fuzzer) below(n int) int { return int(z.byte()) % n }

func (z *fuzzer) addr() netip.Addr { return z.pool[z.below(len(z.pool))] }

func (z *fuzzer) tag() wire.ContextTag { return z.tags[len(z.tags)-1-z.below(min(len(z.tags), 16))] }

func (z *fuzzer) initNonce() uint32 { return z.nonces[len(z.nonces)-1-z.below(min(len(z.nonces), 8))] }

func (z *fuzzer) local() netip.Addr { return z.pool[z.below(4)] }

func (z *fuzzer) peer() netip.Addr { return z.pool[4+z.below(6)] }

func (z *fuzzer) chance(of int) bool { return z.below(of) == 0 }

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

// config gives a configuration with few contexts, and policies for some peers.
func (z *fuzzer) config() engine.Config {
	cfg := z.cfg
	cfg.FailBack = time.Duration(z.below(3)) * 10 * time.Second
	cfg.Multipath = z.chance(2)
	for range z.below(3) {
		cfg.Policies = append(cfg.Policies, engine.Policy{
			Prefix: netip.PrefixFrom(z.peer(), 128-z.below(20)).Masked(), Refuse: z.chance(4), NoTrigger: z.chance(4),
			SendTimeout: time.Duration(z.below(3)) * time.Second,
			Locators:    []engine.LocalPolicy{{Prefix: netip.PrefixFrom(z.local(), 128), Priority: z.byte(), Cost: z.byte()}},
		})
	}
	return cfg
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
		if cs := z.contexts; len(cs) > 0 && z.chance(3) {
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
	if cs := z.contexts; len(cs) > 0 && !z.chance(8) {
		return cs[z.below(len(cs))].TagLocal
	}
	return z.tag()
}

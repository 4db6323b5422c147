// SPDX-License-Identifier: MIT

package engine_test

import (
	"net/netip"
	"slices"
	"testing"

	"shim6/daemon/engine"
	"shim6/daemon/shim6"
	"shim6/daemon/wire"
)

// peerNumber gives an address in a prefix of its own.
func peerNumber(i int) netip.Addr {
	return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0xc, byte(i >> 8), byte(i), 15: 1})
}

// ask makes a host begin an exchange with each of n peers.
func (h *host) ask(n int) {
	for i := range n {
		h.handle(engine.Trigger{ULIDs: engine.ULIDPair{Local: h.addr(0), Peer: peerNumber(i)}})
	}
}

// A pattern is a source that gives a function of how many numbers it has given.
type pattern struct {
	n  uint64
	of func(n uint64) uint64
}

func (p *pattern) Uint64() uint64 {
	p.n++
	return p.of(p.n)
}

// distinct begins exchanges with numbers of a pattern, and checks that a value differs in all their I1s.
func distinct[V comparable](t *testing.T, of func(n uint64) uint64, value func(*wire.I1) V) {
	t.Helper()
	w := newWorld(t)
	a := w.add("a", engine.Config{}, plain("2001:db8:a1::1"))
	a.e.SetRandom(&pattern{of: of})
	const n = 50
	a.ask(n)
	values := map[V]bool{}
	for _, m := range messages[*wire.I1](t, a.take()) {
		values[value(m)] = true
	}
	if len(values) != n {
		t.Errorf("%d values for %d exchanges", len(values), n)
	}
}

// RFC 5533 section 7.1: "The Context Tag [...] MUST be unique", over all contexts of the host and not those with one peer alone.
func TestTagsAreUnique(t *testing.T) {
	sameTen := func(n uint64) uint64 { return (n/10 + 1) * 0x1_0000_0001 }
	distinct(t, sameTen, func(m *wire.I1) wire.ContextTag { return m.InitiatorTag })
}

// RFC 5533 section 7.7 tells the R1 and R2 of an exchange by its Initiator Nonce, so no two exchanges that run may share one.
func TestInitiatorNoncesAreUnique(t *testing.T) {
	// Tags, of the lower 47 bits, differ, so that each costs one number.
	sameUpper := func(n uint64) uint64 { return (n/10+1)<<47 | n }
	distinct(t, sameUpper, func(m *wire.I1) uint32 { return m.InitNonce })
}

// RFC 5533 section 7.1: "at least 30 bits of the tag MUST be [...] random or pseudo-random"; here all 47 are. A host "SHOULD
// randomly cycle through the 2^47" values, so that a tag is not used again soon.
func TestTagsAreRandom(t *testing.T) {
	const n = 1000
	w := newWorld(t)
	a := w.add("a", engine.Config{}, plain("2001:db8:a1::1"))
	a.ask(n)
	var ones [64]int
	var tags []wire.ContextTag
	for _, m := range messages[*wire.I1](t, a.take()) {
		tags = append(tags, m.InitiatorTag)
		for bit := range ones {
			ones[bit] += int(m.InitiatorTag >> bit & 1)
		}
	}
	for bit, count := range ones {
		if bit < 47 && (count < n*4/10 || count > n*6/10) || bit >= 47 && count != 0 {
			t.Errorf("bit %d is set in %d of %d tags", bit, count, n)
		}
	}
	if rising := func() (k int) {
		for i := range tags[1:] {
			if tags[i+1] > tags[i] {
				k++
			}
		}
		return k
	}(); rising < n*4/10 || rising > n*6/10 {
		t.Errorf("%d of %d tags are above the one before", rising, n)
	}
	// What is free again is not the next to be taken.
	old := a.e.Contexts()
	for _, c := range old {
		a.handle(engine.DeleteContext{Tag: c.TagLocal})
	}
	a.take()
	a.ask(n)
	for _, m := range messages[*wire.I1](t, a.take()) {
		if slices.Contains(tags, m.InitiatorTag) {
			t.Errorf("tag %v again", m.InitiatorTag)
		}
	}
}

// RFC 5533 section 7.11: an R1 finds its context by the Initiator Nonce, section 7.16 an R2 likewise, however many exchanges run.
func TestManyExchangesAtOnce(t *testing.T) {
	const n = 500
	w := newWorld(t)
	a := w.add("a", engine.Config{}, plain("2001:db8:a1::1"))
	a.ask(n)
	w.queue = nil
	i1s := pick[engine.SendPacket](a.take())
	for i := n - 1; i >= 0; i-- {
		m := parse[*wire.I1](t, i1s[i])
		acts := a.send(peerNumber(i), a.addr(0), &wire.R1{InitNonce: m.InitNonce, Options: wire.Options{Validator: []byte{1}}})
		if i2s := pick[engine.SendPacket](acts); len(i2s) != 1 || i2s[0].Dst != peerNumber(i) {
			t.Fatalf("R1 of peer %d: %s", i, kinds(acts))
		}
		w.queue = nil
	}
	for i := range n {
		m := parse[*wire.I1](t, i1s[i])
		a.send(peerNumber(i), a.addr(0), &wire.R2{ResponderTag: wire.ContextTag(i + 1), InitNonce: m.InitNonce})
	}
	for i, c := range a.e.Contexts() {
		if c.State != shim6.StateEstablished || c.ULIDs.Peer != peerNumber(i) || c.TagPeer != wire.ContextTag(i+1) {
			t.Fatalf("context %d: %v with %v, tag %v", i, c.State, c.ULIDs.Peer, c.TagPeer)
		}
	}
}

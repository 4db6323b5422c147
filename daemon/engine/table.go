// SPDX-License-Identifier: MIT

package engine

import (
	"cmp"
	"container/heap"
	"container/list"
	"net/netip"
	"slices"
	"time"

	"shim6/daemon/reap"
	"shim6/daemon/shim6"
	"shim6/daemon/wire"
)

// A contextKey is what a context is known by (RFC 5533 section 12.4).
type contextKey struct {
	ulids ULIDPair
	fii   uint32
}

// packed is the same without what an IPv6 address of no zone has no use for: there is one for each context.
func (k contextKey) packed() packedKey {
	return packedKey{k.ulids.Local.As16(), k.ulids.Peer.As16(), k.fii}
}

type packedKey struct {
	local, peer [16]byte
	fii         uint32
}

// A context is a ULID-pair context with its REAP state and its places in the table.
type context struct {
	*shim6.Context
	reap     *reap.Machine // nil until the context was established
	inKernel bool
	path     LocatorPair  // that the kernel was given
	home     *LocatorPair // preferred among pairs of equal preference
	noticed  *LocatorPair // that the last Update Request went on, nil for none yet
	// sendTimeout is what the peer was told or is being told, so it stays when the configuration changes with a restart.
	sendTimeout time.Duration
	told        time.Duration // the Send Timeout that the peer goes by until it acknowledges a shorter one
	teardown    time.Duration
	ends        time.Time // when the local ULID becomes invalid, zero for never

	updatesCome uint64 // Update Requests of the peer so far
	updateTaken uint64 // the last of these that was taken over

	probesSent, probesReceived, keepalivesSent uint64

	seq      uint64 // order of creation
	tag      wire.ContextTag
	peerTag  wire.ContextTag
	nextPeer *context // with the same peerTag
	nonce    uint32
	deadline time.Time
	at       int           // in the queue, -1 for not
	failure  *list.Element // its place among the failures, nil for none
}

func (c *context) key() contextKey { return contextKey{c.ULIDs, c.FII} }

// keepaliveTimeout is the peer's Send Timeout, as far as it told (RFC 5534 section 7).
func (c *context) keepaliveTimeout() time.Duration {
	if c.KeepaliveTimeout == 0 {
		return reap.DefaultSendTimeout
	}
	return c.KeepaliveTimeout
}

// keepaliveInterval is a third of the Keepalive Timeout, so that one Keepalive may be lost (RFC 5534 section 7). It is
// rounded up to the kernel's milliseconds: three of them never end just short of the timeout, where the last one is sent.
func keepaliveInterval(timeout time.Duration) time.Duration {
	return (timeout/3 + time.Millisecond - 1).Truncate(time.Millisecond)
}

// A table holds the contexts, found by whatever packets name them by.
type table struct {
	seq       uint64
	byKey     map[packedKey]*context
	byTag     map[wire.ContextTag]*context
	byNonce   map[uint32]*context
	byPeerTag map[wire.ContextTag]*context // the first of those that have it, the others behind its nextPeer
	queue     queue
	failures  list.List // contexts that only remember that there is nobody to talk to, the oldest first
}

func newTable() *table {
	return &table{
		byKey:     map[packedKey]*context{},
		byTag:     map[wire.ContextTag]*context{},
		byNonce:   map[uint32]*context{},
		byPeerTag: map[wire.ContextTag]*context{},
	}
}

func (t *table) add(c *context) {
	t.seq++
	c.seq, c.at = t.seq, -1
	t.byKey[c.key().packed()] = c
}

// find gives the context of a key, nil for none.
func (t *table) find(k contextKey) *context { return t.byKey[k.packed()] }

// withPeerTag lists the contexts whose peer has a tag for them, in the order in which they got it.
func (t *table) withPeerTag(tag wire.ContextTag) (cs []*context) {
	for c := t.byPeerTag[tag]; c != nil; c = c.nextPeer {
		cs = append(cs, c)
	}
	return cs
}

// index brings the table up to date with a context that may have changed.
func (t *table) index(c *context) {
	state := c.State()
	tag, nonce, peerTag := c.TagLocal, c.InitNonce, c.TagPeer
	if !state.Alive() {
		tag, peerTag = 0, 0
	}
	if state != shim6.StateI1Sent && state != shim6.StateI2Sent && state != shim6.StateI2bisSent {
		nonce = 0
	}
	if c.tag != tag {
		delete(t.byTag, c.tag)
		if c.tag = tag; tag != 0 {
			t.byTag[tag] = c
		}
	}
	if c.nonce != nonce {
		delete(t.byNonce, c.nonce)
		if c.nonce = nonce; nonce != 0 {
			t.byNonce[nonce] = c
		}
	}
	if c.peerTag != peerTag {
		t.dropPeerTag(c)
		if c.peerTag = peerTag; peerTag != 0 {
			t.chain(append(t.withPeerTag(peerTag), c))
		}
	}
	switch failed := !state.Alive() && state != shim6.StateIdle; {
	case failed && c.failure == nil:
		c.failure = t.failures.PushBack(c)
	case !failed:
		t.dropFailure(c)
	}
	t.schedule(c)
}

func (t *table) dropFailure(c *context) {
	if c.failure != nil {
		t.failures.Remove(c.failure)
		c.failure = nil
	}
}

func (t *table) dropPeerTag(c *context) {
	rest := slices.DeleteFunc(t.withPeerTag(c.peerTag), func(d *context) bool { return d == c })
	if c.nextPeer = nil; len(rest) == 0 {
		delete(t.byPeerTag, c.peerTag)
		return
	}
	t.chain(rest)
}

// chain makes withPeerTag give these contexts for their tag.
func (t *table) chain(cs []*context) {
	for i, c := range cs[1:] {
		cs[i].nextPeer = c
	}
	cs[len(cs)-1].nextPeer = nil
	t.byPeerTag[cs[0].peerTag] = cs[0]
}

func (t *table) remove(c *context) {
	delete(t.byKey, c.key().packed())
	delete(t.byTag, c.tag)
	delete(t.byNonce, c.nonce)
	t.dropPeerTag(c)
	t.dropFailure(c)
	if c.at >= 0 {
		heap.Remove(&t.queue, c.at)
	}
}

// all lists the contexts in the order of creation.
func (t *table) all() []*context {
	cs := make([]*context, 0, len(t.byKey))
	for _, c := range t.byKey {
		cs = append(cs, c)
	}
	slices.SortFunc(cs, func(a, b *context) int { return cmp.Compare(a.seq, b.seq) })
	return cs
}

// ulids gives the local ULIDs of all contexts.
func (t *table) ulids() map[netip.Addr]bool {
	as := map[netip.Addr]bool{}
	for k := range t.byKey {
		as[netip.AddrFrom16(k.local)] = true
	}
	return as
}

// schedule puts a context in its place in the queue of deadlines.
func (t *table) schedule(c *context) {
	d := c.Deadline()
	if !c.ends.IsZero() && (d.IsZero() || c.ends.Before(d)) {
		d = c.ends
	}
	if c.reap != nil && c.State() == shim6.StateEstablished {
		if r := c.reap.Deadline(); !r.IsZero() && (d.IsZero() || r.Before(d)) {
			d = r
		}
	}
	c.deadline = d
	switch {
	case d.IsZero() && c.at >= 0:
		heap.Remove(&t.queue, c.at)
	case d.IsZero():
	case c.at >= 0:
		heap.Fix(&t.queue, c.at)
	default:
		heap.Push(&t.queue, c)
	}
}

// A queue is a heap of contexts, the earliest deadline first, among equal ones the oldest context.
type queue []*context

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	if c := q[i].deadline.Compare(q[j].deadline); c != 0 {
		return c < 0
	}
	return q[i].seq < q[j].seq
}
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].at, q[j].at = i, j
}
func (q *queue) Push(x any) {
	c := x.(*context)
	c.at = len(*q)
	*q = append(*q, c)
}
func (q *queue) Pop() any {
	old := *q
	c := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	c.at = -1
	return c
}

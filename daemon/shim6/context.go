// SPDX-License-Identifier: MIT

// Package shim6 is the state of a ULID-pair context and how it is agreed on with the peer (RFC 5533). It is pure: time
// comes in as an argument, randomness from a generator that is given, and what is to be done comes back as a list of
// actions.
package shim6

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"shim6/daemon/wire"
)

// A ULIDPair is the pair of upper-layer identifiers of a context.
type ULIDPair struct {
	Local, Peer netip.Addr
}

// A LocatorPair is a pair of locators: one of ours, used as source, and one of the peer's, used as destination.
type LocatorPair struct {
	Local, Peer netip.Addr
}

// A State is a state of RFC 5533 section 6.2.
type State uint8

// The states of a context.
const (
	StateIdle State = iota
	StateI1Sent
	StateI2Sent
	StateEstablished
	StateI2bisSent
	StateEFailed
	StateNoSupport
)

// String gives the name of the RFC.
func (s State) String() string {
	switch s {
	case StateIdle:
		return "IDLE"
	case StateI1Sent:
		return "I1-SENT"
	case StateI2Sent:
		return "I2-SENT"
	case StateEstablished:
		return "ESTABLISHED"
	case StateI2bisSent:
		return "I2BIS-SENT"
	case StateEFailed:
		return "E-FAILED"
	case StateNoSupport:
		return "NO-SUPPORT"
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// Alive tells whether an exchange runs or has come to its end: a context in another state is as good as none, but for
// being remembered (RFC 5533 section 6.2).
func (s State) Alive() bool {
	return s != StateIdle && s != StateEFailed && s != StateNoSupport
}

// A Context is a ULID-pair context. Its exported fields are for reading; its methods return what is to be done, in order.
type Context struct {
	ULIDs             ULIDPair
	FII               uint32
	TagLocal, TagPeer wire.ContextTag
	Local, Peer       LocatorSet
	PDSPeer           []byte        // that the peer gave last; nil for none
	Exchange          LocatorPair   // of the last exchange: where its messages went
	InitNonce         uint32        // ours, where we are the initiator
	KeepaliveTimeout  time.Duration // that the peer asked for, zero for none
	Since             time.Time     // when State was entered

	rng         *rand.Rand
	sendTimeout *uint16 // to be announced
	timeoutNew  *uint16 // that the peer is to be told of by itself
	state       State
	bare        bool   // the peer may not have our parameters: an exchange did not tell them
	digest      Digest // of the offer in force
	*pending           // nil where there is nothing to keep
	out         []Action
}

// Params are what a Context starts with.
type Params struct {
	Rand        *rand.Rand
	ULIDs       ULIDPair
	FII         uint32
	SendTimeout time.Duration // ours; announced to the peer unless it is the default (RFC 5534 section 5.3)
}

// New makes a Context in IDLE.
func New(p Params) *Context {
	return &Context{
		ULIDs: p.ULIDs, FII: p.FII,
		Local:       LocatorSet{Locators: []Locator{{Addr: p.ULIDs.Local, Verified: true}}},
		Peer:        LocatorSet{Locators: []Locator{{Addr: p.ULIDs.Peer, Verified: true}}},
		rng:         p.Rand,
		sendTimeout: announcedTimeout(p.SendTimeout),
	}
}

// A Restored is what Restore needs beside Params.
type Restored struct {
	TagLocal, TagPeer wire.ContextTag
	Local, Peer       LocatorSet
	PDSPeer           []byte
	Exchange          LocatorPair
	KeepaliveTimeout  time.Duration
	Since             time.Time
	Untold            bool
}

// Restore makes a Context in ESTABLISHED from what an earlier one was.
func Restore(p Params, r Restored) *Context {
	c := New(p)
	c.TagLocal, c.TagPeer = r.TagLocal, r.TagPeer
	c.Local, c.Peer = r.Local, r.Peer
	c.PDSPeer, c.Exchange = r.PDSPeer, r.Exchange
	c.KeepaliveTimeout = r.KeepaliveTimeout
	c.Since = r.Since
	c.bare = true // nobody knows any more
	if r.Untold {
		c.wake()
		c.owing = r.Since
		c.timeoutNew = new(seconds(p.SendTimeout))
	}
	c.state = StateEstablished
	return c
}

// State gives the state.
func (c *Context) State() State { return c.state }

// Deadline is when Expire must be called; zero means never.
func (c *Context) Deadline() time.Time { return c.waits().deadline }

// Close forgets the exchange, so that the context may be dropped.
func (c *Context) Close(now time.Time, why string) []Action {
	c.stop()
	c.setState(now, StateIdle, why)
	return c.take()
}

// NotSupported remembers that the peer does not speak Shim6 (RFC 5533 section 7.8).
func (c *Context) NotSupported(now time.Time, why string) []Action {
	if c.state == StateI1Sent {
		c.giveUp(now, StateNoSupport, ICMPHolddownTime, why)
	}
	return c.take()
}

// giveUp remembers for some time that there is nobody to talk to.
func (c *Context) giveUp(now time.Time, to State, hold time.Duration, why string) {
	c.stop()
	c.setState(now, to, why)
	c.wake()
	c.deadline = now.Add(hold)
}

// Detour begins the exchange anew on another pair: the local locator that it was on is gone.
func (c *Context) Detour(now time.Time, pair LocatorPair) []Action {
	switch c.state {
	case StateI1Sent, StateI2Sent, StateI2bisSent:
		c.wake()
		c.Exchange, c.fallbacks = pair, 0
		c.sendI1(now, "local locator gone")
	}
	return c.take()
}

// stop ends what is repeated.
func (c *Context) stop() {
	if c.pending == nil {
		return
	}
	c.held, c.notice, c.doubted, c.owing = nil, nil, nil, time.Time{}
	c.deadline, c.retries = time.Time{}, 0
}

// stopSending ends what is repeated; what is owed to the peer remains.
func (c *Context) stopSending() {
	owing := c.waits().owing
	c.stop()
	if c.pending != nil {
		c.owing = owing
	}
}

func (c *Context) setState(now time.Time, to State, why string) {
	if to == c.state {
		return
	}
	c.do(Changed{From: c.state, To: to, Why: why})
	c.state, c.Since = to, now
}

func (c *Context) send(pair LocatorPair, m wire.Message) { c.do(Send{pair, m}) }

func (c *Context) do(a Action) { c.out = append(c.out, a) }

// addressing gives the options that name the context where the addresses of the packet do not (RFC 5533 sections 5.4,
// 5.6, 5.9).
func (c *Context) addressing(pair LocatorPair) wire.Options {
	var o wire.Options
	if LocatorPair(c.ULIDs) != pair {
		o.ULIDs = &wire.ULIDPairOption{Sender: c.ULIDs.Local, Receiver: c.ULIDs.Peer}
	}
	if c.FII != 0 {
		o.FII = &c.FII
	}
	return o
}

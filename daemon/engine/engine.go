// SPDX-License-Identifier: MIT

// Package engine is the whole of shim6d that thinks: a table of contexts, the dispatch of packets and kernel events to
// them, and the limits on what strangers can cause. It is pure: every effect is an Action that somebody else carries out.
package engine

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"shim6/daemon/reap"
	"shim6/daemon/shim6"
	"shim6/daemon/wire"
)

// An Engine turns events into actions. It is not safe for concurrent use.
type Engine struct {
	cfg        Config
	rng        *rand.Rand
	table      *table
	limits     *limiter
	validators *shim6.Validators
	own        *shim6.Announcements
	candidates []reap.Candidate     // local ones of the last context, which the next one most often shares
	costs      map[netip.Addr]uint8 // of local locators

	lastID    uint64
	verifying map[uint64]*verification
	signing   map[uint64]*shim6.Signature
	waiting   []waiting

	counters Counters
	out      []Action
}

// New makes an Engine without contexts and local locators.
func New(cfg Config) (*Engine, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	cfg = cfg.withDefaults()
	rng := rand.New(rand.NewChaCha8(cfg.Seed))
	return &Engine{
		cfg:        cfg,
		rng:        rng,
		table:      newTable(),
		limits:     newLimiter(rng, cfg.Limits),
		validators: shim6.NewValidators(rng),
		own:        shim6.NewAnnouncements(rng),
		verifying:  map[uint64]*verification{},
		signing:    map[uint64]*shim6.Signature{},
		counters:   newCounters(),
	}, nil
}

// Handle advances the engine by one event. It reads no clock, socket or global: equal configurations and equal sequences
// of times and events give equal actions. Time never goes back.
func (e *Engine) Handle(now time.Time, ev Event) []Action {
	switch ev := ev.(type) {
	case PacketIn:
		e.onPacket(now, ev)
	case Trigger:
		e.onTrigger(now, ev)
	case SendTimeoutExpired:
		if c := e.established(ev.Tag, "send timeout"); c != nil {
			e.reapDo(now, c, c.reap.SendTimeoutExpired(now, ev.Epoch))
		}
	case KeepaliveDue:
		if c := e.established(ev.Tag, "keepalive due"); c != nil {
			e.reapDo(now, c, c.reap.KeepaliveDue(ev.Epoch))
		}
	case PayloadSeen:
		if c := e.established(ev.Tag, "payload seen"); c != nil {
			e.reapDo(now, c, c.reap.PayloadSeen(now, ev.Epoch))
		}
	case UnknownTag:
		e.onUnknownTag(now, ev)
	case ContextGone:
		e.onContextGone(now, ev)
	case LocalLocators:
		e.onLocalLocators(now, ev)
	case ULIDEnds:
		e.onULIDEnds(now, ev)
	case SignDone:
		e.onSignDone(now, ev)
	case VerifyDone:
		e.onVerifyDone(now, ev)
	case DeleteContext:
		if c := e.find(ev.Tag, "delete"); c != nil {
			e.apply(now, c, c.Close(now, "deleted"))
		}
	case SetTimeouts:
		if c := e.find(ev.Tag, "set timeouts"); c != nil {
			e.onSetTimeouts(now, c, ev)
		}
	case ProbeContext:
		if c := e.established(ev.Tag, "probe"); c != nil {
			e.reapDo(now, c, c.reap.Explore(now, "asked for", true))
		}
	case PreferPairs:
		if c := e.established(ev.Tag, "prefer"); c != nil {
			e.onPrefer(now, c, ev)
		}
	case SwitchPath:
		if c := e.established(ev.Tag, "switch"); c != nil {
			e.reapDo(now, c, c.reap.Switch(now, reap.Pair(ev.Pair)))
		}
	case Configure:
		e.onConfigure(now, ev)
	case Fork:
		if c := e.established(ev.Tag, "fork"); c != nil {
			e.onFork(now, c, ev)
		}
	case Hint:
		e.onHint(now, ev)
	case ContextHint:
		if c := e.established(ev.Tag, "hint"); c != nil {
			e.reapDo(now, c, c.reap.Suspect(now, ev.Why, true))
		}
	case ContextIdle:
		if c := e.find(ev.Tag, "idle"); c != nil {
			e.onIdle(now, c, ev)
		}
	case AdoptContext:
		e.onAdopt(now, ev)
	case ICMPError:
		e.onICMP(now, ev)
	case Tick:
	}
	e.expire(now)
	out := e.out
	e.out = nil
	return out
}

// Deadline is when Handle must next be called with a Tick; zero means never. After Handle it is zero or later than the
// time that Handle was given.
func (e *Engine) Deadline() time.Time {
	if len(e.table.queue) == 0 {
		return time.Time{}
	}
	return e.table.queue[0].deadline
}

// expire lets every deadline that has come take effect.
func (e *Engine) expire(now time.Time) {
	for len(e.table.queue) > 0 && !e.table.queue[0].deadline.After(now) {
		c := e.table.queue[0]
		if c.reap != nil && c.State() == shim6.StateEstablished {
			e.reapDo(now, c, c.reap.Expire(now))
		}
		if !c.ends.IsZero() && !now.Before(c.ends) {
			e.apply(now, c, c.Close(now, "ULID is not valid any more"))
			continue
		}
		e.apply(now, c, c.Expire(now))
	}
}

// find looks up a context by our tag for an event.
func (e *Engine) find(tag wire.ContextTag, what string) *context {
	c := e.table.byTag[tag]
	if c == nil {
		e.refuse(ReasonNoContext, fmt.Sprintf("%s: tag %v", what, tag))
	}
	return c
}

// established looks up a context that payload and REAP concern (RFC 5534 section 4.2).
func (e *Engine) established(tag wire.ContextTag, what string) *context {
	c := e.find(tag, what)
	if c != nil && c.State() != shim6.StateEstablished {
		e.refuse(ReasonWrongState, fmt.Sprintf("%s: context in %v", what, c.State()))
		return nil
	}
	return c
}

// apply carries out what a Context wants.
func (e *Engine) apply(now time.Time, c *context, acts []shim6.Action) {
	renew := false // the peer may not know of our locators what is known by now
	for _, a := range acts {
		switch a := a.(type) {
		case shim6.Changed:
			e.changed(now, c, a)
			renew = true
		case shim6.Updated:
			if c.State() == shim6.StateEstablished {
				e.install(now, c, false)
				renew = true
			}
		case shim6.Relocated:
			e.relocate(now, c)
		case shim6.Informed:
			e.informed(now, c)
		case shim6.Notify:
			e.notify(now, c, a)
		case shim6.Send:
			if !e.send(a.Pair, a.Message) {
				continue
			}
			e.do(MessageSent{ULIDs: c.ULIDs, TagLocal: c.TagLocal, Pair: a.Pair, Type: a.Message.Type()})
			if c.State() == shim6.StateEstablished {
				e.reapDo(now, c, c.reap.ControlSent())
			}
		}
	}
	switch c.State() {
	case shim6.StateIdle:
		e.table.remove(c)
		return
	case shim6.StateEFailed, shim6.StateNoSupport:
		c.TagLocal, c.TagPeer = 0, 0
	}
	e.table.index(c)
	if renew {
		e.inform(now, c, 0)
	}
}

// changed makes the kernel follow a change of state: it holds contexts in ESTABLISHED and I2BIS-SENT.
func (e *Engine) changed(now time.Time, c *context, a shim6.Changed) {
	e.do(StateChanged{ULIDs: c.ULIDs, TagLocal: c.TagLocal, From: a.From, To: a.To, Why: a.Why})
	switch a.To {
	case shim6.StateEstablished:
		e.install(now, c, a.From == shim6.StateI2bisSent)
		return
	case shim6.StateI2bisSent:
		e.reapDo(now, c, c.reap.Halt())
		return
	}
	if c.inKernel {
		e.do(RemoveContext{Tag: c.TagLocal})
		c.inKernel, c.reap = false, nil
	}
}

// install gives an established context to the kernel, and to REAP a message of the peer. With fresh, or when the peer
// does not have the current locator any more, the pair of the exchange becomes current: it worked both ways.
func (e *Engine) install(now time.Time, c *context, fresh bool) {
	var acts []reap.Action
	switch {
	case c.reap == nil:
		c.reap = reap.New(e.rng, reap.Pair(c.Exchange))
	case fresh || !c.Peer.HasVerified(c.reap.Current().Peer) || c.Peer.Broken(c.reap.Current().Peer):
		acts = c.reap.Reset(reap.Pair(c.Exchange), "peer has a new context")
	}
	e.program(c)
	e.reapDo(now, c, acts)
	e.setCandidates(now, c)
	e.reapDo(now, c, c.reap.ControlReceived(now))
}

// program makes the kernel hold the context as it is.
func (e *Engine) program(c *context) {
	keepalive := c.keepaliveTimeout()
	paths := e.paths(c)
	e.do(ProgramContext{
		ULIDs: c.ULIDs, FII: c.FII,
		TagLocal: c.TagLocal, TagPeer: c.TagPeer,
		Paths:             paths,
		LocatorsLocal:     e.localAddrs(c),
		SendTimeout:       max(c.sendTimeout, c.told),
		KeepaliveTimeout:  keepalive,
		KeepaliveInterval: keepaliveInterval(keepalive),
	})
	c.inKernel, c.path = true, paths[0]
}

// send sends a message; the answer tells whether it could be.
func (e *Engine) send(pair LocatorPair, m wire.Message) bool {
	b, err := wire.Marshal(m)
	if err != nil {
		e.refuse(ReasonTooLong, err.Error())
		return false
	}
	e.counters.Sent[m.Type()]++
	e.do(SendPacket{Src: pair.Local, Dst: pair.Peer, Payload: b})
	return true
}

// took tells that a context took a message.
func (e *Engine) took(c *context, p PacketIn, t wire.MessageType) {
	e.do(MessageReceived{ULIDs: c.ULIDs, TagLocal: c.TagLocal, Pair: pairOf(p), Type: t})
}

// refuse tells that an event came to nothing.
func (e *Engine) refuse(r Reason, detail string) { e.drop(PacketIn{}, r, detail) }

// drop tells that a packet came to nothing.
func (e *Engine) drop(p PacketIn, r Reason, detail string) {
	e.counters.Dropped[r]++
	e.do(Dropped{Src: p.Src, Dst: p.Dst, Reason: r, Detail: detail})
}

func (e *Engine) do(a Action) { e.out = append(e.out, a) }

// newTag picks a context tag that no context has (RFC 5533 section 7.1).
func (e *Engine) newTag() wire.ContextTag {
	for {
		t := wire.ContextTag(e.rng.Uint64() & (1<<47 - 1))
		if t.Valid() && e.table.byTag[t] == nil {
			return t
		}
	}
}

// newNonce picks an Initiator Nonce that no context awaits an answer to.
func (e *Engine) newNonce() uint32 {
	for {
		n := e.rng.Uint32()
		if n != 0 && e.table.byNonce[n] == nil {
			return n
		}
	}
}

func (e *Engine) newID() uint64 {
	e.lastID++
	return e.lastID
}

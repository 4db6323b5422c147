// SPDX-License-Identifier: MIT

package sim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"shim6/daemon/engine"
)

// Run carries out a script and gives its output. A script has one command on a line; # starts a comment.
//
//	seed N                    what random numbers begin with; before hosts
//	timeout D                 Send Timeout of hosts to come
//	timeout HOST D            Send Timeout of the contexts that a host has
//	teardown D                of hosts to come
//	failback D                of hosts to come
//	multipath                 hosts to come use all paths that work
//	contexts N                how many contexts hosts to come may have
//	crypto D                  how long a signature takes, and its verification
//	host NAME KIND ADDR...    a host with addresses of these names; KIND is plain, cga, hba, mixed or foreign
//	delay D / jitter D        of all links
//	loss PERCENT / duplicate PERCENT
//	corrupt PERCENT           of the control messages have a bit flipped
//	mend                      all links are good
//	cut X Y / cut X>Y         nothing passes between two addresses, or one way
//	refuse X Y / refuse X>Y   the same, and an ICMP error tells of it
//	heal X Y / heal X>Y
//	trigger END END           ask for a context; an END is a ULID, or a host, which stands for its first address
//	probe HOST                ask for a probe of every context
//	hint X>Y / hint X>        tell the host of X that a pair of locators, or all pairs with X, may not work
//	switch X>Y                have payload of X's host to Y's go on a locator pair
//	fork X>Y                  fork the contexts of X's host, on a locator pair
//	ends ADDR D               an address that is not there stays valid for so long
//	forget HOST               delete every context
//	down ADDR / up ADDR       take an address from its host, give it back
//	move HOST ADDR...         these are the addresses of a host from now on
//	prefer ADDR WORD...       of an address: broken, transient, priority=N, weight=N; no word takes all back
//	flow END END D            payload, a packet every D
//	ping END END D            the same, and an answer to each
//	mute END END              no answers any more
//	stop END END
//	open END END / close END END   a connection, whether it has payload or not
//	kill HOST                 end its daemon; the kernel goes on
//	reboot HOST               end its daemon and empty its kernel
//	wipe HOST                 lose what its daemon saved
//	flush HOST                delete its kernel's contexts
//	start HOST [again]        a daemon again, with what the last one saved, or even with the same random numbers
//	key HOST gone / key HOST back   whether it can sign
//	clock HOST D              move its clock forward, or, while no daemon runs, the time of day back
//	suspend HOST D            it sleeps for so long
//	run D                     let time pass
//	quiet D                   let time pass untraced
//	report                    contexts and flows
//	settled                   fail unless hosts agree on their contexts and payload arrives
//
// A rule that is broken on the way is an error too.
func Run(script string) (string, error) {
	return run(script, NewWorld(0))
}

func run(script string, w *World) (string, error) {
	r := runner{w: w}
	for n, line := range strings.Split(script, "\n") {
		line, _, _ = strings.Cut(line, "#")
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		if err := r.do(f[0], f[1:]); err != nil {
			return r.out.String(), fmt.Errorf("line %d: %s: %w", n+1, strings.TrimSpace(line), err)
		}
	}
	return r.out.String(), nil
}

// errScript is wrapped by errors about the script itself.
var errScript = errors.New("")

type runner struct {
	w   *World
	cfg engine.Config
	out strings.Builder
}

func (r *runner) do(cmd string, args []string) error {
	a := &arguments{w: r.w, args: args}
	switch cmd {
	case "seed":
		n := a.seed()
		w := NewWorld(n)
		w.silent, w.cheap = r.w.silent, r.w.cheap
		r.w = w
		r.cfg.Seed[1] = byte(n)
		binary.LittleEndian.PutUint64(r.cfg.Seed[21:], n>>8)
	case "timeout":
		if len(args) == 1 {
			r.cfg.SendTimeout = a.duration()
			break
		}
		h := a.word()
		if d := a.duration(); a.err == nil {
			a.args = []string{h}
			a.contexts(func(h *Host, s engine.Snapshot) { h.Handle(engine.SetTimeouts{Tag: s.TagLocal, SendTimeout: d}) })
		}
	case "teardown":
		r.cfg.Teardown = a.duration()
	case "failback":
		r.cfg.FailBack = a.duration()
	case "multipath":
		r.cfg.Multipath = true
	case "contexts":
		r.cfg.Limits.Contexts = a.number()
	case "crypto":
		r.w.crypto = a.duration()
	case "host":
		name, kind := a.word(), a.word()
		cfg := r.cfg
		copy(cfg.Seed[2:], name)
		_, err := r.w.AddHost(name, kind, cfg, a.rest()...)
		return err
	case "delay":
		r.w.Links.Delay = a.duration()
	case "loss":
		r.w.Links.Loss = float64(a.number()) / 100
	case "jitter":
		r.w.Links.Jitter = a.duration()
	case "duplicate":
		r.w.Links.Duplicate = float64(a.number()) / 100
	case "corrupt":
		r.w.Links.Corrupt = float64(a.number()) / 100
	case "mend":
		r.w.Links.Mend()
	case "kill":
		if h := a.host(); a.err == nil {
			h.Kill()
		}
	case "reboot":
		if h := a.host(); a.err == nil {
			h.Reboot()
		}
	case "wipe":
		if h := a.host(); a.err == nil {
			h.Wipe()
		}
	case "flush":
		if h := a.host(); a.err == nil {
			h.Flush()
		}
	case "start":
		if h := a.host(); a.err == nil {
			a.err = h.Start(slices.Equal(a.rest(), []string{"again"}))
		}
	case "key":
		if h := a.host(); a.err == nil {
			h.keyless = a.word() == "gone"
		}
	case "clock":
		if h, d := a.host(), a.duration(); a.err == nil {
			a.err = h.Step(d)
		}
	case "suspend":
		if h, d := a.host(), a.duration(); a.err == nil {
			h.Suspend(d)
		}
	case "settled":
		a.err = r.w.Settled()
	case "cut":
		a.ways(r.w.Links.Cut)
	case "refuse":
		a.ways(r.w.Links.Refuse)
	case "heal":
		a.ways(r.w.Links.Heal)
	case "trigger":
		if h, ulids := a.ends(); a.err == nil {
			h.Handle(engine.Trigger{ULIDs: ulids})
		}
	case "probe":
		a.contexts(func(h *Host, s engine.Snapshot) { h.Handle(engine.ProbeContext{Tag: s.TagLocal}) })
	case "hint":
		if h, pair := a.pair(); a.err == nil {
			h.Handle(engine.Hint{Pair: pair, Why: "asked for"})
		}
	case "switch":
		if h, pair := a.pair(); a.err == nil {
			a.args = []string{h.Name}
			a.contexts(func(h *Host, s engine.Snapshot) {
				if r.w.owner[s.ULIDs.Peer] == r.w.owner[pair.Peer] {
					h.Handle(engine.SwitchPath{Tag: s.TagLocal, Pair: pair})
				}
			})
		}
	case "fork":
		if h, pair := a.pair(); a.err == nil {
			a.args = []string{h.Name}
			a.contexts(func(h *Host, s engine.Snapshot) {
				if s.FII == 0 && r.w.owner[s.ULIDs.Peer] == r.w.owner[pair.Peer] {
					h.Handle(engine.Fork{Tag: s.TagLocal, Pair: pair})
				}
			})
		}
	case "ends":
		addr := a.addr(a.word())
		if d := a.duration(); a.err == nil {
			r.w.owner[addr].End(addr, d)
		}
	case "forget":
		a.contexts(func(h *Host, s engine.Snapshot) { h.Handle(engine.DeleteContext{Tag: s.TagLocal}) })
	case "down", "up":
		if addr := a.addr(a.word()); a.err == nil {
			r.w.owner[addr].SetUp(addr, cmd == "up")
		}
	case "move":
		if h, to := a.host(), a.addrs(); a.err == nil {
			h.Move(to)
		}
	case "prefer":
		if addr, p := a.addr(a.word()), a.preference(); a.err == nil {
			r.w.owner[addr].Prefer(addr, p)
		}
	case "flow":
		h, ulids := a.ends()
		if d := a.duration(); a.err == nil {
			h.FlowBetween(ulids, d)
		}
	case "ping":
		h, ulids := a.ends()
		if d := a.duration(); a.err == nil {
			h.Ping(ulids, d)
		}
	case "mute":
		if h, ulids := a.ends(); a.err == nil {
			h.flow(ulids).Mute()
		}
	case "stop":
		if h, ulids := a.ends(); a.err == nil {
			h.flow(ulids).Stop()
		}
	case "open", "close":
		if h, ulids := a.ends(); a.err == nil {
			h.Connect(ulids, cmd == "open")
		}
	case "run":
		r.w.Run(a.duration())
		r.out.WriteString(r.w.Trace())
	case "quiet":
		r.w.Run(a.duration())
		r.w.Trace()
	case "report":
		r.report()
	default:
		a.fail("no such command")
	}
	if a.err == nil && r.w.err == nil {
		r.w.err = r.w.audit()
	}
	if a.err == nil && r.w.err != nil {
		r.out.WriteString(r.w.Trace())
		return r.w.err
	}
	return a.err
}

// report writes the contexts and flows of all hosts.
func (r *runner) report() {
	for _, h := range r.w.hosts {
		var contexts []engine.Snapshot
		if h.Engine != nil {
			contexts = h.Engine.Contexts()
		} else if !h.foreign {
			fmt.Fprintf(&r.out, "%s: no daemon\n", h.Name)
		}
		for _, s := range contexts {
			fmt.Fprintf(&r.out, "%s: with %s %v, REAP %v, path %s, %d and %d locators\n", h.Name, r.w.Name(s.ULIDs.Peer), s.State,
				s.Reap, r.w.pair(s.Current), len(s.LocatorsLocal), len(s.LocatorsPeer))
		}
		for _, f := range h.flows {
			fmt.Fprintf(&r.out, "%s: flow to %s sent %d, received %d, longest gap %v\n", h.Name, r.w.owner[f.ulids.Peer].Name, f.Sent,
				f.Received, f.LongestGap.Round(time.Millisecond))
		}
	}
}

// arguments reads the arguments of a command; the first error stays.
type arguments struct {
	w    *World
	args []string
	err  error
}

func (a *arguments) fail(format string, args ...any) {
	if a.err == nil {
		a.err = fmt.Errorf("%w%w", errScript, fmt.Errorf(format, args...))
	}
}

func (a *arguments) word() string {
	if len(a.args) == 0 {
		a.fail("too few arguments")
		return ""
	}
	w := a.args[0]
	a.args = a.args[1:]
	return w
}

func (a *arguments) rest() []string { return a.args }

func (a *arguments) number() int {
	n, err := strconv.Atoi(a.word())
	if err != nil || n < 0 || n > 255 {
		a.fail("not a number from 0 to 255")
	}
	return n
}

func (a *arguments) seed() uint64 {
	n, err := strconv.ParseUint(a.word(), 10, 64)
	if err != nil {
		a.fail("not a seed")
	}
	return n
}

func (a *arguments) duration() time.Duration {
	d, err := time.ParseDuration(a.word())
	if err != nil {
		a.fail("%w", err)
	}
	return d
}

func (a *arguments) host() *Host {
	name := a.word()
	h := a.w.Host(name)
	if h == nil {
		a.fail("no host %q", name)
	}
	return h
}

// ends reads two ends: the host of the first, and the ULIDs of both.
func (a *arguments) ends() (*Host, engine.ULIDPair) {
	u := engine.ULIDPair{Local: a.end(), Peer: a.end()}
	return a.w.owner[u.Local], u
}

// pair reads "X>Y", or "X>" for X and any address.
func (a *arguments) pair() (*Host, engine.LocatorPair) {
	x, y, _ := strings.Cut(a.word(), ">")
	pair := engine.LocatorPair{Local: a.addr(x)}
	if y != "" {
		pair.Peer = a.addr(y)
	}
	return a.w.owner[pair.Local], pair
}

func (a *arguments) end() netip.Addr {
	name := a.word()
	if h := a.w.Host(name); h != nil {
		return h.ULID()
	}
	return a.addr(name)
}

func (a *arguments) addr(name string) netip.Addr {
	for addr, n := range a.w.names {
		if n == name {
			return addr
		}
	}
	a.fail("no address %q", name)
	return netip.Addr{}
}

func (a *arguments) addrs() (as []netip.Addr) {
	for _, name := range a.rest() {
		as = append(as, a.addr(name))
	}
	return as
}

func (a *arguments) preference() (p engine.Preference) {
	for _, w := range a.rest() {
		key, value, _ := strings.Cut(w, "=")
		n, err := strconv.ParseUint(value, 10, 8)
		switch {
		case w == "broken":
			p.Broken = true
		case w == "transient":
			p.Transient = true
		case key == "priority" && err == nil:
			p.Priority = uint8(n)
		case key == "weight" && err == nil:
			p.Weight = uint8(n)
		default:
			a.fail("%q is no preference", w)
		}
	}
	return p
}

// ways reads "X Y" or "X>Y" and calls do for both ways or one.
func (a *arguments) ways(do func(src, dst netip.Addr)) {
	x := a.word()
	if src, dst, ok := strings.Cut(x, ">"); ok {
		do(a.addr(src), a.addr(dst))
		return
	}
	y := a.word()
	do(a.addr(x), a.addr(y))
	do(a.addr(y), a.addr(x))
}

func (a *arguments) contexts(do func(h *Host, s engine.Snapshot)) {
	if h := a.host(); h != nil && h.Engine != nil {
		for _, s := range h.Engine.Contexts() {
			do(h, s)
		}
	}
}

// SPDX-License-Identifier: MIT

package sim

import (
	"encoding/binary"
	"fmt"
	"net/netip"
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
//	host NAME KIND ADDR...    a host with addresses of these names; KIND is plain, cga or hba
//	delay D / jitter D        of all links
//	loss PERCENT / duplicate PERCENT
//	mend                      all links are good
//	cut X Y / cut X>Y         nothing passes between two addresses, or one way
//	heal X Y / heal X>Y
//	trigger HOST HOST         ask for a context
//	probe HOST                ask for a probe of every context
//	forget HOST               delete every context
//	down ADDR / up ADDR       take an address from its host, give it back
//	move HOST ADDR...         these are the addresses of a host from now on
//	prefer ADDR WORD...       of an address: broken, transient, priority=N, weight=N; no word takes all back
//	flow HOST HOST D          payload, a packet every D
//	stop HOST HOST
//	kill HOST                 end its daemon; the kernel goes on
//	reboot HOST               end its daemon and empty its kernel
//	start HOST                a daemon again, with what the last one saved
//	clock HOST D              move its clock forward
//	run D                     let time pass
//	quiet D                   let time pass untraced
//	report                    contexts and flows
//	settled                   fail unless hosts agree on their contexts and payload arrives
//
// A rule that is broken on the way is an error too.
func Run(script string) (string, error) {
	return run(script, false)
}

func run(script string, silent bool) (string, error) {
	r := runner{w: NewWorld(0)}
	r.w.silent = silent
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
		w.silent = r.w.silent
		r.w = w
		r.cfg.Seed[1] = byte(n)
		binary.LittleEndian.PutUint64(r.cfg.Seed[21:], n>>8)
	case "timeout":
		if len(args) == 1 {
			r.cfg.SendTimeout = a.duration()
			break
		}
		d, err := time.ParseDuration(args[1])
		if a.err = err; err == nil {
			a.contexts(func(h *Host, s engine.Snapshot) { h.Handle(engine.SetTimeouts{Tag: s.TagLocal, SendTimeout: d}) })
		}
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
	case "start":
		if h := a.host(); a.err == nil {
			a.err = h.Start()
		}
	case "clock":
		if h, d := a.host(), a.duration(); a.err == nil {
			h.Step(d)
		}
	case "settled":
		a.err = r.w.Settled()
	case "cut":
		a.ways(r.w.Links.Cut)
	case "heal":
		a.ways(r.w.Links.Heal)
	case "trigger":
		if h, to := a.host(), a.host(); a.err == nil {
			h.Handle(engine.Trigger{ULIDs: engine.ULIDPair{Local: h.ULID(), Peer: to.ULID()}})
		}
	case "probe":
		a.contexts(func(h *Host, s engine.Snapshot) { h.Handle(engine.ProbeContext{Tag: s.TagLocal}) })
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
		if h, to, d := a.host(), a.host(), a.duration(); a.err == nil {
			h.Flow(to, d)
		}
	case "stop":
		if h, to := a.host(), a.host(); a.err == nil && h.flows[to.Name] != nil {
			h.flows[to.Name].Stop()
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
		return fmt.Errorf("no such command")
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
		if h.Engine == nil {
			fmt.Fprintf(&r.out, "%s: no daemon\n", h.Name)
			continue
		}
		for _, s := range h.Engine.Contexts() {
			fmt.Fprintf(&r.out, "%s: with %s %v, REAP %v, path %s, %d and %d locators\n", h.Name, r.w.Name(s.ULIDs.Peer), s.State,
				s.Reap, r.w.pair(s.Current), len(s.LocatorsLocal), len(s.LocatorsPeer))
		}
		for _, to := range r.w.hosts {
			if f := h.flows[to.Name]; f != nil {
				fmt.Fprintf(&r.out, "%s: flow to %s sent %d, received %d, longest gap %v\n", h.Name, to.Name, f.Sent, f.Received,
					f.LongestGap.Round(time.Millisecond))
			}
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
		a.err = fmt.Errorf(format, args...)
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

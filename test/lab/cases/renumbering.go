// SPDX-License-Identifier: MIT

package cases

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"shim6/test/lab/fault"
	"shim6/test/lab/radvd"
	"shim6/test/lab/topo"
	"shim6/test/lab/traffic"
)

var renumbering = Case{
	Name:     "renumbering",
	About:    "a provider gives its customers another prefix under running flows; interfaces are renamed, removed and come back",
	FastTime: true,
	Daemons:  true,
	Without:  debugKernels("two hours pass in it: too many for a clock of this machine, and for two processors with checks"),
	Limit:    20 * time.Minute,
	Run:      runRenumbering,
}

const (
	// talkEvery is how often a line goes to b and back on each connection.
	talkEvery = 5 * time.Second
	// twoHours is what an advertisement cannot shorten a valid lifetime below.
	twoHours = 2 * time.Hour
)

// Provider 1 renumbers: RFC 4862 section 5.5.3 e. It wants the old prefix gone at once.
var provider1Renumbers = radvd.Advertisement{
	Preference: "high",
	Prefixes:   []radvd.Prefix{lasting(topo.PrefixA3), {Prefix: topo.PrefixA1}},
}

// A renumbered is a host under whose connections prefixes and interfaces change.
type renumbered struct {
	*autohost
	a3         netip.Addr
	old, other *traffic.Conversation // from the address that goes away, and from that of the other provider
}

func runRenumbering(e *Env) error {
	h, err := e.startAutohost()
	if err != nil {
		return err
	}
	provider1, err := fault.Install(h.net.R1)
	if err != nil {
		return err
	}
	r := &renumbered{autohost: h}
	if err := r.talk(); err != nil {
		return err
	}
	for _, step := range []func() error{
		r.newPrefix,
		func() error { return r.failWithDeprecated(provider1) },
		r.withdrawal,
		r.renamed,
		r.replugged,
		r.moved,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// talk begins the connections and waits for a context for each.
func (r *renumbered) talk() (err error) {
	net := r.net
	if r.old, err = traffic.Converse(net.A, net.B, net.A1, net.B1, 7001, talkEvery); err != nil {
		return err
	}
	r.e.Later(r.old.End)
	if r.other, err = traffic.Converse(net.A, net.B, net.A2, net.B1, 7002, talkEvery); err != nil {
		return err
	}
	r.e.Later(r.other.End)
	for _, ulid := range []netip.Addr{net.A1, net.A2} {
		if _, err = r.a.Established(ulid, net.B1, time.Minute); !r.e.Works(fmt.Sprintf("a context for %s is ESTABLISHED", net.Short(ulid.String())), err) {
			return err
		}
	}
	return nil
}

// goesOn checks that a connection lives and that no line took longer than the limit.
func (r *renumbered) goesOn(what string, c *traffic.Conversation, limit time.Duration) {
	s := c.Report()
	r.e.Check(what, s.Err == nil && s.Lines > 0 && s.Longest <= limit && s.Silent <= limit+talkEvery,
		"%d lines, the slowest %v, the last %v ago %s", s.Lines, s.Longest.Round(time.Millisecond), s.Silent.Round(time.Millisecond), errText(s.Err))
}

// calm is how long a line may take while nothing fails.
func (r *renumbered) calm() time.Duration { return r.e.RTT + 50*time.Millisecond }

// probeTimeout is that between the first probes of an exploration (RFC 5534 section 7): the first one may try another address
// of the provider that has failed.
const probeTimeout = 500 * time.Millisecond

// failing is how long a line may take when its path fails: the Send Timeout, another probe, and until TCP sends it again.
func (r *renumbered) failing() time.Duration { return r.e.TSend + probeTimeout + afterTimeout }

func (r *renumbered) newPrefix() error {
	e := r.e
	if err := r.routers[0].Say(provider1Renumbers); err != nil {
		return err
	}
	a, err := r.cgad.Ready(topo.PrefixA3, 30*time.Second)
	if !e.Works("cgad makes an address in the new prefix", err) {
		return err
	}
	r.a3 = a.Addr
	s, err := r.cgad.Status()
	if err != nil {
		return err
	}
	old := s.In(topo.PrefixA1)
	// RFC 4862 section 5.5.3 e 3: "Otherwise, reset the valid lifetime of the corresponding address to 2 hours."
	e.Check("the old address is deprecated and valid for two hours", old != nil && old.PreferredSeconds == 0 &&
		old.ValidSeconds > 7100 && old.ValidSeconds <= 7200, "%+v", old)
	out, err := r.net.A.Output("ip", "-6", "address", "show", "dev", "p1", "deprecated")
	e.Check("so does the kernel say", err == nil && strings.Contains(out, r.net.A1.String()) && !strings.Contains(out, r.a3.String()), "%s", out)
	out, err = r.net.A.Output("ip", "-6", "route", "get", r.net.B1.String())
	// RFC 4862 section 5.5.4: a deprecated address is not for new communications.
	e.Check("who does not choose an address gets the new one", err == nil && strings.Contains(out, "src "+r.a3.String()), "%s", out)
	r.checkWay("what comes from the new address leaves by provider 1", r.a3, "p1")
	if err := r.knows(topo.PrefixA1, topo.PrefixA2, topo.PrefixA3); err != nil {
		return err
	}
	r.peerKnows("an Update Request tells b the new locator", r.net.A1, r.net.A2, r.a3)
	time.Sleep(time.Minute)
	r.goesOn("the connection from the old address goes on", r.old, r.calm())
	r.goesOn("the connection from a2 goes on", r.other, r.calm())
	return nil
}

// failWithDeprecated has the provider fail while the connection's address is deprecated.
func (r *renumbered) failWithDeprecated(provider1 *fault.Switch) error {
	// An hour of advertisements that say that the lifetimes are zero.
	time.Sleep(time.Hour)
	s, err := r.cgad.Status()
	if err != nil {
		return err
	}
	old := s.In(topo.PrefixA1)
	// RFC 4862 section 5.5.3 e 2: "If RemainingLifetime is less than or equal to 2 hours, ignore the Prefix Information option
	// with regards to the valid lifetime".
	r.e.Check("an hour later the old address has one hour left", old != nil && old.ValidSeconds > 3300 && old.ValidSeconds < 3600, "%+v", old)
	r.goesOn("the connection from the old address goes on for that hour", r.old, r.calm())
	if err := provider1.Cut(); err != nil {
		return err
	}
	time.Sleep(time.Minute)
	r.goesOn("provider 1 fails in silence: the connection from the deprecated address goes on", r.old, r.failing())
	if c, err := r.a.Established(r.net.A1, r.net.B1, time.Second); r.e.Works("its context is ESTABLISHED", err) {
		r.e.Check("by provider 2", c.Current.Local == r.net.A2, "%s", r.net.Short(c.Current.String()))
	}
	r.goesOn("the connection from a2 goes on", r.other, r.calm())
	return provider1.Heal()
}

// withdrawal waits for the end of the old address.
func (r *renumbered) withdrawal() error {
	e := r.e
	time.Sleep(twoHours - time.Hour)
	s, err := r.cgad.Status()
	if err != nil {
		return err
	}
	e.Check("after two hours cgad has no address in the old prefix", s.In(topo.PrefixA1) == nil, "%+v", s.In(topo.PrefixA1))
	out, err := r.net.A.Output("ip", "-6", "address")
	e.Check("nor has the kernel", err == nil && !strings.Contains(out, r.net.A1.String()), "%s", errText(err))
	rules, err := r.net.A.Output("ip", "-6", "rule")
	e.Check("the rule of the old prefix is gone", err == nil && !strings.Contains(rules, topo.PrefixA1.String()) &&
		strings.Contains(rules, topo.PrefixA3.String()), "%s", rules)
	if err := r.knows(topo.PrefixA2, topo.PrefixA3); err != nil {
		return err
	}
	c, err := r.b.Established(r.net.B1, r.net.A2, time.Second)
	if !e.Works("b has a context for b1 and a2", err) {
		return err
	}
	e.Check("an Update Request has told b that the old locator is gone",
		len(c.LocatorsPeer) == 2 && verified(c.LocatorsPeer, r.net.A2) && verified(c.LocatorsPeer, r.a3), "%v", c.LocatorsPeer)
	r.goesOn("the connection from a2 goes on", r.other, r.calm())
	return nil
}

func (r *renumbered) renamed() error {
	if err := topo.Rename(r.net.A, "p2", "uplink2"); err != nil {
		return err
	}
	_, err := r.cgad.Ready(topo.PrefixA2, 30*time.Second)
	r.e.Works("an interface is renamed: its address comes back", err)
	time.Sleep(time.Minute)
	r.checkWay("what comes from a2 leaves by the interface with the new name", r.net.A2, "uplink2")
	r.goesOn("the connection from a2 goes on", r.other, r.failing())
	return r.knows(topo.PrefixA2, topo.PrefixA3)
}

func (r *renumbered) replugged() error {
	if err := r.net.Unplug2(); err != nil {
		return err
	}
	time.Sleep(time.Minute)
	if err := r.knows(topo.PrefixA3); err != nil {
		return err
	}
	if c, err := r.a.Established(r.net.A2, r.net.B1, time.Second); r.e.Works("the interface is removed: the context of a2 is ESTABLISHED", err) {
		r.e.Check("by provider 1", c.Current.Local == r.a3, "%v", c.Current)
	}
	r.goesOn("the connection from a2 goes on", r.other, r.failing())
	if err := errors.Join(r.net.Plug2(), r.routers[1].Say(provider2Says)); err != nil {
		return err
	}
	_, err := r.cgad.Ready(topo.PrefixA2, 30*time.Second)
	r.e.Works("the interface is there again: so is its address", err)
	r.checkWay("what comes from a2 leaves by it", r.net.A2, "p2")
	time.Sleep(time.Minute)
	r.goesOn("the connection from a2 goes on", r.other, r.failing())
	return r.knows(topo.PrefixA2, topo.PrefixA3)
}

// moved has provider 1 take over the prefix of provider 2, whose link goes.
func (r *renumbered) moved() error {
	r.routers[1].Vanish()
	says := provider1Renumbers
	says.Prefixes = []radvd.Prefix{lasting(topo.PrefixA3), lasting(topo.PrefixA2)}
	if err := errors.Join(r.net.Unplug2(), r.net.Adopt(), r.routers[0].Say(says)); err != nil {
		return err
	}
	a, err := r.cgad.Ready(topo.PrefixA2, 30*time.Second)
	if !r.e.Works("a prefix moves to another interface: its address is there", err) {
		return err
	}
	r.e.Check("the same as before", a.Addr == r.net.A2 && a.Link == "p1", "%+v", a)
	r.checkWay("what comes from it leaves by the other interface", r.net.A2, "p1")
	time.Sleep(time.Minute)
	r.goesOn("the connection from it goes on", r.other, r.failing())
	return r.knows(topo.PrefixA2, topo.PrefixA3)
}

// SPDX-License-Identifier: MIT

package cases

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"shim6/test/lab/daemon"
	"shim6/test/lab/fault"
	"shim6/test/lab/flow"
	"shim6/test/lab/report"
	"shim6/test/lab/traffic"
)

var cgadFromNothing = Case{
	Slow:     debugKernels("recovery has its time"),
	Name:     "cgad-from-nothing",
	About:    "a host without keys, addresses or routes hears two radvd routers and outlives the silent death of one",
	FastTime: true,
	Daemons:  true,
	Limit:    10 * time.Minute,
	Run:      runFromNothing,
}

const (
	// beforeFailure is how long a transfer runs before its provider fails.
	beforeFailure = 3 * time.Second
	// afterTimeout is how long after the Send Timeout the stream may stand still.
	afterTimeout = 500 * time.Millisecond
)

func runFromNothing(e *Env) error {
	h, err := e.startAutohost()
	if err != nil {
		return err
	}
	provider1, err := fault.Install(h.net.R1)
	if err != nil {
		return err
	}
	h.checkWay("what comes from a1 leaves by provider 1", h.net.A1, "p1")
	h.checkWay("what comes from a2 leaves by provider 2", h.net.A2, "p2")
	t, err := h.transferAcross(provider1, "cgad")
	if err != nil {
		return err
	}
	f, err := e.received(t)
	if err != nil {
		return err
	}
	before, after, ok := f.Gap(t.Cut, t.Sent)
	gap := after.Time.Sub(before.Time)
	e.Check("the transfer outlives the silent death of provider 1, whole", t.Finished && t.Same, "%d of %d octets %s", t.Received, t.Sent, t.Trouble)
	e.Check(fmt.Sprintf("it stands still for %v and %v at most", e.TSend, afterTimeout), ok && gap > 0 && gap <= e.TSend+afterTimeout, "%v", gap)
	if c, err := h.established(); e.Works("the context is still ESTABLISHED", err) {
		e.Check("it uses a2 now", c.Current.Local == h.net.A2, "%s", h.net.Short(c.Current.String()))
	}
	if err := errors.Join(h.forget(provider1), h.follows()); err != nil {
		return err
	}
	return h.withoutRules(provider1)
}

// transferAcross moves a file from a to b while the first provider dies in silence.
func (h *autohost) transferAcross(provider1 *fault.Switch, name string) (*transfer, error) {
	e := h.e
	source := "/tmp/" + report.SentName
	if err := traffic.Fill(source, failoverPace.Octets(beforeFailure+e.TSend+2*time.Second), 1); err != nil {
		return nil, err
	}
	defer os.Remove(source)
	t, err := e.startTransfer(h.net, name, source, failoverPace, everywhere)
	if err != nil {
		return nil, err
	}
	_, err = h.established()
	if !e.Works(name+": a context is ESTABLISHED by the default heuristic", err) {
		return nil, errors.Join(err, t.abandon())
	}
	h.peerKnows(name+": b knows both addresses of a as verified locators", h.net.A1, h.net.A2)
	time.Sleep(time.Until(t.Start.Add(beforeFailure)))
	if err := t.cut(provider1); err != nil {
		return nil, errors.Join(err, t.abandon())
	}
	return t, errors.Join(t.finish(e.TSend*3+20*time.Second), t.discard())
}

// peerKnows waits until exactly those are a's locators in b's context for a1, all of them verified.
func (h *autohost) peerKnows(what string, want ...netip.Addr) {
	const limit = 5 * time.Second
	var list []daemon.Locator
	var err error
	for start := time.Now(); time.Since(start) < limit; time.Sleep(100 * time.Millisecond) {
		var c *daemon.Context
		if c, err = h.b.Established(h.net.B1, h.net.A1, time.Second); err != nil {
			break
		}
		list = c.LocatorsPeer
		if len(list) == len(want) && !slices.ContainsFunc(want, func(a netip.Addr) bool { return !verified(list, a) }) {
			h.e.Check(what, true, "%v", list)
			return
		}
	}
	h.e.Check(what, false, "%v %s", list, errText(err))
}

// forget heals the provider and drops the contexts.
func (h *autohost) forget(provider1 *fault.Switch) error {
	return errors.Join(provider1.Heal(), h.a.Flush(), h.b.Flush())
}

// withoutRules is the control run: the same without provider-correct routing.
func (h *autohost) withoutRules(provider1 *fault.Switch) error {
	e := h.e
	if err := errors.Join(h.cgad.Configure("routing: false\n"), h.cgad.Reload()); err != nil {
		return err
	}
	if err := h.noRules(5 * time.Second); !e.Works("without routing: cgad takes its rules away on reload", err) {
		return err
	}
	h.checkWay("without routing: what comes from a2 leaves by provider 1, who drops it", h.net.A2, "p1")
	t, err := h.transferAcross(provider1, "control")
	if err != nil {
		return err
	}
	f, err := e.received(t)
	if err != nil {
		return err
	}
	last, arriving := f.Steps[len(f.Steps)-1], e.RTT
	if e.Debug {
		arriving += unnoticed * debugPatience
	}
	e.Check("without routing: not an octet arrives after the failure", !t.Finished && last.Time.Before(t.Cut.Add(arriving)),
		"%d of %d octets, the last %v after the failure", t.Received, t.Sent, last.Time.Sub(t.Cut))
	return h.forget(provider1)
}

// follows changes what router 2 says, and takes its link away, and measures how long the routes take to follow.
func (h *autohost) follows() error {
	high, none := provider2Says, provider2Says
	high.Preference, none.NoDefault = "high", true
	for _, x := range []struct {
		what string
		do   func() error
		want func(routes string) bool
	}{
		{"router 2 has a high preference", func() error { return h.routers[1].Say(high) },
			func(s string) bool {
				return strings.Contains(s, "dev p2 table") && strings.Contains(s, "metric 256 pref medium\n")
			}},
		{"router 2 is no default router any more", func() error { return h.routers[1].Say(none) },
			func(s string) bool { return !strings.Contains(s, " dev p2 ") }},
		{"router 2 is one again", func() error { return h.routers[1].Say(provider2Says) },
			func(s string) bool { return strings.Contains(s, " dev p2 ") }},
		{"the link to router 2 loses its carrier", func() error { return h.net.Carrier2(false) },
			func(s string) bool { return !strings.Contains(s, " dev p2 ") }},
		{"the link to router 2 is there again", func() error { return h.net.Carrier2(true) },
			func(s string) bool { return strings.Contains(s, " dev p2 ") }},
	} {
		start := time.Now()
		if err := x.do(); err != nil {
			return err
		}
		var routes string
		for time.Since(start) < 10*time.Second {
			var err error
			if routes, err = h.net.A.Output("ip", "-6", "route", "show", "table", "all", "proto", "140"); err != nil {
				return err
			}
			if x.want(routes) {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		took := time.Since(start)
		h.e.Check("the routes follow in less than a second: "+x.what, took < time.Second && x.want(routes), "after %v %q", took.Round(time.Millisecond), routes)
	}
	return nil
}

func (h *autohost) noRules(limit time.Duration) error {
	var out string
	var err error
	for start := time.Now(); time.Since(start) < limit; time.Sleep(50 * time.Millisecond) {
		if out, err = h.net.A.Output("ip", "-6", "rule"); err == nil && !strings.Contains(out, "proto 140") {
			return nil
		}
	}
	return errors.Join(err, fmt.Errorf("after %v there are %q", limit, out))
}

// received reads from the capture at b what it received of a transfer.
func (e *Env) received(t *transfer) (*flow.Flow, error) {
	raw, err := os.ReadFile(e.Path(report.CaptureName(t.Name, "b", "p1")))
	if err != nil {
		return nil, err
	}
	c, err := flow.Read(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	return c.Largest(traffic.Port)
}

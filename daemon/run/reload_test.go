// SPDX-License-Identifier: MIT

package run

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"shim6/daemon/config"
	"shim6/daemon/ctl"
	"shim6/daemon/nl"
)

func (h *host) write(yaml string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.yaml = yaml
}

// Contexts are not touched: neither the kernel's nor what was agreed on with the peer.
func TestReloadAppliesDifferences(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := establishedPair(t)
		before, kernel := p.a.contexts(t), p.a.module.only(t)
		calls := len(p.a.module.called())
		p.a.write(fmt.Sprintf(`
send_timeout: 3s
tcp_kick: false
mark_mask: 0x3
hints: {icmp: true}
log: {level: error, format: json}
metrics: "[::1]:9556"
preferences: {'%s/64': {cost: 7}}
peers: {'2001:db8:b9::/48': {protect: false}}
`, "2001:db8:a2::"))
		r, err := p.a.loop.Backend().Reload(t.Context())
		want := ctl.Reloaded{
			Applied: []string{"hints.icmp", "log.level", "mark_mask", "peers", "preferences", "send_timeout", "tcp_kick"},
			Restart: []string{"log.format", "metrics"},
		}
		if d := cmp.Diff(want, ctl.Reloaded{Applied: r.Applied, Restart: r.Restart}); d != "" || err != nil || len(r.Warnings) != 1 {
			t.Errorf("%v, %q\n%s", err, r.Warnings, d)
		}
		after := p.a.contexts(t)
		if len(after) != 1 || after[0].Tag != before[0].Tag || after[0].State != "ESTABLISHED" || after[0].SendTimeoutMS != 15000 || !after[0].Since.Equal(before[0].Since) {
			t.Errorf("contexts %+v", after)
		}
		for _, call := range p.a.module.called()[calls:] {
			if !strings.HasPrefix(call, "set ") && call != "settings" {
				t.Errorf("the kernel was asked to %s", call)
			}
		}
		if k := p.a.module.only(t); k.TagLocal != kernel.TagLocal || k.Paths[0] != kernel.Paths[0] {
			t.Errorf("the kernel has %+v", k)
		}
		s, err := p.a.module.Settings()
		if err != nil || *s.TCPKick || *s.MarkMask != 3 || *s.Heuristic != "default" || !p.a.icmp.unreachable.Load() {
			t.Errorf("settings %v %v %v, %v", *s.TCPKick, *s.MarkMask, *s.Heuristic, err)
		}
		locators, err := p.a.loop.Backend().Locators(t.Context())
		if err != nil || locators[1].Cost != 7 {
			t.Errorf("locators %+v, %v", locators, err)
		}
		// What is logged from here on is an error, and a new context has what the file says.
		if n := len(p.a.journal.lines(t, "state changed")); n == 0 {
			t.Error("nothing was logged before")
		}
		if err := p.a.loop.Backend().DeleteContext(t.Context(), p.a.module.only(t).TagLocal); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		p.a.events.queue <- nl.Trigger{ULIDLocal: p.a1, ULIDPeer: p.b1}
		time.Sleep(3 * time.Second)
		if list := p.a.contexts(t); len(list) != 1 || list[0].SendTimeoutMS != 3000 {
			t.Errorf("contexts %+v", list)
		}
	})
}

// A file that is wrong, or that the kernel refuses, changes nothing.
func TestReloadChangesNothingThatIsWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		p.a.run(t, p.wires)
		defer p.a.stop()
		p.a.write("socet: /x\nteardown: 1s")
		_, err := p.a.loop.Backend().Reload(t.Context())
		var refused *ctl.Error
		if !errors.As(err, &refused) || refused.Status != 400 || refused.Hint == "" ||
			refused.Message != `shim6.yaml:1: unknown key "socet", did you mean "socket"?`+"\n"+`shim6.yaml:2: teardown: 1s is out of range: 10s to 8760h` {
			t.Errorf("%+v", err)
		}
		p.a.write("heuristic: odd\ntcp_kick: false")
		p.a.module.mu.Lock()
		p.a.module.fail["heuristic"] = unix.ENOENT
		p.a.module.mu.Unlock()
		if _, err := p.a.loop.Backend().Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "the kernel knows none, default") {
			t.Errorf("%v", err)
		}
		if s, err := p.a.module.Settings(); err != nil || !*s.TCPKick {
			t.Errorf("the kernel kept what came with what it refused: %v", err)
		}
		// A signal is answered in the log.
		p.a.write("socet: /x")
		p.a.loop.Reload()
		synctest.Wait()
		if lines := p.a.journal.lines(t, "configuration not reloaded"); len(lines) != 1 || lines[0]["error"] != `shim6.yaml:1: unknown key "socet", did you mean "socket"?` {
			t.Errorf("%v", lines)
		}
		p.a.write("")
		if r, err := p.a.loop.Backend().Reload(t.Context()); err != nil || len(r.Applied)+len(r.Restart) != 0 {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// What an operator changed stays where the file did not change.
func TestReloadLeavesHeuristicsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		p.a.run(t, p.wires)
		defer p.a.stop()
		if err := p.a.loop.Backend().ChangeHeuristics(t.Context(), ctl.HeuristicChange{Use: "eui64"}); err != nil {
			t.Fatal(err)
		}
		p.a.write("teardown: 20s")
		if _, err := p.a.loop.Backend().Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s, _ := p.a.module.Settings(); *s.Heuristic != "eui64" {
			t.Errorf("heuristic %s", *s.Heuristic)
		}
	})
}

// With "trigger: at-once" every flow to a peer gets a context, and no other.
func TestTriggerAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		p.a.module.asked = []nl.Candidate{{ULIDLocal: p.a1, ULIDPeer: p.b1, Bytes: 60, Packets: 1}, {ULIDLocal: p.a1, ULIDPeer: p.b2, Bytes: 60, Packets: 1}}
		p.run(t)
		defer p.stop()
		time.Sleep(5 * time.Second)
		if list := p.a.contexts(t); len(list) != 0 {
			t.Fatalf("contexts %+v", list)
		}
		p.a.write(fmt.Sprintf("peers: {'%v': {trigger: at-once, send_timeout: 2s}}", p.b1))
		if _, err := p.a.loop.Backend().Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		list := p.a.contexts(t)
		if len(list) != 1 || list[0].ULIDPeer != p.b1 || list[0].State != "ESTABLISHED" || list[0].SendTimeoutMS != 2000 {
			t.Errorf("contexts %+v", list)
		}
		flows, err := p.a.loop.Backend().Flows(t.Context())
		codes := []string{}
		for _, f := range flows {
			codes = append(codes, f.Code)
		}
		if want := []string{ctl.CodeContextEstablished, ctl.CodeFlowBelowThreshold}; err != nil || !slices.Equal(codes, want) {
			t.Errorf("flows %q, %v", codes, err)
		}
	})
}

// A peer that the configuration refused gets its context when it is refused no more: the kernel asks again only after a while.
func TestReloadMakesGoodWhatWasRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		p.a.cfg.Peers = []config.Peer{{Prefix: netip.PrefixFrom(p.b1, 128)}}
		p.run(t)
		defer p.stop()
		p.a.events.queue <- nl.Trigger{ULIDLocal: p.a1, ULIDPeer: p.b1}
		time.Sleep(time.Second)
		if list := p.a.contexts(t); len(list) != 0 {
			t.Fatalf("contexts %+v", list)
		}
		p.a.module.mu.Lock()
		p.a.module.asked = []nl.Candidate{{ULIDLocal: p.a1, ULIDPeer: p.b1, Asked: true}}
		p.a.module.mu.Unlock()
		if _, err := p.a.loop.Backend().Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		if list := p.a.contexts(t); len(list) != 1 || list[0].State != "ESTABLISHED" {
			t.Errorf("contexts %+v", list)
		}
	})
}

func TestSwitchAndPrefer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := establishedPair(t)
		tag := p.a.module.only(t).TagLocal
		b := p.a.loop.Backend()
		to := ctl.Pair{Local: p.a2, Peer: p.b2}
		if err := b.SwitchContext(t.Context(), tag, to); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		c := p.a.contexts(t)[0]
		if c.Current != to || nl.Path(to) != p.a.module.only(t).Paths[0] || len(c.Ranking) != 1 || c.Ranking[0] != to {
			t.Errorf("%+v", c)
		}
		if len(c.Paths) == 0 || c.Paths[0].Pair != to || !c.Paths[0].Current || !c.Paths[0].InKernel || c.Paths[0].Probes != 1 || c.Paths[0].Answered != 1 {
			t.Errorf("paths %+v", c.Paths)
		}
		p.wires.setCut(p.a1, p.b2, true)
		if err := b.SwitchContext(t.Context(), tag, ctl.Pair{Local: p.a1, Peer: p.b2}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if c := p.a.contexts(t)[0]; c.Current != to || len(p.a.journal.lines(t, "switch failed")) != 1 {
			t.Errorf("on %v, %d failures", c.Current, len(p.a.journal.lines(t, "switch failed")))
		}
		if err := b.PreferPaths(t.Context(), tag, ctl.Ranking{Pairs: []ctl.Pair{{Local: p.a2, Peer: p.b1}, to}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if c := p.a.contexts(t)[0]; c.Current.Peer != p.b1 || len(c.Ranking) != 2 {
			t.Errorf("on %v, ranking %v", c.Current, c.Ranking)
		}
		for name, err := range map[string]error{
			"no locator":    b.SwitchContext(t.Context(), tag, ctl.Pair{Local: p.b1, Peer: p.a1}),
			"no pair":       b.SwitchContext(t.Context(), tag, ctl.Pair{}),
			"no context":    b.SwitchContext(t.Context(), tag+1, to),
			"no address":    b.PreferPaths(t.Context(), tag, ctl.Ranking{Pairs: []ctl.Pair{{}}}),
			"too many":      b.PreferPaths(t.Context(), tag, ctl.Ranking{Pairs: make([]ctl.Pair, 65)}),
			"prefer no one": b.PreferPaths(t.Context(), tag+1, ctl.Ranking{}),
		} {
			var refused *ctl.Error
			if !errors.As(err, &refused) && !errors.Is(err, ctl.ErrNoContext) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// SPDX-License-Identifier: MIT

package run

import (
	"errors"
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
	"shim6/daemon/rawsock"
	"shim6/internal/rtnl"
)

func TestEstablishment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := establishedPair(t)

		k := p.a.module.only(t)
		if k.ULIDLocal != p.a1 || k.ULIDPeer != p.b1 || len(k.Paths) != 1 || k.Paths[0] != (nl.Path{Local: p.a1, Peer: p.b1}) {
			t.Errorf("a's kernel has %+v", k)
		}
		if !slices.Contains(k.LocatorsLocal, p.a2) || k.SendTimeout != 15*time.Second {
			t.Errorf("a's kernel has %+v", k)
		}
		// The peer's second locator passed the check of its signature.
		c := p.a.contexts(t)[0]
		want := []ctl.ContextLocator{{Addr: p.b1, Method: "CGA", Verified: true}, {Addr: p.b2, Method: "CGA", Verified: true}}
		if d := cmp.Diff(want, c.LocatorsPeer, addrs); c.State != "ESTABLISHED" || d != "" {
			t.Errorf("a's context is %s, its peer's locators (-want +got):\n%s", c.State, d)
		}
		var states []string
		for _, l := range p.a.journal.lines(t, "state changed") {
			states = append(states, l["from"].(string)+" "+l["to"].(string))
		}
		if d := cmp.Diff([]string{"IDLE I1-SENT", "I1-SENT I2-SENT", "I2-SENT ESTABLISHED"}, states); d != "" {
			t.Errorf("a's states (-want +got):\n%s", d)
		}
	})
}

func TestFailover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := establishedPair(t)

		p.wires.setCut(p.a1, p.b1, true)
		k := p.a.module.only(t)
		p.a.module.mu.Lock()
		p.a.module.contexts[k.TagLocal].ReapState = nl.ReapExploring
		p.a.module.mu.Unlock()
		p.a.events.queue <- nl.SendTimeout{At: 7, TagLocal: k.TagLocal, Epoch: k.ReapEpoch}
		time.Sleep(10 * time.Second)

		for _, h := range []*host{p.a, p.b} {
			if got := h.module.only(t).Paths[0]; got.Local == p.a1 && got.Peer == p.b1 || got.Local == p.b1 && got.Peer == p.a1 {
				t.Errorf("the path is still the one that was cut: %v", got)
			}
		}
		now := p.a.module.only(t).Paths[0]
		change := p.a.journal.lines(t, "path changed")
		if len(change) != 1 || change[0]["from"] != p.a1.String()+" -> "+p.b1.String() ||
			change[0]["to"] != now.Local.String()+" -> "+now.Peer.String() || change[0]["tag"] != ctl.FormatTag(k.TagLocal) {
			t.Errorf("path changes %v", change)
		}
		timeout := p.a.journal.lines(t, "send timeout")
		if len(timeout) != 1 || timeout[0]["ulid_peer"] != p.b1.String() || timeout[0]["boottime_ns"] != 7.0 {
			t.Errorf("send timeouts %v", timeout)
		}
		for _, msg := range []string{"reap state changed", "probe sent", "probe received"} {
			lines := p.a.journal.lines(t, msg)
			if len(lines) == 0 {
				t.Errorf("%q was not logged", msg)
				continue
			}
			if _, err := time.Parse(time.RFC3339Nano, lines[0]["time"].(string)); err != nil {
				t.Error(err)
			}
		}
		if pair, _ := p.a.journal.lines(t, "probe sent")[0]["pair"].(string); !strings.Contains(pair, " -> ") {
			t.Errorf("pair of a probe %q", pair)
		}
	})
}

// Whoever stops the daemon does not stop the flows.
func TestContextsOutliveTheDaemon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		p.run(t)
		defer p.b.stop()
		p.establish(t)
		before := p.a.module.only(t)
		p.a.stop()
		if p.a.err != nil {
			t.Errorf("the loop ended with %v", p.a.err)
		}
		for _, c := range p.a.module.called() {
			if strings.HasPrefix(c, "delete") || c == "flush" {
				t.Errorf("the daemon did %q", c)
			}
		}
		was := p.a.loop.engine.Contexts()[0]

		// The next daemon knows what the one before knew.
		p.a.run(t, p.wires)
		defer p.a.stop()
		now := p.a.contexts(t)
		if len(now) != 1 || now[0].Tag != ctl.FormatTag(before.TagLocal) || now[0].State != "ESTABLISHED" ||
			len(now[0].LocatorsPeer) != 2 || now[0].GenerationPeer != was.GenerationPeer || !now[0].LocatorsPeer[1].Verified {
			t.Errorf("the next daemon has %+v", now)
		}
		if l := p.a.journal.lines(t, "context removed from the kernel"); len(l) > 0 {
			t.Errorf("contexts were removed: %v", l)
		}
		// And it goes on from there: the path is lost, and found.
		p.wires.setCut(p.a1, p.b1, true)
		k := p.a.module.only(t)
		p.a.events.queue <- nl.SendTimeout{TagLocal: k.TagLocal, Epoch: k.ReapEpoch}
		time.Sleep(10 * time.Second)
		if got := p.a.module.only(t).Paths[0]; got == before.Paths[0] {
			t.Errorf("the path is still %v", got)
		}
	})
}

func TestIdleContextsAreTornDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := establishedPair(t)
		tag := p.a.module.only(t).TagLocal
		p.a.module.mu.Lock()
		p.a.module.contexts[tag].Idle = p.a.cfg.Teardown
		p.a.module.mu.Unlock()
		time.Sleep(p.a.cfg.Teardown + pollInterval)
		if list, _ := p.a.module.Contexts(); len(list) > 0 {
			t.Errorf("the idle context is still there: %+v", list)
		}
	})
}

// RFC 5533 section 9: a context is kept while an upper layer may use it.
func TestConnectionsHoldContexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := establishedPair(t)
		k := p.a.module.only(t)
		p.a.connect(rtnl.AddressPair{Local: k.ULIDLocal, Peer: k.ULIDPeer})
		p.a.module.mu.Lock()
		p.a.module.contexts[k.TagLocal].Idle = 24 * time.Hour
		p.a.module.mu.Unlock()
		time.Sleep(p.a.cfg.Teardown + 3*pollInterval)
		p.a.module.only(t)
		p.a.connect()
		time.Sleep(2 * pollInterval)
		if list, _ := p.a.module.Contexts(); len(list) > 0 {
			t.Errorf("nothing holds the context any more, but it is there: %+v", list)
		}
	})
}

func TestSettingsAreSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		p.a.cfg.GSO, p.a.cfg.MarkMask, p.a.cfg.TCPKick, p.a.cfg.Heuristic = "whole", 0xff, false, "default"
		p.a.cfg.GSODevices = []config.GSODevice{{Pattern: "eth*", GSO: config.GSOSegment}, {Pattern: "wg0", GSO: config.GSOAuto}}
		p.a.run(t, p.wires)
		defer p.a.stop()
		s, _ := p.a.module.Settings()
		if !*s.Enabled || *s.GSOMode != nl.GSOWhole || *s.MarkMask != 0xff || *s.TCPKick || *s.Heuristic != "default" ||
			!slices.Equal(s.GSODevices, []nl.Device{{Name: "eth*", GSO: nl.GSOSegment}, {Name: "wg0", GSO: nl.GSOAuto}}) {
			t.Errorf("settings %+v", s)
		}
	})
}

var addrs = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

// startError runs a loop that cannot start.
func startError(t *testing.T, word string, err error) error {
	t.Helper()
	var got error
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		p.a.module.fail[word] = err
		p.a.build(t, p.wires)
		got = p.a.loop.Run(t.Context())
	})
	return got
}

func TestStartErrors(t *testing.T) {
	if err := startError(t, "heuristic", &nl.Error{Op: "change settings", Errno: 2}); err == nil ||
		err.Error() != "heuristic default: change settings: no such file or directory; the kernel knows none, default" {
		t.Errorf("unknown heuristic: %v", err)
	}
	refused := errors.New("refused")
	for _, word := range []string{"settings", "heuristic", "list"} {
		if err := startError(t, word, refused); !errors.Is(err, refused) {
			t.Errorf("%s: %v", word, err)
		}
	}
}

// endError runs a loop until it ends by itself.
func endError(t *testing.T, end func(*host)) (err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		p.a.run(t, p.wires)
		end(p.a)
		time.Sleep(2 * pollInterval)
		synctest.Wait()
		select {
		case <-p.a.loop.stopped:
		default:
			t.Error("the loop goes on")
		}
		p.a.stop()
		err = p.a.err
	})
	return err
}

func TestEnds(t *testing.T) {
	if err := endError(t, func(h *host) { h.events.Close() }); err == nil {
		t.Error("the end of the kernel's events is no error")
	}
	if err := endError(t, func(h *host) { h.socket.Close() }); err == nil {
		t.Error("the end of the raw socket is no error")
	}
	err := endError(t, func(h *host) {
		h.module.mu.Lock()
		h.module.loaded = nl.ErrNotLoaded
		h.module.mu.Unlock()
	})
	if !errors.Is(err, nl.ErrNotLoaded) {
		t.Errorf("the module was unloaded: %v", err)
	}
}

// RFC 5533 section 7.8: an ICMP "unrecognized next header type" error for an I1 says that the peer does not know Shim6.
func TestPeerWithoutShim6(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		p.a.run(t, p.wires)
		defer p.a.stop()
		p.a.events.queue <- nl.Trigger{ULIDLocal: p.a1, ULIDPeer: p.b1}
		// What b's socket holds unread is the I1; a real b would quote it behind its IPv6 header.
		i1 := <-p.b.socket.in
		quoted := make([]byte, 40, 40+len(i1.payload))
		quoted[0], quoted[6] = 6<<4, 140
		copy(quoted[8:], i1.src.AsSlice())
		copy(quoted[24:], i1.dst.AsSlice())
		p.a.icmp.queue <- rawsock.Error{Src: p.b1, Type: 4, Code: 1, Quoted: append(quoted, i1.payload...)}
		synctest.Wait()
		if c := p.a.contexts(t); len(c) != 1 || c[0].State != "NO-SUPPORT" {
			t.Errorf("contexts %+v", c)
		}
		// A flood of them is counted, and looked at within limits.
		for range 2 * icmpPerSecond {
			p.a.icmp.queue <- rawsock.Error{Src: p.b1, Type: 4, Code: 1}
		}
		synctest.Wait()
		s, err := p.a.loop.Backend().Stats(t.Context())
		if err != nil || s.Daemon["icmp_errors"] != 2*icmpPerSecond+1 || s.Engine["dropped icmp"] != icmpPerSecond-1 {
			t.Errorf("%d errors, %d looked at, %v", s.Daemon["icmp_errors"], s.Engine["dropped icmp"], err)
		}
	})
}

// A read that fails now and then is no end.
func TestReadErrorsAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, l := still(t)
		n := 0
		l.read(func() error {
			if n++; n == readErrors+1 {
				return nil
			}
			return unix.ENOMEM
		})
		if n != 2*readErrors+2 {
			t.Errorf("read %d times, want %d", n, 2*readErrors+2)
		}
		if err := <-l.fatal; !errors.Is(err, unix.ENOMEM) {
			t.Errorf("ended with %v", err)
		}
		if n := len(h.journal.lines(t, "packet not received")); n != 2*readErrors {
			t.Errorf("logged %d times, want %d", n, 2*readErrors)
		}
	})
}

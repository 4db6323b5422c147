// SPDX-License-Identifier: MIT

package run

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"shim6/daemon/engine"
	"shim6/daemon/nl"
	"shim6/daemon/reap"
	"shim6/daemon/shim6"
	"shim6/daemon/wire"
)

func snapshot(tag wire.ContextTag) engine.Snapshot {
	ids := engine.ULIDPair{Local: ulidA, Peer: ulidB}
	other := netip.MustParseAddr("2001:db8:b2::1")
	return engine.Snapshot{
		ULIDs: ids, FII: 3, State: shim6.StateEstablished, TagLocal: tag, TagPeer: 9, Current: engine.LocatorPair(ids),
		LocatorsLocal:   []engine.LocatorInfo{{Addr: ulidA, Method: wire.VerifyCGA, Verified: true}},
		LocatorsPeer:    []engine.LocatorInfo{{Addr: ulidB, Verified: true, Probed: true}, {Addr: other, Verified: true}},
		GenerationLocal: 5, GenerationPeer: 6, Reap: reap.Exploring, SendTimeout: 15 * time.Second,
		KeepaliveTimeout: 15 * time.Second, KeepaliveInterval: 5 * time.Second, ProbesSent: 1, ProbesReceived: 2,
		KeepalivesSent: 3, Since: time.Date(2030, 1, 2, 3, 4, 5, 6, time.UTC),
	}
}

// inKernel is the kernel's side of a snapshot.
func inKernel(s engine.Snapshot) nl.Context {
	return nl.Context{
		ULIDLocal: s.ULIDs.Local, ULIDPeer: s.ULIDs.Peer, FII: s.FII, TagLocal: uint64(s.TagLocal), TagPeer: uint64(s.TagPeer),
		Paths: []nl.Path{nl.Path(s.Current)}, LocatorsLocal: []netip.Addr{ulidA}, ReapState: nl.ReapState(s.Reap),
	}
}

func TestMatch(t *testing.T) {
	saved := snapshot(1)
	other := netip.MustParseAddr("2001:db8:b2::1")
	for name, tc := range map[string]struct {
		saved  *engine.Snapshot
		change func(*nl.Context)
		want   string
	}{
		"the same":         {&saved, func(*nl.Context) {}, ""},
		"not saved":        {nil, func(*nl.Context) {}, "it was not saved"},
		"other local ULID": {&saved, func(k *nl.Context) { k.ULIDLocal = other }, "another one was saved under its tag"},
		"other peer ULID":  {&saved, func(k *nl.Context) { k.ULIDPeer = other }, "another one was saved under its tag"},
		"other instance":   {&saved, func(k *nl.Context) { k.FII = 4 }, "another one was saved under its tag"},
		"other peer's tag": {&saved, func(k *nl.Context) { k.TagPeer = 8 }, "the peer's tag is not the saved one"},
		"no path":          {&saved, func(k *nl.Context) { k.Paths = nil }, "it has no path"},
	} {
		k := inKernel(saved)
		tc.change(&k)
		if _, why := match(tc.saved, k); why != tc.want {
			t.Errorf("%s: %q, want %q", name, why, tc.want)
		}
	}
	// The kernel is right about what it may have changed since.
	k := inKernel(saved)
	k.Paths[0].Peer, k.ReapState = other, nl.ReapInboundOk
	got, _ := match(&saved, k)
	want := snapshot(1)
	want.Current.Peer, want.Reap = other, reap.InboundOk
	if d := cmp.Diff(want, got, addrs); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// Of the contexts in the kernel, one was saved, one was not, and one the engine cannot take.
func TestAdopt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		good := snapshot(1)
		good.ULIDs.Local, good.Current.Local, good.LocatorsLocal[0].Addr = p.a1, p.a1, p.a1
		bad := snapshot(2)
		bad.FII, bad.LocatorsPeer = 4, nil
		stranger := snapshot(3)
		stranger.FII = 5
		for _, s := range []engine.Snapshot{good, bad, stranger} {
			k := inKernel(s)
			p.a.module.contexts[k.TagLocal] = &k
		}
		if err := p.a.file().write([]engine.Snapshot{good, bad}, idle); err != nil {
			t.Fatal(err)
		}
		p.a.run(t, p.wires)
		defer p.a.stop()
		list := p.a.contexts(t)
		if len(list) != 1 || list[0].Tag != "000000000001" || list[0].State != "ESTABLISHED" || list[0].ProbesReceived != 2 ||
			list[0].GenerationPeer != 6 {
			t.Errorf("contexts %+v", list)
		}
		if k := p.a.module.only(t); k.TagLocal != 1 {
			t.Errorf("the kernel kept %x", k.TagLocal)
		}
		why := make(map[any]any)
		for _, l := range p.a.journal.lines(t, "context removed from the kernel") {
			why[l["tag"]] = l["why"]
		}
		want := map[any]any{"000000000002": "the engine refused it", "000000000003": "it was not saved"}
		if d := cmp.Diff(want, why); d != "" {
			t.Errorf("removed (-want +got):\n%s", d)
		}
	})
}

// A chosen heuristic holds its module, and contexts outlive the daemon: what keeps the modules loaded is what is asked for.
func TestHeuristicIsUnsetAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		p.a.run(t, p.wires)
		if s, _ := p.a.module.Settings(); *s.Heuristic != "default" {
			t.Errorf("heuristic %s while the daemon runs", *s.Heuristic)
		}
		p.a.stop()
		if s, _ := p.a.module.Settings(); *s.Heuristic != "none" || !*s.Enabled {
			t.Errorf("heuristic %s, enabled %t after the daemon", *s.Heuristic, *s.Enabled)
		}
	})
}

func TestBrokenSavedFileIsNotFatal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		k := inKernel(snapshot(1))
		p.a.module.contexts[1] = &k
		if err := os.WriteFile(p.a.cfg.StateFile(), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		p.a.run(t, p.wires)
		defer p.a.stop()
		if len(p.a.journal.lines(t, "saved contexts not read")) != 1 {
			t.Error("the broken file was not logged")
		}
		if list, _ := p.a.module.Contexts(); len(list) != 0 {
			t.Errorf("the kernel kept %+v", list)
		}
	})
}

func TestLocks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "contexts.json")
	dir := filepath.Join(t.TempDir(), "sub")
	for _, tc := range []struct {
		take func() (*os.File, error)
		want string
	}{
		{func() (*os.File, error) { return Lock(path) }, "another shim6d runs: it uses " + path},
		{func() (*os.File, error) { return LockNamespace(dir) }, "another shim6d runs: it serves this network namespace"},
	} {
		f, err := tc.take()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tc.take(); err == nil || err.Error() != tc.want {
			t.Errorf("a second lock: %v, want %s", err, tc.want)
		}
		f.Close()
		if f, err = tc.take(); err != nil {
			t.Fatalf("the lock after the end of its owner: %v", err)
		}
		f.Close()
	}
}

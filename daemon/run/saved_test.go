// SPDX-License-Identifier: MIT

package run

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"shim6/daemon/engine"
	"shim6/daemon/shim6"
	"shim6/daemon/wire"
)

// idle is for whom nobody waits.
func idle() {}

func fileAt(path string) savedFile { return newSavedFile(path, testBoot, 4) }

func TestSavedFile(t *testing.T) {
	file := fileAt(filepath.Join(t.TempDir(), "contexts.json"))
	if got, err := file.read(); got != nil || err != nil {
		t.Errorf("no file: %v, %v", got, err)
	}
	want := map[wire.ContextTag]*engine.Snapshot{}
	var list []engine.Snapshot
	for _, tag := range []wire.ContextTag{1, 1<<47 - 1} {
		s := snapshot(tag)
		list = append(list, s)
		want[tag] = &s
	}
	// What a daemon left that was killed in the middle of a write.
	if err := os.WriteFile(file.path+".new", bytes.Repeat([]byte("x"), 1<<16), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := file.write(list, idle); err != nil {
			t.Fatal(err)
		}
		got, err := file.read()
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got, addrs); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	}
	st, err := os.Stat(file.path)
	if err != nil || st.Mode() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", st.Mode(), err)
	}
	if entries, _ := os.ReadDir(filepath.Dir(file.path)); len(entries) != 1 {
		t.Errorf("files beside it: %v", entries)
	}
}

// A daemon that is upgraded in place finds the file of the one before it, which had no boot in it.
func TestSavedFileOfTheVersionBefore(t *testing.T) {
	file := fileAt(filepath.Join(t.TempDir(), "contexts.json"))
	if err := file.write([]engine.Snapshot{snapshot(1)}, idle); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(file.path)
	if err != nil {
		t.Fatal(err)
	}
	now := `"version":2,"boot":"a-boot"`
	if !strings.Contains(string(raw), now) {
		t.Fatalf("%.60s has no %s", raw, now)
	}
	raw = bytes.Replace(raw, []byte(now), []byte(`"version":1`), 1)
	if err := os.WriteFile(file.path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := file.read(); err != nil || got[1] == nil || got[1].TagPeer != 9 {
		t.Errorf("read %v, %v", got, err)
	}
}

func TestSavedFileRefusesOthers(t *testing.T) {
	file := fileAt(filepath.Join(t.TempDir(), "contexts.json"))
	for name, tc := range map[string]struct{ in, want string }{
		"empty":         {"", "unexpected end"},
		"truncated":     {`{"version":2,"boot":"a-boot","contexts":{`, "unexpected end"},
		"not JSON":      {"hello", "invalid character"},
		"more behind":   {`{"version":2,"boot":"a-boot","contexts":{}}{}`, "invalid character"},
		"no version":    {`{"contexts":{}}`, "version 0, not 1 to 2"},
		"later version": {`{"version":3,"boot":"a-boot","colours":{}}`, "version 3, not 1 to 2"},
		"another boot":  {`{"version":2,"boot":"b-boot","contexts":{}}`, "it is from before the last reboot"},
		"no boot":       {`{"version":2,"contexts":{}}`, "it is from before the last reboot"},
		"unknown field": {`{"version":1,"contexts":{"1":{"TagLocal":1,"Colour":"red"}}}`, "unknown field"},
		"other tag":     {`{"version":1,"contexts":{"1":{"TagLocal":2}}}`, "context 000000000001 is under another tag"},
		"null":          {`{"version":1,"contexts":{"1":null}}`, "is under another tag"},
		"bad address":   {`{"version":1,"contexts":{"1":{"TagLocal":1,"ULIDs":{"Local":"x"}}}}`, "unable to parse IP"},
		"too large":     {strings.Repeat(" ", int(file.max)) + "{}", "larger than 132096 octets"},
	} {
		if err := os.WriteFile(file.path, []byte(tc.in), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := file.read(); err == nil || !strings.Contains(err.Error(), tc.want) || !strings.HasPrefix(err.Error(), file.path) {
			t.Errorf("%s: %v, want one with %q", name, err, tc.want)
		}
	}
}

// The largest context that the engine holds is smaller than what the bound of the file counts for one.
func TestSavedContextIsBounded(t *testing.T) {
	s := snapshot(1<<47 - 1)
	s.LocatorsLocal = nil
	for i := range shim6.MaxLocators {
		a := netip.MustParseAddr("2001:db8:1111:2222:3333:4444:5555:6666").As16()
		a[15] = byte(i)
		s.LocatorsLocal = append(s.LocatorsLocal, engine.LocatorInfo{
			Addr: netip.AddrFrom16(a), Method: wire.VerifyCGA, Verified: true, Probed: true,
			Preference: engine.Preference{Broken: true, Priority: 255, Weight: 255},
		})
	}
	s.LocatorsPeer = s.LocatorsLocal
	s.PDSLocal, s.PDSPeer = make([]byte, wire.MaxControl), make([]byte, wire.MaxControl)
	s.KeyIDLocal = strings.Repeat("k", 255)
	raw, err := json.Marshal(s)
	if err != nil || len(raw) > savedContext {
		t.Errorf("%d octets, %v; the bound is %d", len(raw), err, savedContext)
	}
}

func TestSaverWritesTheLatest(t *testing.T) {
	file := newSavedFile(filepath.Join(t.TempDir(), "contexts.json"), testBoot, 100)
	s := newSaver(file, discard, new(counters))
	for tag := range wire.ContextTag(100) {
		s.put(saving{contexts: []engine.Snapshot{snapshot(tag + 1)}})
	}
	s.close()
	got, err := file.read()
	if err != nil || len(got) != 1 || got[100] == nil {
		t.Errorf("saved %v, %v", got, err)
	}
}

func TestSaverTellsItsErrors(t *testing.T) {
	h, l := still(t)
	stats := new(counters)
	s := newSaver(fileAt(filepath.Join(t.TempDir(), "none", "contexts.json")), l.log, stats)
	s.put(saving{})
	s.close()
	if stats.saveErrors.Load() != 1 || len(h.journal.lines(t, "contexts not saved: the next daemon will drop them")) != 1 {
		t.Errorf("%d errors counted", stats.saveErrors.Load())
	}
}

// A change is saved soon, unless saving would take more than its share of the time.
func TestWhenChangesAreSaved(t *testing.T) {
	_, l := still(t)
	l.changed()
	if l.saveAt != l.now.Add(saveDelay) {
		t.Errorf("the first change is saved in %v", l.saveAt.Sub(l.now))
	}
	l.savedAt, l.saveAt = l.now, time.Time{}
	l.saver.took.Store(int64(time.Second))
	for range 2 {
		l.changed()
		if got := l.saveAt.Sub(l.now); got != 10*time.Second {
			t.Errorf("after a write of a second, changes are saved in %v", got)
		}
		l.now = l.now.Add(time.Second)
		l.saveAt = l.saveAt.Add(time.Second)
	}
}

// Many contexts are looked at in turns, between which messages are handled; what changes meanwhile is saved after that.
func TestSavingKeepsNobodyWaiting(t *testing.T) {
	h, l := still(t)
	const turns, contexts = 3, 2*contextsAtOnce + 1
	for tag := range wire.ContextTag(contexts) {
		s := snapshot(tag + 1)
		s.FII = uint32(tag + 1)
		l.engine.Handle(l.now, engine.AdoptContext{Snapshot: s})
		l.held[s.TagLocal] = new(held)
	}
	l.changed()
	l.now = l.saveAt
	for turn := range turns {
		if l.saveAt.IsZero() || l.alarm().After(l.now) {
			t.Fatalf("turn %d: nothing is due", turn)
		}
		l.onTime()
		if turn == 0 {
			l.changed()
		}
	}
	l.saver.close()
	if got, err := h.file().read(); err != nil || len(got) != contexts {
		t.Errorf("%d contexts saved, %v; want %d", len(got), err, contexts)
	}
	if l.saveAt.IsZero() || l.pass != nil {
		t.Error("what changed in the middle is not saved")
	}
	// In the end all is saved in one go, even when that has begun.
	l.saver = newSaver(h.file(), discard, l.stats)
	l.save()
	delete(l.held, 1)
	l.saveAll()
	l.saver.close()
	if got, err := h.file().read(); err != nil || len(got) != contexts-1 || got[1] != nil {
		t.Errorf("%d contexts saved, %v; want %d", len(got), err, contexts-1)
	}
	l.saver = newSaver(h.file(), discard, l.stats)
}

// The writer lets others have the processor as it goes, and does not when the daemon ends.
func TestSavedFileRests(t *testing.T) {
	file := newSavedFile(filepath.Join(t.TempDir(), "contexts.json"), testBoot, 1000)
	var list []engine.Snapshot
	for tag := range wire.ContextTag(10*encodedAtOnce + 1) {
		list = append(list, snapshot(tag+1))
	}
	rests := 0
	if err := file.write(list, func() { rests++ }); err != nil {
		t.Fatal(err)
	}
	if got, err := file.read(); err != nil || len(got) != len(list) || rests != 10 {
		t.Errorf("%d contexts, %v, %d rests; want %d and 10", len(got), err, rests, len(list))
	}
}
